"""One result a measure: the model beside its yardsticks and the ceiling, all paired."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from evaluation import drawn, measures, metrics
from evaluation.bootstrap import Interval
from evaluation.ceiling import Truth
from evaluation.measures import MEASURES, Bench, Measure, Measured
from evaluation.metrics import AnyArray
from evaluation.predictions import Answers
from evaluation.questions import Questions
from evaluation.results import ClassResult, Estimate, Rival, TaskResult
from evaluation.slices import Part
from evaluation.yardsticks import MAX_ENTROPY, Yardstick
from features.schemas import PRICE_LEVELS

CEILING = ("ceiling", "the truth (ceiling)")
VISIBLE = ("visible_ceiling", "the truth less what no history shows")


@dataclass(frozen=True)
class Others:
    """Who else answered the questions."""

    yardsticks: Sequence[Yardstick] = ()
    truth: Truth = field(default_factory=Truth)
    when: str = "next day"
    """Which moments, in the words of a figure's protocol."""
    negatives: str = ""
    """By which protocol those of derived moments were drawn; "" where nobody knows."""


@dataclass(frozen=True)
class Asked:
    """A measure on its part of the questions."""

    measure: Measure
    keep: AnyArray | None


def scores_of(answers: Answers, measure: Measure) -> AnyArray:
    """The model's answers as the measure takes them; for PPP the likeliest level."""
    if measure.task == "ppp":
        return answers.ppp.argmax(axis=1) if len(answers.ppp) else np.empty(0, np.int64)
    return np.asarray(getattr(answers, measure.task))


def asked(questions: Questions, negatives: str = "") -> list[Asked]:
    """Every measure with its protocol; derived moments get the harder one beside the headline.

    Args:
        questions: of a day.
        negatives: as of `Others`, for the words of the protocol.
    """
    candidates = questions.candidates
    derived = measures.is_derived(candidates)
    found = []
    for measure in MEASURES:
        if measure.place != "candidates":
            found.append(Asked(measure, None))
            continue
        words = drawn.figure(candidates, negatives)
        named = replace(measure, protocol=_joined(words, measure.protocol))
        found.append(Asked(named, measures.headline(candidates) if derived else None))
        if not derived or measure.name != "ctr_auc":
            continue
        same = measures.same_category(candidates)
        if same.any():
            harder = replace(
                measure,
                name="ctr_auc_same_category",
                title="Click (CTR), same category",
                protocol=drawn.harder(negatives),
            )
            found.append(Asked(harder, same))
    return found


def results(bench: Bench, answers: Answers, others: Others) -> list[TaskResult]:
    """All measures in order."""
    asks = asked(bench.questions, others.negatives)
    return [_result(bench, ask, answers, others) for ask in asks]


def part_of(ask: Asked, part: Part) -> Asked:
    """The same measure on one slice."""
    keep = part.keep if ask.keep is None else part.keep & ask.keep
    return Asked(ask.measure, keep)


def _result(bench: Bench, ask: Asked, answers: Answers, others: Others) -> TaskResult:
    measure = ask.measure
    scores = scores_of(answers, measure)
    model = bench.measure(measure, scores, ask.keep)
    base = measure.name.removesuffix("_same_category")
    chance = _chance(bench, measure)
    ceiling = _against(bench, ask, scores, CEILING, others.truth.best.get(base))
    visible = _against(bench, ask, scores, VISIBLE, others.truth.visible.get(base))
    return TaskResult(
        name=measure.name,
        task=measure.task,
        title=measure.title,
        unit=measure.unit,
        protocol=_joined(others.when, measure.protocol),
        questions=model.questions,
        positives=model.positives,
        users=model.users,
        model=Estimate.of(model.interval),
        chance=chance,
        rivals=tuple(
            _rival(bench, model, bench.measure(measure, other.scores, ask.keep), other)
            for other in others.yardsticks
            if base in other.measures and model.questions
        ),
        ceiling=ceiling.rival if ceiling else None,
        visible=visible.rival if visible else None,
        share=Estimate.of(_share(bench, ceiling, chance)) if ceiling else None,
        reason=model.reason,
    )


def _rival(bench: Bench, model: Measured, other: Measured, who: Yardstick) -> Rival:
    return Rival(
        name=who.name,
        title=who.title,
        estimate=Estimate.of(other.interval),
        difference=Estimate.of(model.minus(other, bench.resamples)),
    )


def _chance(bench: Bench, measure: Measure) -> float:
    """0.5 for an AUC; for PPP the share of the day's commonest level."""
    if measure.unit == "AUC":
        return 0.5
    level = bench.questions.prices.level
    return float(np.bincount(level).max() / len(level)) if len(level) else 1 / PRICE_LEVELS


@dataclass(frozen=True)
class _Against:
    """Model and truth on the questions whose truth is known."""

    rival: Rival
    model: Measured
    best: Measured


def _against(
    bench: Bench, ask: Asked, scores: AnyArray, title: tuple[str, str], truth: AnyArray | None
) -> _Against | None:
    if truth is None:
        return None
    known = np.isfinite(truth)
    keep = known if ask.keep is None else known & ask.keep
    if not keep.any():
        return None
    model = bench.measure(ask.measure, scores, keep)
    best = bench.measure(ask.measure, truth, keep)
    who = Yardstick(*title, (), truth)
    return _Against(_rival(bench, model, best, who), model, best)


def _share(bench: Bench, against: _Against, chance: float) -> Interval:
    """What the model has above chance, over what the truth has."""
    model, best = against.model, against.best
    room = best.value - chance
    if not room > 0:
        return Interval(metrics.NAN)
    value = (model.value - chance) / room
    if model.reason is not None:
        return Interval(value)
    rooms = best.replicates - chance
    replicates = np.divide(
        model.replicates - chance, rooms, out=np.full(len(rooms), np.nan), where=rooms > 0
    )
    return bench.resamples.interval(value, replicates)


def price_classes(
    bench: Bench, answers: Answers, yardsticks: Sequence[Yardstick] = ()
) -> list[ClassResult]:
    """Precision and recall of each price level, MaxEnt's beside the model's."""
    if not len(bench.questions.prices.level):
        return []
    mine = _classes(bench, answers.ppp.argmax(axis=1))
    said = next((one.scores for one in yardsticks if one.name == MAX_ENTROPY), None)
    if said is None:
        return mine
    theirs = _classes(bench, said)
    pairs = zip(mine, theirs, strict=True)
    return [own.model_copy(update={"rival": other}) for own, other in pairs]


def _classes(bench: Bench, said: AnyArray) -> list[ClassResult]:
    prices = bench.questions.prices
    user = bench.questions.user_of(prices.moment)
    out = []
    for level in range(PRICE_LEVELS):
        true, chosen = prices.level == level, said == level
        hit = true & chosen
        intervals = {}
        for name, of in (("precision", chosen), ("recall", true)):
            intervals[name] = Estimate.of(bench.share(hit[of], user[of]).interval)
        out.append(ClassResult(level=level + 1, questions=int(true.sum()), **intervals))
    return out


def _joined(*words: str) -> str:
    return "; ".join(word for word in words if word)
