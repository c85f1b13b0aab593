"""How long an experiment must run, or that it cannot answer: said before it starts.

What is needed of the traffic is, per day of the experiment, how many users have been seen by then
and how far one user's pull on the log of the metric spreads (`ratios`); both come from days before,
taken as if they were an experiment. The log uplift's error is then

    spread sqrt(1 - correlation^2) sqrt(1 / (n share_T) + 1 / (n share_C))

and the power at a day that of a normal estimate against the interval's multiplier there. For the
always-valid interval it is that of the last look alone, a lower bound: it may stop earlier too.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from evaluation.abtest import always_valid, cuped
from evaluation.abtest.always_valid import NORMAL
from evaluation.abtest.effect import percent, uplift
from evaluation.abtest.ratios import Metric, pull
from evaluation.abtest.sufficient import exposed, user_days
from evaluation.metrics import Floats
from evaluation.results import Record
from infra.errors import ConfigError


@dataclass(frozen=True)
class Traffic:
    """What the first days of an experiment bring; entry 0 is the first day."""

    users: Floats
    """Distinct users seen up to each day, all arms together."""
    spread: Floats
    """Standard deviation of a user's pull on the log of the metric (for x = 1: sd over mean)."""

    @property
    def days(self) -> int:
        """Beyond these nothing is claimed."""
        return len(self.users)

    def errors(self, shares: Sequence[float], correlation: float = 0.0) -> Floats:
        """Standard error of the log uplift by day.

        Args:
            shares: of all users, control and treatment.
            correlation: of a user's pull with what the pre-period says of it; CUPED leaves
                1 - its square of the variance.
        """
        halves = sum(1 / (self.users * share) for share in shares)
        return np.asarray(self.spread * np.sqrt((1 - correlation**2) * halves))


def steady(mean: float, variance: float, users_per_day: float, days: int) -> Traffic:
    """Traffic of new users only, as many each day, whose law does not change.

    Args:
        mean: of the metric per user.
        variance: of it between users; of a ratio metric, of the pulls.
        users_per_day: users who come for the first time.
        days: how far to look.

    Raises:
        ConfigError: a value that no traffic has.
    """
    if not (mean > 0 and variance > 0 and users_per_day > 0 and days > 0):
        raise ConfigError("mean, variance, users per day and days must be above 0. Mend the plan.")
    spread = math.sqrt(variance) / mean
    return Traffic(users_per_day * np.arange(1.0, days + 1.0), np.full(days, spread))


def of_log(table: pa.Table, metric: Metric, arms: Sequence[str]) -> Traffic:
    """Traffic of a read-out of days without an experiment, taken as if all were one arm.

    Raises:
        ConfigError: nothing of the metric was counted in these days.
    """
    if not table.num_rows:
        raise ConfigError(f"no days to plan {metric.name} with. Give a read-out of some days.")
    days = pc.min_max(table["day"]).as_py()
    names = (metric.part, metric.whole)
    seen = exposed(table, arms).users
    rows = user_days(table, arms, seen, (days["min"], days["max"]), names)
    users, spread = [], []
    for day in range((days["max"] - days["min"]).days + 1):
        until = rows.day <= day
        part, whole = (
            np.bincount(rows.place[until], rows.sums[name][until], minlength=rows.number)
            for name in names
        )
        there = np.bincount(rows.place[until], minlength=rows.number) > 0
        whole = whole if metric.whole else there.astype(np.int64)
        users.append(float(there.sum()))
        spread.append(_spread(part[there].astype(np.float64), whole[there].astype(np.float64)))
    if not np.isfinite(spread).any():
        raise ConfigError(f"no {metric.title} was counted in these days. Plan with other days.")
    return Traffic(np.array(users), np.array(spread))


def correlation_of(table: pa.Table, metric: Metric, arms: Sequence[str]) -> float:
    """What CUPED will take off, from the same read-out: see `Traffic.errors`."""
    users = exposed(table, arms).users
    part, whole = users.column(metric.counted), users.column(metric.whole)
    if not np.isfinite(_spread(part, whole)):
        return 0.0
    return cuped.correlation(pull(part, whole), cuped.covariates(users))


def _spread(part: Floats, whole: Floats) -> float:
    if len(part) < 2 or not (part.sum() > 0 and whole.sum() > 0):
        return math.inf
    return float(pull(part, whole).std(ddof=1) * whole.sum() / part.sum())


class Answer(Record):
    """What one kind of interval can do."""

    power: float
    """At the planned end."""
    detectable: float | None
    """Smallest relative effect that is found with the wanted power at the planned end; null: past
    all numbers."""
    users: float
    """Needed in all, with interval and spread of the length that would do, else of the longest."""
    days: int | None
    """Length that would do, were it planned; null: more than the traffic is known for."""


class Plan(Record):
    """What to expect of an experiment."""

    effect: float
    planned_days: int
    planned_users: float
    planned_error: float
    """Of the log uplift at the planned end, as `Design.planned_errors` may declare it."""
    alpha: float
    wanted_power: float
    always: Answer
    fixed: Answer
    answers: bool
    """The planned length is enough for the always-valid interval."""
    sentence: str


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What an experiment is asked to find."""

    effect: float
    """Relative, above 0: 0.02 is +2 %."""
    days: int
    """Planned length."""
    shares: tuple[float, float] = (0.5, 0.5)
    """Of all users, control and treatment."""
    correlation: float = 0.0
    """See `Traffic.errors`."""
    alpha: float = 0.05
    """Two-sided."""
    power: float = 0.8
    """Chance to find the effect."""


def plan(traffic: Traffic, wanted: Wanted) -> Plan:
    """Power, duration and what can be found at all.

    Args:
        traffic: of at least the planned days; longer, the days needed can be said.
        wanted: effect, length and errors.

    Raises:
        ConfigError: a value out of range.
    """
    _refuse(traffic, wanted)
    errors = traffic.errors(wanted.shares, wanted.correlation)
    at_end = float(errors[wanted.days - 1])
    lengths = range(1, traffic.days + 1)  # each with the mixture that suits it
    always = np.array(
        [always_valid.lowest(always_valid.level(wanted.alpha, days)) for days in lengths]
    )
    once = np.full(len(errors), always_valid.fixed(wanted.alpha))
    both = [_answer(traffic, errors, z, wanted) for z in (always, once)]
    return Plan(
        effect=wanted.effect,
        planned_days=wanted.days,
        planned_users=float(traffic.users[wanted.days - 1]),
        planned_error=at_end,
        alpha=wanted.alpha,
        wanted_power=wanted.power,
        always=both[0],
        fixed=both[1],
        answers=both[0].power >= wanted.power,
        sentence=_sentence(both[0], wanted, traffic.days),
    )


def _answer(traffic: Traffic, errors: Floats, z: Floats, wanted: Wanted) -> Answer:
    log_effect = math.log1p(wanted.effect)
    reach = (z + NORMAL.inv_cdf(wanted.power)) * errors  # found with the wanted power, by day
    at = wanted.days - 1
    enough = np.flatnonzero(reach <= log_effect)
    then = enough[0] if len(enough) else len(reach) - 1
    return Answer(
        power=NORMAL.cdf(log_effect / errors[at] - z[at]),
        detectable=uplift(float(reach[at])),
        users=float(traffic.users[then] * (reach[then] / log_effect) ** 2),
        days=int(enough[0]) + 1 if len(enough) else None,
    )


def _sentence(always: Answer, wanted: Wanted, known: int) -> str:
    effect, days, power = wanted.effect, wanted.days, wanted.power
    if always.power >= power:
        return (
            f"{days} days find an effect of {effect:+.2%} with power {always.power:.0%}; "
            f"{always.days} would do for the wanted {power:.0%}."
        )
    longer = f"{always.days} days would" if always.days else f"{known} days would not either"
    return (
        f"The traffic cannot answer in {days} days: an effect of {effect:+.2%} is found with "
        f"power {always.power:.0%} only, and the smallest that is found with {power:.0%} is "
        f"{percent(always.detectable)}; {longer}."
    )


def _refuse(traffic: Traffic, wanted: Wanted) -> None:
    if not wanted.effect > 0:
        raise ConfigError(
            f"an effect of {wanted.effect:g} cannot be planned for. Give one above 0."
        )
    if not 1 <= wanted.days <= traffic.days:
        raise ConfigError(
            f"{wanted.days} days cannot be planned: traffic is known for {traffic.days}."
            " Give fewer."
        )
    if not math.isfinite(traffic.spread[wanted.days - 1]):
        raise ConfigError(
            f"nothing of the metric was counted in the first {wanted.days} days of this traffic. "
            "Plan more days, or with other traffic."
        )
    if traffic.spread[wanted.days - 1] == 0:
        raise ConfigError(
            f"all users of the first {wanted.days} days of this traffic are alike in the metric: "
            "there is no spread to plan with. Plan more days, or with other traffic."
        )
    if not (all(one > 0 for one in wanted.shares) and sum(wanted.shares) <= 1 + 1e-9):
        raise ConfigError(f"shares {wanted.shares} are no shares of the users. Give parts of 1.")
    if not 0 <= wanted.correlation < 1:
        raise ConfigError(f"correlation {wanted.correlation:g} is out of range. Give 0 to below 1.")
    if not (0 < wanted.alpha < 1 and 0.5 < wanted.power < 1):
        raise ConfigError("alpha or power is out of range. Give 0 to 1, and 0.5 to 1.")
