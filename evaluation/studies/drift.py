"""Does the nightly update hold up against drift? Frozen, nightly and full retrain, day by day.

Every model is asked the whole new day, none of which it has learnt. A **cell** is one seed: its own
world, its own people, its own first weights. Within a cell intervals come from a bootstrap that
draws people, the same ones on every day and for every arm, so differences and means over days are
paired. Over cells they are Student's intervals of the cells' means: as each cell has people of its
own, the spread of the means holds both sources of chance. Two cells have no interval.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from evaluation import tasks
from evaluation.bootstrap import Interval, Resamples
from evaluation.measures import Bench
from evaluation.metrics import NAN, Floats
from evaluation.predictions import Predictions
from evaluation.results import Figure, Record, finite
from evaluation.settings import EvaluateConfig
from evaluation.studies import cells as studies
from evaluation.studies.cells import figure, figure_over, over_cells, percentiles
from evaluation.tasks import scores_of

MEASURES = ("ctr_auc", "l2r_auc", "ppp_precision", "fifp_auc")


class Arm(StrEnum):
    """How a model is kept up."""

    FROZEN = "frozen"
    """Trained once on the first days."""
    NIGHTLY = "nightly"
    """The same, updated every night."""
    RETRAIN = "retrain"
    """Trained anew on as many last days, every few days, and used until the next."""


@dataclass(frozen=True)
class Shape:
    """How many days of what."""

    trained: int = 10
    nights: int = 15
    every: int = 5
    """Days between two retrains."""

    @property
    def days(self) -> int:
        """Of the whole study."""
        return self.trained + self.nights

    @property
    def asked(self) -> range:
        """Numbers of the days that are asked, the first day being 1."""
        return range(self.trained + 1, self.days + 1)

    def retrained(self, day: int) -> int | None:
        """The day for which the retrain in use on `day` was fresh; None before the first."""
        fresh = day - day % self.every
        return fresh if fresh > self.trained else None


class Score(Record):
    """One arm on one day of one cell."""

    arm: Arm
    day: int
    measure: str
    value: float | None
    replicates: tuple[float, ...] = ()
    """The same people drawn for every arm and day; empty: too few to say."""
    age: int = 0
    """Days since the arm's model learnt last."""


class Cost(Record):
    """What one training took."""

    arm: Arm
    day: int
    """The day for which it was made."""
    moments: int
    wall_s: float
    cpu_s: float


class Cell(studies.Cell):
    """Everything that one seed gave."""

    seed: int
    scores: tuple[Score, ...]
    costs: tuple[Cost, ...]


class People:
    """Draws of a world's users that hold for all its days."""

    def __init__(self, hashes: Floats, config: EvaluateConfig) -> None:
        self.hashes = np.unique(hashes)
        self.config = config
        self.drawn = Resamples.draw(len(self.hashes), config.replicates, config.seed, config.level)

    def bench(self, answered: Predictions) -> Bench:
        """Measures one day with these draws."""
        moments = answered.questions.moments
        first = np.flatnonzero(np.r_[True, np.diff(moments.user) != 0])[: len(moments.user)]
        rows = np.searchsorted(self.hashes, moments.user_hash[first])
        mine = Resamples(self.drawn.counts[rows], self.config.level)
        return Bench(answered.questions, mine, self.config)

    def scores(self, answered: Predictions, arm: Arm, day: int, age: int) -> Iterator[Score]:
        """The arm's score on every measure of the day."""
        on = self.bench(answered)
        for ask in tasks.asked(on.questions):
            name = ask.measure.name
            if name not in MEASURES:
                continue
            found = on.measure(ask.measure, scores_of(answered.answers, ask.measure), ask.keep)
            known = () if found.reason else tuple(np.round(found.replicates, 6).tolist())
            value = finite(found.value)
            yield Score(arm=arm, day=day, measure=name, value=value, replicates=known, age=age)


Days = Mapping[int, Score]


def series(cell: Cell, arm: Arm, measure: str) -> Days:
    """An arm's days of one cell."""
    return {s.day: s for s in cell.scores if s.arm is arm and s.measure == measure}


def fresh(cell: Cell, measure: str) -> list[int]:
    """Days on which the retrain is a day old: the retrain at its best."""
    return [day for day, score in series(cell, Arm.RETRAIN, measure).items() if score.age == 1]


def contrast(cell: Cell, one: Arm, other: Arm, measure: str, days: Sequence[int]) -> Interval:
    """Mean of `one` minus `other` over days, within a cell; paired by people."""
    mine, theirs = series(cell, one, measure), series(cell, other, measure)
    both = [
        (mine[day], theirs[day])
        for day in days
        if day in mine and day in theirs
        if mine[day].value is not None and theirs[day].value is not None
    ]
    if not both:
        return Interval(NAN)
    value = float(np.mean([(a.value or 0) - (b.value or 0) for a, b in both]))
    if not all(a.replicates and b.replicates for a, b in both):
        return Interval(value)
    drawn = np.mean([np.array(a.replicates) - np.array(b.replicates) for a, b in both], axis=0)
    return percentiles(value, drawn)


def by_day(cells: Sequence[Cell], arm: Arm, measure: str) -> dict[int, Interval]:
    """An arm's mean over cells on each day."""
    return {day: over_cells(values) for day, values in _of_days(cells, arm, measure).items()}


def _of_days(cells: Sequence[Cell], arm: Arm, measure: str) -> dict[int, list[Interval]]:
    """An arm's figure on each day, of the cells that know it."""
    found: dict[int, list[Interval]] = {}
    for cell in cells:
        for day, score in series(cell, arm, measure).items():
            if score.value is not None:
                drawn = np.array(score.replicates)
                one = percentiles(score.value, drawn) if len(drawn) else Interval(score.value)
                found.setdefault(day, []).append(one)
    return dict(sorted(found.items()))


def headline(cells: Sequence[Cell]) -> Iterator[Figure]:
    """The contrasts that the study is about, and what each arm costs."""
    for measure in MEASURES:
        unit = "share" if measure.startswith("ppp") else "AUC"
        for name, one, other, which in _CONTRASTS:
            parts = [
                contrast(cell, one, other, measure, _days(cell, measure, which)) for cell in cells
            ]
            protocol = f"paired mean over {_WORDS[which]}"
            yield figure_over(f"drift_{name}_{measure}", parts, unit, protocol)
    yield from _costs(cells)


def daily(cells: Sequence[Cell]) -> Iterator[Figure]:
    """Every arm on every day."""
    for measure in MEASURES:
        unit = "share" if measure.startswith("ppp") else "AUC"
        for arm in Arm:
            for day, values in _of_days(cells, arm, measure).items():
                yield figure_over(f"drift_{arm}_{measure}_day_{day}", values, unit, f"day {day}")


_CONTRASTS = (
    ("nightly_over_frozen", Arm.NIGHTLY, Arm.FROZEN, "updated"),
    ("nightly_over_frozen_late", Arm.NIGHTLY, Arm.FROZEN, "late"),
    ("nightly_over_retrain", Arm.NIGHTLY, Arm.RETRAIN, "fresh"),
    ("nightly_over_retrain_in_use", Arm.NIGHTLY, Arm.RETRAIN, "in use"),
    ("retrain_over_frozen", Arm.RETRAIN, Arm.FROZEN, "fresh"),
)
_WORDS = {
    "updated": "all days from the first update on",
    "late": "the last third of the days",
    "fresh": "the days on which the retrain is fresh",
    "in use": "all days from the first retrain on, the retrain ageing between two",
}


def _days(cell: Cell, measure: str, which: str) -> list[int]:
    nightly = sorted(series(cell, Arm.NIGHTLY, measure))
    if which == "fresh":
        return fresh(cell, measure)
    if which == "in use":
        return sorted(series(cell, Arm.RETRAIN, measure))
    return nightly[-(len(nightly) // 3) :] if which == "late" else nightly[1:]


def _costs(cells: Sequence[Cell]) -> Iterator[Figure]:
    words = f"range over {len(cells)} world{'s' * (len(cells) > 1)}"
    for kind in ("wall_s", "cpu_s"):
        means = {
            arm: [
                float(np.mean([getattr(cost, kind) for cost in cell.costs if cost.arm is arm]))
                for cell in cells
            ]
            for arm in (Arm.NIGHTLY, Arm.RETRAIN)
        }
        for arm, values in means.items():
            yield figure(f"drift_{arm}_{kind}", _range(values), "s", f"one training; {words}")
        ratio = [b / a for a, b in zip(means[Arm.NIGHTLY], means[Arm.RETRAIN], strict=True)]
        name = f"drift_retrain_over_nightly_{kind.removesuffix('_s')}"
        yield figure(name, _range(ratio), "x", f"a retrain against a night's update; {words}")


def _range(values: Sequence[float]) -> Interval:
    """Mean, smallest and largest: times on a clock are no sample of anything."""
    return Interval(float(np.mean(values)), min(values), max(values))
