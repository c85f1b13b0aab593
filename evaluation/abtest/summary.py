"""What is said of an experiment at the end of a day, as one record (Table 3, Figure 10).

Everything up to the end of the day and nothing later: what decided, what the statistics rest on,
and what they cannot see, which is what the arms share.
"""

from collections.abc import Iterator, Mapping
from datetime import date

import pyarrow as pa

from evaluation.abtest import novelty
from evaluation.abtest.effect import FEWEST as FEWEST_OF_DAY
from evaluation.abtest.effect import Bounds
from evaluation.abtest.experiment import Experiment
from evaluation.abtest.price_levels import FEWEST, FEWEST_USERS, ArmLevels
from evaluation.abtest.ratios import METRICS
from evaluation.abtest.readout import ReadOut
from evaluation.abtest.sufficient import UserDays, exposed, user_days
from evaluation.metrics import NAN, AnyArray
from evaluation.results import Estimate, Figure, Record, finite

PAIR = ("control", "treatment")
COUNTED = ("clicks", "impressions", "sales", "ppp_asked", "ppp_right")
TABLE_3 = ("ctr", "sales")
"""Its uplifts; a primary that is another metric stands beside them."""
INTERFERENCE = (
    "Item statistics (popularity, conversion, LR-CTR) are counted over the pages of both arms, so "
    "each arm ranks with what the other one taught.",
    "Both lines learn every night from the pages of both arms: what one arm explores, the other "
    "learns too.",
    "Users of both arms buy from the same stock and may talk to each other.",
    "All of this makes the arms more alike than two shops would be, so an effect of one line alone "
    "is rather larger than what is measured here.",
)
"""What the arms share; no randomisation of users parts it."""


class TableRow(Record):
    """A row of Table 3."""

    day: str
    number: int
    users: tuple[int, int]
    """Of that day."""
    ctr: Bounds
    """Relative improvement of that day alone, at the level at which the metric is judged."""
    sales: Bounds
    primary: Bounds | None = None
    """Of the metric that decides, if it is another one."""
    precision: tuple[float | None, float | None]
    """Price precision, old and new."""

    def uplifts(self, primary: str) -> Mapping[str, Bounds]:
        """By metric; `primary` is the one that decides."""
        table = {"ctr": self.ctr, "sales": self.sales}
        return table if self.primary is None else {primary: self.primary, **table}


class AbtestReport(Record):
    """Everything that is said of an experiment at the end of a day."""

    id: str
    day: str
    digest: str
    declared: dict[str, str]
    """In words, in the order to be shown."""
    outcome: str
    reasons: tuple[str, ...]
    concluded: str = ""
    """How the experiment ended, if it has; "": it goes on."""
    look: ReadOut
    looks: tuple[ReadOut, ...]
    """All up to this one, oldest first: the confidence sequence."""
    table: tuple[TableRow, ...]
    levels: tuple[ArmLevels, ...]
    """Figure 10: control, treatment."""
    answered: dict[str, dict[str, int]]
    """Arm -> model version -> pages."""
    interference: tuple[str, ...] = INTERFERENCE
    lineage: dict[str, str]
    figures: tuple[Figure, ...] = ()

    @property
    def metrics(self) -> Mapping[str, float]:
        """Names and values for MLflow: figures that have a value."""
        return {figure.name: figure.value for figure in self.figures if figure.value is not None}


def table(rows: pa.Table, experiment: Experiment, day: date) -> tuple[TableRow, ...]:
    """Table 3 up to a day: each row is of its own day alone, also one on which nobody came.

    Args:
        rows: of `sufficient.READOUT`.
        experiment: which arms, since when.
        day: the last one.
    """
    arms, days = tuple(experiment.arms), (experiment.first_day, day)
    seen = exposed(rows, arms, *days).users
    decides = METRICS[experiment.rule.primary]
    counted = dict.fromkeys((*COUNTED, decides.part, decides.whole))
    daily = user_days(rows, arms, seen, days, tuple(counted))
    found = {
        name: novelty.by_day(daily, METRICS[name], alpha=experiment.alpha_of(name)).days
        for name in dict.fromkeys((*TABLE_3, decides.name))
    }
    uplifts = {name: {one.number: one.uplift for one in of} for name, of in found.items()}
    nothing, beside = Bounds(value=None), "" if decides.name in TABLE_3 else decides.name
    return tuple(
        TableRow(
            day=date.fromordinal(experiment.first_day.toordinal() + number - 1).isoformat(),
            number=number,
            users=_users(daily, number - 1),
            ctr=uplifts["ctr"].get(number, nothing),
            sales=uplifts["sales"].get(number, nothing),
            primary=uplifts[beside].get(number, nothing) if beside else None,
            precision=_precision(daily, number - 1),
        )
        for number in range(1, experiment.day_number(day) + 1)
    )


def figures(report: AbtestReport) -> tuple[Figure, ...]:
    """The flat list that every report carries."""
    return (*report.look.figures(), *_by_day(report), *_by_level(report), *_counts(report))


def _users(daily: UserDays, day: int) -> tuple[int, int]:
    mine = daily.day == day
    return int((mine & (daily.arm == 0)).sum()), int((mine & (daily.arm == 1)).sum())


def _precision(daily: UserDays, day: int) -> tuple[float | None, float | None]:
    def share(arm: int) -> float | None:
        mine: AnyArray = (daily.day == day) & (daily.arm == arm)
        asked = float(daily.sums["ppp_asked"][mine].sum())
        return finite(float(daily.sums["ppp_right"][mine].sum()) / asked if asked else NAN)

    return share(0), share(1)


def _by_day(report: AbtestReport) -> Iterator[Figure]:
    for row in report.table:
        for name, bounds in row.uplifts(report.look.primary.metric).items():
            yield Figure(
                name=f"abtest_day_{row.number}_{name}_uplift", value=bounds.value,
                low=bounds.fixed_low, high=bounds.fixed_high, unit="ratio",
                protocol=f"{row.day} alone; interval for one look{bounds.at_level}, clustered by "
                f"user, none under {FEWEST_OF_DAY} users in an arm",
            )  # fmt: skip
        for arm, value in zip(PAIR, row.precision, strict=True):
            yield Figure(
                name=f"abtest_day_{row.number}_price_precision_{arm}", value=value,
                unit="share", protocol=f"{row.day} alone; PPP against what was bought",
            )  # fmt: skip


def _by_level(report: AbtestReport) -> Iterator[Figure]:
    for arm, found in zip(PAIR, report.levels, strict=True):
        told = (
            f"{found.arm}, {found.questions:,} pages with a purchase of known price level; "
            f"interval clustered by user, none under {FEWEST} such pages or {FEWEST_USERS} users"
        )
        yield _share(f"abtest_price_precision_{arm}", found.precision, told)
        for row in found.classes:
            yield _share(f"abtest_price_precision_{arm}_level_{row.level}", row.precision, told)
            yield _share(f"abtest_price_recall_{arm}_level_{row.level}", row.recall, told)


def _share(name: str, found: Estimate, told: str) -> Figure:
    return Figure(name=name, **found.model_dump(), unit="share", protocol=told)


def _counts(report: AbtestReport) -> Iterator[Figure]:
    look = report.look
    for arm, line in zip(PAIR, (look.control, look.treatment), strict=True):
        yield Figure(
            name=f"abtest_users_{arm}", value=look.users.get(line, 0), unit="users",
            protocol=f"shown {line} only, up to {look.day}",
        )  # fmt: skip
