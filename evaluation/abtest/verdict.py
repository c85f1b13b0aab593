"""Continue, ship or stop: a pure decision on a read-out and what was declared, with every reason.

Order matters. Harm stops the experiment even when its numbers are doubted, for doubt is no reason
to go on harming. What is doubted never ships. Only then is the primary metric asked: it ships when
its always-valid interval lies above the declared effect and no guardrail is significantly worse; it
is stopped when it is significantly worse, when the interval leaves no room for an effect worth
having, and at the planned end. Since every interval here holds at all looks at once, asking daily
costs nothing.
"""

from collections.abc import Iterator
from enum import StrEnum

from evaluation.abtest.always_valid import NORMAL
from evaluation.abtest.design import Design
from evaluation.abtest.effect import Bounds, percent, uplift
from evaluation.abtest.health import DIFFERENT
from evaluation.abtest.readout import ReadOut
from evaluation.results import Record


class Outcome(StrEnum):
    """What becomes of the experiment."""

    CONTINUE = "continue"
    SHIP = "ship"
    """The treatment's line becomes the champion's."""
    STOP = "stop"
    """The treatment's line is retired."""


class Verdict(Record):
    """The decision and why."""

    outcome: Outcome
    reasons: tuple[str, ...]
    """Sentences; the first one decided."""

    @property
    def final(self) -> bool:
        """The experiment is over."""
        return self.outcome is not Outcome.CONTINUE


def decide(seen: ReadOut, design: Design) -> Verdict:
    """The verdict on one treatment at one look."""
    harmful, held = list(_harmful(seen, design)), list(_held(seen))
    if harmful:
        return Verdict(outcome=Outcome.STOP, reasons=tuple(harmful))
    ended = seen.number >= design.planned_days
    doubts = [check.sentence for check in seen.trust if check.passed is False]
    if doubts:
        last = "The planned end is reached and the data cannot be trusted: start anew."
        tail = last if ended else "Nothing ships while this stands."
        outcome = Outcome.STOP if ended else Outcome.CONTINUE
        return Verdict(outcome=outcome, reasons=(*doubts, tail))
    outcome, reason = _primary(seen, design)
    if outcome is Outcome.SHIP and held:
        return Verdict(outcome=Outcome.STOP if ended else Outcome.CONTINUE, reasons=(*held, reason))
    if outcome is Outcome.CONTINUE and ended:
        return Verdict(outcome=Outcome.STOP, reasons=(_futile(seen, design), *held, reason))
    return Verdict(outcome=outcome, reasons=(reason, *held))


def _primary(seen: ReadOut, design: Design) -> tuple[Outcome, str]:
    """What the primary metric alone says."""
    effect, rule = seen.primary, design.rule
    if effect.uplift.low is None or effect.uplift.high is None:
        return Outcome.CONTINUE, f"{effect.title}: {effect.reason or 'no interval yet.'}"
    said = f"{effect.title}: {interval(effect.uplift)}"
    if effect.uplift.high < 0:
        return Outcome.STOP, f"{said}, significantly worse than {seen.control}."
    if effect.uplift.low > rule.ship_above:
        if seen.number < rule.min_days:
            days = f"day {seen.number} of at least {rule.min_days}"
            return Outcome.CONTINUE, f"{said}, better, but it is {days}."
        return Outcome.SHIP, f"{said}, above {rule.ship_above:+.2%} at any look."
    if effect.uplift.high < rule.minimum_effect:
        least = f"{rule.minimum_effect:+.2%}"
        return Outcome.STOP, f"{said}, leaves no room for the {least} that would be worth it."
    return Outcome.CONTINUE, f"{said}, undecided on day {seen.number} of {seen.planned_days}."


def _harmful(seen: ReadOut, design: Design) -> Iterator[str]:
    """Guardrails that are broken by significantly more than is tolerated."""
    for effect in seen.guardrails:
        drop = design.rule.guardrails[effect.metric]
        if effect.uplift.high is not None and effect.uplift.high < -drop:
            tolerated = f"more than the {drop:.2%} tolerated" if drop else "significantly worse"
            yield f"guardrail {effect.title}: {interval(effect.uplift)}, {tolerated}."
    for harm in seen.harms:
        tolerance = _tolerance(harm.name, design)
        if harm.exceeds(tolerance):
            yield (
                f"guardrail {harm.title}: {harm.control:.3%} became {harm.treatment:.3%} (rise of "
                f"{harm.rise.low:.3%} or more), above the {tolerance:.3%} tolerated."
            )


def _held(seen: ReadOut) -> Iterator[str]:
    """Guardrails that are significantly worse, if within what is tolerated: these never ship."""
    for effect in seen.guardrails:
        if effect.worse:
            yield f"guardrail {effect.title}: {interval(effect.uplift)}, worse, hence no launch."
        elif effect.reason and effect.control:  # the treatment's alone is not known
            yield f"guardrail {effect.title} cannot be told: {effect.reason} Hence no launch."
    for harm in seen.harms:
        if harm.exceeds(0.0):
            yield f"guardrail {harm.title} rose by {harm.rise.low:.3%} or more, hence no launch."
        elif harm.reason == DIFFERENT:
            yield f"guardrail {harm.title} cannot be told: {harm.reason} Hence no launch."


def _tolerance(name: str, design: Design) -> float:
    return design.rule.max_error_rise if name == "errors" else design.rule.max_slow_rise


def _futile(seen: ReadOut, design: Design) -> str:
    end = f"the planned end (day {design.planned_days}) is reached without a decision"
    if seen.primary.error is None:
        return f"{end}."
    mixture = design.mixture(design.rule.primary, design.alpha)
    error = seen.primary.error
    reach = (mixture.multiplier(error) + NORMAL.inv_cdf(design.rule.power)) * error  # of the log
    return (
        f"{end}; with this traffic an effect of {percent(uplift(reach))} would "
        f"have been found with power {design.rule.power:.0%}."
    )


def interval(bounds: Bounds) -> str:
    """`+2.10% (+0.40% to +3.90%)`, always-valid; bounds that know nothing are cut (`percent`)."""
    if bounds.value is None or bounds.low is None or bounds.high is None:
        return "no estimate"
    return f"{percent(bounds.value)} ({percent(bounds.low)} to {percent(bounds.high)})"
