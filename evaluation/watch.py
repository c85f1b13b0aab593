"""One night seen from outside: how good, how stale, how forgetful, how large, how long.

Pure functions on answers, manifests' numbers and the nights before; `pipeline.nights.watching`
fetches them. Three questions are asked of models, all on moments that the asked model has not
learnt (where it has, the protocol of the figure says so):

- progressive validation: the champion on the new day, before it trains on it;
- staleness: models of the line of growing age on the new day;
- forgetting: tonight's model on older days, against the model that was tonight's then.
"""

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from statistics import median

from evaluation import tasks
from evaluation.measures import Bench, Measured
from evaluation.names import HEADS, JUDGED
from evaluation.predictions import Predictions
from evaluation.results import Estimate, Figure, Record
from evaluation.rounding import apart
from evaluation.settings import EvaluateConfig, WatchConfig
from evaluation.tasks import Asked, scores_of

PROGRESSIVE = "watch_progressive"
OF_A_MEDIAN = 1.2533
"""Standard error of a median over that of a mean, of a normal law: sqrt(pi / 2)."""


class Night(Record):
    """What is kept of one night."""

    day: str
    run: str
    parent: str
    figures: tuple[Figure, ...]
    alerts: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    outcome: str = ""
    """Of the gate; empty where it was not asked."""

    def figure(self, name: str) -> Figure | None:
        """By name."""
        return next((figure for figure in self.figures if figure.name == name), None)

    def value(self, name: str) -> float | None:
        """Of a figure; None where there is none."""
        found = self.figure(name)
        return found.value if found else None


def settings(config: WatchConfig, evaluate: EvaluateConfig) -> EvaluateConfig:
    """How a night is measured: as a report, with draws of its own."""
    return evaluate.model_copy(update={"replicates": config.replicates, "seed": config.seed})


def progressive(answered: Predictions, config: EvaluateConfig, protocol: str) -> Iterator[Figure]:
    """Every watched measure of the champion on the new day."""
    on = Bench.of(answered.questions, config)
    for ask, found in _measured(on, answered):
        yield Figure(
            name=f"{PROGRESSIVE}_{ask.measure.name}",
            **Estimate.of(found.interval).model_dump(),
            unit=ask.measure.unit,
            protocol=protocol,
        )


def staleness(answered: Mapping[int, Predictions], config: EvaluateConfig) -> Iterator[Figure]:
    """The watched measures against the age of the model, in days; all on the same moments."""
    on: Bench | None = None
    for age, answers in sorted(answered.items()):
        on = on or Bench.of(answers.questions, config)
        for ask, found in _measured(on, answers):
            yield Figure(
                name=f"watch_age_{age}_{ask.measure.name}",
                **Estimate.of(found.interval).model_dump(),
                unit=ask.measure.unit,
                protocol=f"the line's model whose last training day is {age} days before",
            )


def forgetting(
    back: int, tonight: Predictions, then: Predictions, config: EvaluateConfig, protocol: str
) -> Iterator[Figure]:
    """Tonight's model on the day `back` days ago, and what it lost or won since (paired)."""
    on = Bench.of(tonight.questions, config)
    for (ask, mine), (_, theirs) in zip(_measured(on, tonight), _measured(on, then), strict=True):
        name, unit = ask.measure.name, ask.measure.unit
        for kind, interval in (
            ("back", mine.interval),
            ("change", mine.minus(theirs, on.resamples)),
        ):
            yield Figure(
                name=f"watch_{kind}_{back}_{name}",
                **Estimate.of(interval).model_dump(),
                unit=unit,
                protocol=protocol,
            )


def drops(
    figures: Sequence[Figure],
    before: Sequence[Night],
    config: WatchConfig,
    untrained: Collection[str] = (),
    whose: str = "the champion",
) -> Iterator[str]:
    """A sentence for each measure of the line's model that fell by more than it may.

    The fall must be more than chance moves the night and the median of those before, at the level
    of the intervals: a small day's noise wakes nobody. Figures without an interval, which are of
    days that hold too little to say anything, are neither judged nor part of the median.

    Args:
        figures: of tonight.
        before: earlier nights, in any order.
        config: the limit, and how many nights it is held against.
        untrained: tasks that nobody trained, whose heads answer at random.
        whose: the model that was asked, as the sentence names it.
    """
    judged = [name for name in JUDGED if name.removesuffix("_auc") not in untrained]
    newest = sorted(before, key=lambda night: night.day)[-config.median_nights :]
    for figure in figures:
        name = figure.name.removeprefix(f"{PROGRESSIVE}_")
        if name == figure.name or name not in judged or (tonight := _known(figure)) is None:
            continue
        past = [one for night in newest if (one := _known(night.figure(figure.name))) is not None]
        if len(past) < config.min_nights:
            continue
        value, reach = tonight
        usual = median(one for one, _ in past)
        of_usual = OF_A_MEDIAN * median(one for _, one in past) / math.sqrt(len(past))
        fall = usual - value
        if fall > config.max_auc_drop and fall > math.hypot(reach, of_usual):
            yield (
                f"{name} of {whose} on the new day is {value:.4f}, "
                f"{apart(fall, config.max_auc_drop)} under the median of {len(past)} nights before "
                f"({usual:.4f}; allowed {config.max_auc_drop:g})."
            )


def _known(figure: Figure | None) -> tuple[float, float] | None:
    """Value, and how far its interval reaches above it; None without an interval."""
    if figure is None or figure.value is None or figure.high is None:
        return None
    return figure.value, figure.high - figure.value


def counted(counts: Mapping[str, float], unit: str, protocol: str) -> Iterator[Figure]:
    """Plain numbers of a night as figures `watch_<name>`."""
    for name, value in counts.items():
        yield Figure(name=f"watch_{name}", value=float(value), unit=unit, protocol=protocol)


def _measured(on: Bench, answered: Predictions) -> Iterator[tuple[Asked, Measured]]:
    for ask in tasks.asked(on.questions):
        if ask.measure.name not in HEADS:
            continue
        found = on.measure(ask.measure, scores_of(answered.answers, ask.measure), ask.keep)
        if found.questions:
            yield ask, found
