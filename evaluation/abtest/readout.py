"""A day's look at an experiment: everything that its verdict and its report rest on, as one record.

Built from the rows that the read-out job emitted up to the look and from the design; nothing else
is known here, and a look taken again gives the same record.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import date

import pyarrow as pa

from evaluation.abtest import checks, health, novelty, segments, winsor
from evaluation.abtest.always_valid import Mixture, steady
from evaluation.abtest.design import Design
from evaluation.abtest.effect import Effect, compare
from evaluation.abtest.health import Harm
from evaluation.abtest.novelty import Novelty
from evaluation.abtest.ratios import METRICS
from evaluation.abtest.segments import Segment
from evaluation.abtest.sufficient import Exposed, Users, exposed, user_days
from evaluation.abtest.winsor import Caps
from evaluation.gate import Check
from evaluation.results import Figure, Record

CAPPED = ("pre_impressions", "pre_sales")
"""Of the pre-period's users: what the caps rest on, and all that a look reads of them."""


class ReadOut(Record):
    """One treatment against the control, up to a day."""

    day: str
    """Of the look, the last one read."""
    number: int
    """1 is the first day of the experiment."""
    planned_days: int
    control: str
    treatment: str
    users: dict[str, int]
    """Arm -> users, all arms."""
    primary: Effect
    effects: tuple[Effect, ...]
    """Metrics that are neither primary nor guardrail, at the primary's alpha each."""
    guardrails: tuple[Effect, ...]
    """At the guardrails' own alpha."""
    harms: tuple[Harm, ...] = ()
    trust: tuple[Check, ...]
    """All must hold for anything but a stop."""
    novelty: Novelty | None = None
    segments: tuple[Segment, ...] = ()
    caps: dict[str, float | None]
    """Winsorising: largest totals of a user that count; null: no cap."""

    @property
    def trusted(self) -> bool:
        """No check failed."""
        return all(check.passed is not False for check in self.trust)

    @property
    def every(self) -> tuple[Effect, ...]:
        """Each metric once, at the level at which it is judged: primary, guardrails, the others."""
        once: dict[str, Effect] = {}
        for effect in (self.primary, *self.guardrails, *self.effects):
            once.setdefault(effect.metric, effect)
        return tuple(once.values())

    def figures(self) -> tuple[Figure, ...]:
        """Uplifts as the flat list that every report carries: `abtest_<metric>_uplift`."""
        return tuple(
            Figure(
                name=f"abtest_{effect.metric}_uplift",
                value=effect.uplift.value,
                low=effect.uplift.low,
                high=effect.uplift.high,
                unit="ratio",
                protocol=f"{self.treatment} over {self.control} minus 1, day {self.number}; "
                f"always-valid interval{effect.uplift.at_level}, clustered by user",
            )
            for effect in self.every
        )


def read_out(  # noqa: PLR0913  # each is a part of the log, and most looks have them all
    rows: pa.Table,
    design: Design,
    day: date,
    *,
    treatment: str | None = None,
    before: pa.Table | None = None,
    hours: pa.Table | None = None,
    broken: Sequence[str] = (),
) -> ReadOut:
    """The look at the end of `day`.

    Args:
        rows: of `sufficient.READOUT`, all days of the experiment so far; later ones are ignored.
        design: what was declared.
        day: of the look.
        treatment: the arm that is held against the control; default the first.
        before: the columns CAPPED of all users of the pre-period, whose quantiles
            are the caps at every look; none: nobody is cut.
        hours: of `health.HEALTH`, up to the look; none: errors and latency are not judged.
        broken: what others found wrong with the log, a sentence each.
    """
    arms = tuple(design.arms)
    arm = treatment or design.treatments[0]
    index = arms.index(arm)
    seen = exposed(rows, arms, design.first_day, day)
    caps = _caps(before, design)
    users = winsor.cut(seen.users, caps)
    pair = users.take((users.arm == 0) | (users.arm == index))
    as_two = replace(pair, arm=(pair.arm == index).astype(pair.arm.dtype))
    metric = METRICS[design.rule.primary]
    days = user_days(rows, arms, seen.users, (design.first_day, day), (metric.part, metric.whole))
    primary, mixture = _primary(as_two, design)
    return ReadOut(
        day=day.isoformat(),
        number=design.day_number(day),
        planned_days=design.planned_days,
        control=design.control,
        treatment=arm,
        users=dict(zip(arms, seen.users.count(len(arms)).tolist(), strict=True)),
        primary=primary,
        effects=tuple(_effect(as_two, name, design, design.alpha) for name in _others(design)),
        guardrails=tuple(
            _effect(as_two, name, design, design.guard_alpha) for name in design.rule.guardrails
        ),
        harms=_harms(hours, design, arm),
        trust=_trust(seen, as_two, design, broken),
        novelty=novelty.by_day(
            days, METRICS[design.rule.primary], alpha=design.alpha, treatment=index
        ),
        segments=segments.effects(
            as_two,
            segments.by_activity(as_two),
            METRICS[design.rule.primary],
            mixture,
            adjusted=design.adjusted,
        ),
        caps={
            name: value if value < winsor.INFINITE else None
            for name, value in (("impressions", caps.impressions), ("sales", caps.sales))
        },
    )


def _caps(before: pa.Table | None, design: Design) -> Caps:
    if before is None:
        return Caps()
    impressions, sales = (before[name].to_numpy() for name in CAPPED)
    return winsor.caps(impressions, sales, design.winsorise)


def _primary(users: Users, design: Design) -> tuple[Effect, Mixture]:
    mixture = design.mixture(design.rule.primary, design.alpha)
    metric = METRICS[design.rule.primary]
    return compare(users, metric, mixture, adjusted=design.adjusted), mixture


def _effect(users: Users, name: str, design: Design, alpha: float) -> Effect:
    mixture = design.mixture(name, alpha)
    return compare(users, METRICS[name], mixture, adjusted=design.adjusted)


def _others(design: Design) -> list[str]:
    judged = {design.rule.primary, *design.rule.guardrails}
    return [name for name in design.metrics if name not in judged]


def _harms(hours: pa.Table | None, design: Design, arm: str) -> tuple[Harm, ...]:
    if hours is None:
        return ()
    mixture = steady(design.guard_alpha, design.planned_days)
    return tuple(health.harm(hours, name, (design.control, arm), mixture) for name in health.TITLES)


def _trust(seen: Exposed, pair: Users, design: Design, broken: Sequence[str]) -> tuple[Check, ...]:
    arms = tuple(design.arms)
    counts = dict(zip(arms, seen.users.count(len(arms)).tolist(), strict=True))
    trust = design.trust
    return (
        checks.logging(broken),
        checks.sample_ratio(counts, design.arms, trust.alpha),
        checks.multiple_exposure(seen.several, len(seen.users), trust.max_multiple),
        checks.unknown_arms(seen.unknown_rows, seen.rows, trust.max_unknown),
        checks.pre_period(pair, trust.alpha, design.planned_days),
    )
