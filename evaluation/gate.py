"""Whether a candidate may replace the champion: a pure decision on figures, with every reason.

On moments that neither model trained on. CTR must be shown non-inferior: the lower bound of the
paired difference stays above minus a margin, and the margin is the smallest at which an equally
good model would pass with the planned power, between `min_ctr_margin`, since two trainings of one
recipe differ by chance, and `max_ctr_margin`. If even that one gives less than `min_power`, the day
holds too little to decide and the outcome is "not enough evidence", unless the candidate is shown
non-inferior at the smallest margin all the same. The outcome is that also where clicks could not be
measured. Other tasks and guarded slices are not asked to prove anything; they fail only when they
are significantly worse by more than a tolerance, Holm-corrected over all tasks, and over all
slices. Absolute floors, calibration and quality hold always; a first model faces only those. What
this comes to is measured by `dupn bench gate`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from evaluation.names import CTR
from evaluation.paired import NORMAL, Comparison, Difference, holm
from evaluation.rounding import apart
from infra.config import Config, incompatible, nearest

MEASURED = (
    *("ctr_auc", "l2r_auc", "l2r_weighted_auc", "l2r_purchase_auc", "ppp_precision", "fifp_auc"),
    *("spp_auc", "ppp_recall"),
)
"""What names of figures begin with: those of `evaluation.measures`, which is slow to import, and
the recall of price levels."""


class GateConfig(Config):
    """What a candidate must show."""

    floors: dict[str, float] = Field({"ctr_auc": 0.55, "l2r_auc": 0.52, "fifp_auc": 0.52})
    """Lowest value of a figure (`ctr_auc`, or one made of it), champion or not; of what was not
    asked, measured or trained for (`train.tasks`) the gate says that it was not judged."""
    max_calibration_error: float = Field(0.05, gt=0)
    """Largest ECE of the click probabilities."""
    min_positives: int = Field(100, ge=1)
    """Clicks in the evaluation day below which nothing can be decided; as many candidates must have
    gone without one."""
    min_users: int = Field(50, ge=2)
    """Users in the evaluation day below which nothing can be decided."""
    alpha: float = Field(0.05, ge=1e-9, lt=0.5)
    """One-sided error of every test but of calibration's, which goes by `evaluate.level`."""
    power: float = Field(0.95, gt=0.5, lt=1)
    """Planned chance that a candidate exactly as good as the champion passes on CTR."""
    min_power: float = Field(0.8, gt=0.5, lt=1)
    """That chance at `max_ctr_margin` below which nothing can be decided."""
    min_ctr_margin: float = Field(0.005, ge=0)
    """Smallest margin: the same training with another seed differs by about 0.001 in CTR AUC."""
    max_ctr_margin: float = Field(0.01, gt=0)
    """CTR AUC that may never be lost, however noisy the day."""
    tolerance: float = Field(0.002, ge=0)
    """What another task may lose without being called worse."""
    slice_tolerance: float = Field(0.01, ge=0)
    """The same for a slice, of which a night holds little: 0.01 is what the whole may lose."""

    @field_validator("floors")
    @classmethod
    def _measured(cls, floors: dict[str, float]) -> dict[str, float]:
        """A floor of what there is not would never be judged."""
        for name in floors:
            if not any(name == one or name.startswith(f"{one}_") for one in MEASURED):
                near = nearest(name, MEASURED) or ", ".join(MEASURED)
                raise ValueError(f"{name} is no figure of a model; did you mean {near}?")
        return floors

    @model_validator(mode="after")
    def _least_is_below_most(self) -> "GateConfig":
        if self.min_ctr_margin > self.max_ctr_margin:
            raise incompatible(
                "gate.min_ctr_margin is above gate.max_ctr_margin, which may never be lost: "
                "lower gate.min_ctr_margin, or raise gate.max_ctr_margin"
            )
        if self.min_power > self.power:
            raise incompatible(
                "gate.min_power is above gate.power, the planned one: "
                "lower gate.min_power, or raise gate.power"
            )
        return self


class Outcome(StrEnum):
    """What the gate decided."""

    PROMOTE = "promote"
    KEEP_CHAMPION = "keep the champion"
    REFUSE = "refuse"
    """There is no champion yet and the first model does not meet the floors."""
    NOT_ENOUGH_EVIDENCE = "not enough evidence"


class Check(BaseModel):
    """One thing that was looked at."""

    model_config = ConfigDict(frozen=True)

    name: str
    passed: bool | None
    """Null: could not be judged, which fails nothing."""
    sentence: str


class Verdict(BaseModel):
    """The decision and everything it rests on."""

    model_config = ConfigDict(frozen=True)

    outcome: Outcome
    checks: tuple[Check, ...]

    @property
    def promoted(self) -> bool:
        """Whether the candidate becomes the champion."""
        return self.outcome is Outcome.PROMOTE

    @property
    def failed(self) -> tuple[str, ...]:
        """A sentence for every failed check."""
        return tuple(check.sentence for check in self.checks if check.passed is False)


@dataclass(frozen=True)
class Evidence:
    """What is known of one model on the evaluation day."""

    figures: Mapping[str, float | None]
    """`ctr_auc`, `ctr_ece`, ...; null where there was not enough to say."""
    positives: int
    """Clicks."""
    negatives: int
    """Candidates that were not clicked."""
    users: int
    """Who were asked about candidates."""
    calibration_low: float | None = None
    """Lower end of the interval of `ctr_ece`; None: not known, its value is taken for all there
    is to know."""
    untrained: frozenset[str] = frozenset()
    """Tasks that the model was not trained for (`fifp`): their heads answer at random."""

    def learnt(self, figure: str) -> bool:
        """Whether the model was trained for the task of a figure."""
        return figure.partition("_")[0] not in self.untrained


def decide(
    candidate: Evidence,
    champion: Evidence | None,
    comparison: Comparison | None,
    quality: Sequence[str],
    config: GateConfig,
    further: Sequence[Check] = (),
) -> Verdict:
    """Promote unless a check fails.

    Args:
        candidate: figures of the new model.
        champion: figures of the model in production on the same moments; None: there is none.
        comparison: paired differences; needed when there is a champion.
        quality: a sentence for every critical expectation that failed; empty is good.
        config: the thresholds.
        further: checks that others made (frozen heads, days trained by force).
    """
    checks = [*_quality(quality), *_floors(candidate, config)]
    evidence = [_enough(candidate, config), *_unmeasured(candidate)]
    calibration = _calibration(candidate, config)
    doubtful = calibration.passed is False and _by_chance(candidate)
    (evidence if doubtful else checks).append(calibration)
    checks.extend(further)
    if champion is not None and comparison is not None:
        learnt = _learnt_by_either(comparison, candidate, champion)
        if CTR in learnt:
            power, margin = _planned_margin(comparison.ctr, config)
            evidence.append(power)
            if margin is not None:
                checks.append(_non_inferior(comparison.ctr, margin, config))
        else:
            sentence = "no model was trained for clicks: none can be worse at them."
            checks.append(Check(name="non-inferior", passed=None, sentence=sentence))
        checks.extend(_not_worse([one for one in comparison.others if one.name in learnt], config))
    elif champion is not None:
        sentence = "candidate and champion were not compared on the same moments."
        evidence.append(Check(name="comparison", passed=False, sentence=sentence))
    return Verdict(
        outcome=_outcome(checks, evidence, first=champion is None), checks=(*evidence, *checks)
    )


def _learnt_by_either(comparison: Comparison, *models: Evidence) -> set[str]:
    names = (comparison.ctr.name, *(one.name for one in comparison.others))
    return {name for name in names if any(one.learnt(name) for one in models)}


def _outcome(checks: Sequence[Check], evidence: Sequence[Check], *, first: bool) -> Outcome:
    """A real failure outweighs missing evidence: more data would not mend it."""
    if any(check.passed is False for check in checks):
        return Outcome.REFUSE if first else Outcome.KEEP_CHAMPION
    if any(check.passed is False for check in evidence):
        return Outcome.NOT_ENOUGH_EVIDENCE
    return Outcome.PROMOTE


def _enough(candidate: Evidence, config: GateConfig) -> Check:
    few, unclicked = config.min_positives, candidate.negatives
    passed = candidate.positives >= few and candidate.users >= config.min_users
    sentence = (
        f"the day holds {candidate.positives:,} clicks among candidates of "
        f"{candidate.users:,} users (needed: {few:,} and {config.min_users:,})"
    )
    if candidate.learnt(CTR):
        passed = passed and unclicked >= few
        sentence += f", and {unclicked:,} candidates that were not clicked (needed: {few:,})"
    return Check(name="evidence", passed=passed, sentence=f"{sentence}.")


def _unmeasured(candidate: Evidence) -> list[Check]:
    """Fails where a model that was trained for clicks has no CTR AUC, and says why.

    Another figure may be missing, as a night has few follows; without this one nothing would be
    known of a first model, which faces floors alone.
    """
    if not candidate.learnt(CTR) or candidate.figures.get(CTR) is not None:
        return []
    why = "the report says of what there was too little"
    if not candidate.positives:
        why = "nothing that was shown that day was clicked"
    elif not candidate.negatives:
        why = "everything that was shown that day was clicked (does the log hold what was not?)"
    return [Check(name="clicks", passed=False, sentence=f"CTR AUC could not be judged: {why}.")]


def _quality(failed: Sequence[str]) -> list[Check]:
    if not failed:
        return [Check(name="quality", passed=True, sentence="every critical expectation holds.")]
    return [Check(name="quality", passed=False, sentence=sentence) for sentence in failed]


def _floors(candidate: Evidence, config: GateConfig) -> list[Check]:
    checks = []
    for name, floor in config.floors.items():
        value = candidate.figures.get(name) if candidate.learnt(name) else None
        if value is None:
            what = "could not be measured" if name in candidate.figures else "was not asked"
            if not candidate.learnt(name):
                what = "is of a task that was not trained (not in train.tasks, or asked nowhere)"
            sentence = f"{name} {what}, so its floor {floor:g} was not judged."
            checks.append(Check(name=f"floor {name}", passed=None, sentence=sentence))
        else:
            verb = "meets" if value >= floor else "is under"
            sentence = f"{name} {apart(value, floor)} {verb} the floor {floor:g}."
            checks.append(Check(name=f"floor {name}", passed=value >= floor, sentence=sentence))
    return checks


def _calibration(candidate: Evidence, config: GateConfig) -> Check:
    value, limit = candidate.figures.get("ctr_ece"), config.max_calibration_error
    if value is None or not candidate.learnt(CTR):
        why = "judged: the report says why" if "ctr_ece" in candidate.figures else "measured"
        untold = f"calibration of clicks was not {why}."
        return Check(name="calibration", passed=None, sentence=untold)
    passed, off = value <= limit, apart(value, limit)
    verb = "is within" if passed else "is above"
    sentence = f"click probabilities are off by {off} on average, which {verb} {limit:g}."
    if not passed and _by_chance(candidate):
        sentence += " So few clicks may be as far off by chance."
    return Check(name="calibration", passed=passed, sentence=sentence)


def _by_chance(candidate: Evidence) -> bool:
    """Whether a model that says the right probabilities could look as badly calibrated.

    The error sums absolute gaps, so chance only adds to it: of a perfect model too it is above
    `max_calibration_error` on every second day of 150 clicks. Its interval then begins at 0.
    """
    return candidate.calibration_low is not None and candidate.calibration_low <= 0


def margin(ctr: Difference, config: GateConfig) -> float | None:
    """What CTR AUC may be shown to lose; None where the day holds too little to decide."""
    return _planned_margin(ctr, config)[1]


def _planned_margin(ctr: Difference, config: GateConfig) -> tuple[Check, float | None]:
    """The margin at which an equal model passes with the planned power, or why there is none.

    Power is a plan for what the day may show; what it has shown needs none. A candidate whose lower
    bound is above minus the smallest margin passes whatever the power, or a champion so bad, or so
    different, that the paired error is large could never be replaced. One that is worse by that
    margin still gets so far with probability `alpha` at most, as that is what the bound means, and
    however noisy the day: the noise moves the bound away from it.
    """
    if ctr.error is None or ctr.value is None:
        sentence = (
            "the CTR AUC of the two models could not be compared: too few clicks, candidates "
            "without one, or users."
        )
        return Check(name="power", passed=False, sentence=sentence), None
    planned, needed = (
        (NORMAL.inv_cdf(1 - config.alpha) + NORMAL.inv_cdf(power)) * ctr.error
        for power in (config.power, config.min_power)
    )
    sentence = (
        f"to pass an equal model with power {config.min_power:g}, the day needs a CTR margin of "
        f"{apart(needed, config.max_ctr_margin)} (allowed: {config.max_ctr_margin:g})."
    )
    if needed <= config.max_ctr_margin:
        margin = min(max(planned, config.min_ctr_margin), config.max_ctr_margin)
        return Check(name="power", passed=True, sentence=sentence), margin
    smallest = config.min_ctr_margin
    if ctr.bound(config.alpha) < -smallest:
        return Check(name="power", passed=False, sentence=sentence), None
    sentence = sentence.removesuffix(".") + f"; the answer is clear at {smallest:g} without it."
    return Check(name="power", passed=True, sentence=sentence), smallest


def _non_inferior(ctr: Difference, margin: float, config: GateConfig) -> Check:
    bound = ctr.bound(config.alpha)
    passed = bound >= -margin
    claim = "is" if passed else "was not shown to be"
    sentence = (
        f"CTR {claim} non-inferior: the candidate's AUC differs by {ctr.value:+.4f} (lower bound "
        f"{apart(bound, -margin, sign='+')} at {100 * (1 - config.alpha):g}%), the margin is "
        f"{apart(margin, -bound)}."
    )
    return Check(name="ctr non-inferiority", passed=passed, sentence=sentence)


def _not_worse(others: Sequence[Difference], config: GateConfig) -> list[Check]:
    """Tasks, and slices, each corrected among themselves."""
    slices = [other for other in others if "[" in other.name]
    tasks = [other for other in others if "[" not in other.name]
    adjusted = holm(tasks, config.tolerance) | holm(slices, config.slice_tolerance)
    checks = []
    for other in others:
        if other.name not in adjusted:
            sentence = f"{other.name} could not be compared: too few positives or users."
            checks.append(Check(name=other.name, passed=None, sentence=sentence))
            continue
        passed = adjusted[other.name] >= config.alpha
        allowed = config.slice_tolerance if other in slices else config.tolerance
        sentence = (
            f"{other.name} {'is not' if passed else 'is'} significantly worse by more than "
            f"{allowed:g}: {other.value:+.4f} (Holm p {adjusted[other.name]:.3g})."
        )
        checks.append(Check(name=other.name, passed=passed, sentence=sentence))
    return checks
