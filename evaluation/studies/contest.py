"""Records of networks that learn the same and answer the same, and the figures of Table 2.

A **cell** is one network that learnt one task (or several) in one world; its figures keep their
replicates, drawn from the same people for all networks of the world, so that rows are compared
pairwise. How a network was tuned is a cell of its own: a few settings, tried in another world.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise

import numpy as np

from evaluation.bootstrap import Interval
from evaluation.results import Figure, Record
from evaluation.studies.asking import MEASURES, Score
from evaluation.studies.cells import Cell, figure, known, mean_difference, mean_of, words
from training.config import Task
from training.peers.names import FTRL

CHANCE = 0.5
"""Of an AUC; of price levels it is what the commonest one of the learnt days gets."""
COMMONEST = "most_frequent_level"
ALL = "all"
PAPER: Mapping[str, Mapping[Task, float]] = {
    "wide": {Task.L2R: 0.70502, Task.CTR: 0.68266, Task.FIFP: 0.71839, Task.PPP: 0.34094},
    "wide_deep": {Task.L2R: 0.71581, Task.CTR: 0.69957, Task.FIFP: 0.74581, Task.PPP: 0.38581},
    "dssm": {Task.CTR: 0.68961, Task.FIFP: 0.72035},
    "cnn_max": {Task.L2R: 0.72391, Task.CTR: 0.70735, Task.FIFP: 0.73803, Task.PPP: 0.39904},
    "nobp": {Task.L2R: 0.73307, Task.CTR: 0.70221, Task.FIFP: 0.74082, Task.PPP: 0.39394},
    "bplstm": {Task.L2R: 0.74583, Task.CTR: 0.72139, Task.FIFP: 0.75337, Task.PPP: 0.42926},
    "bpatt": {Task.L2R: 0.73901, Task.CTR: 0.71303, Task.FIFP: 0.75927, Task.PPP: 0.41350},
    "all": {Task.L2R: 0.75005, Task.CTR: 0.72519, Task.FIFP: 0.77323, Task.PPP: 0.44011},
    "w2v": {Task.L2R: 0.73091, Task.CTR: 0.70127, Task.FIFP: 0.73749, Task.PPP: 0.38079},
}
"""Table 2 as printed."""
TASKS = (Task.L2R, Task.CTR, Task.FIFP, Task.PPP)
"""In the order of Table 2."""


class Step(Record):
    """A judgement on the way."""

    moments: int
    loss: float
    figures: dict[str, float]


def stopped(curves: Sequence[Sequence[Step]]) -> str:
    """Which judgement had the smallest loss, of how many: means over worlds, counted from 1.

    The last of all that the epochs have: the run was cut off, and might have gone on.
    """
    best = [1 + min(range(len(curve)), key=lambda at: curve[at].loss) for curve in curves]
    return f"{np.mean(best):.3g} of {np.mean([len(curve) for curve in curves]):.3g}"


class WorldCell(Cell):
    """A world: what is in it, and what others answer."""

    seed: int
    moments: int
    """On the learnt days."""
    behaviours: float
    """Mean length of a moment's history."""
    others: dict[str, tuple[Score, ...]]
    """Yardsticks and ceilings by name."""

    def score(self, name: str, task: Task) -> Score | None:
        """Somebody's figure."""
        found = [one for one in self.others.get(name, ()) if one.measure == MEASURES[task]]
        return found[0] if found else None


class Trial(Record):
    """One point of the search."""

    settings: dict[str, float]
    loss: float
    """On the judging days, at its best judgement."""
    figures: dict[str, float]
    moments: int
    """Learnt until then, repetitions counted."""
    seconds: float


class TunedCell(Cell):
    """A search: the point with the smallest loss is what the network is then given.

    Without trials there was one point, and nothing to search.
    """

    model: str
    tasks: tuple[Task, ...]
    trials: tuple[Trial, ...]
    chosen: int

    @property
    def heard(self) -> dict[str, float]:
        """The chosen point, as far as the network has anything that it could set."""
        every = self.trials[self.chosen].settings
        if self.model == "wide_deep":
            return every
        return {
            name: value for name, value in every.items() if (name in FTRL) == (self.model == "wide")
        }


class FitCell(Cell):
    """A network in a world."""

    model: str
    tasks: tuple[Task, ...]
    seed: int
    trial: int
    """The point of the search that it was given: its place in `study.trials`, where a search
    counts only those that its network can tell apart."""
    scores: tuple[Score, ...]
    curve: tuple[Step, ...]
    parameters: int
    seconds: float
    """Of the processor."""

    def score(self, task: Task) -> Score | None:
        """Its figure of a task."""
        found = [one for one in self.scores if one.measure == MEASURES[task]]
        return found[0] if found else None


class Table:
    """All cells of Table 2, by who and what.

    Args:
        worlds: of the reported seeds.
        fits: of every model, task and seed.
        models: rows, in order.
    """

    def __init__(
        self, worlds: Sequence[WorldCell], fits: Sequence[FitCell], models: Sequence[str]
    ) -> None:
        self.worlds = sorted(worlds, key=lambda one: one.seed)
        self.models = tuple(models)
        self.fits = tuple(fits)
        self._fits = {(fit.model, fit.tasks, fit.seed): fit for fit in fits}

    def row(self, model: str, task: Task) -> list[Score | None]:
        """A model's figure in each world; None: it cannot answer, or was not asked."""
        return [fit.score(task) if fit else None for fit in self._row(model, task)]

    def curves(self, model: str, task: Task) -> list[Sequence[Step]]:
        """A model's judgements in each world in which it learnt the task."""
        return [fit.curve for fit in self._row(model, task) if fit]

    def other(self, name: str, task: Task) -> list[Score | None]:
        """The figure of a yardstick, or of the ceiling, in each world."""
        return [world.score(name, task) for world in self.worlds]

    def value(self, model: str, task: Task) -> Interval:
        """Mean over worlds."""
        return mean_of(self.row(model, task))

    def over(self, model: str, other: str, task: Task) -> Interval:
        """A model less another one, or less a yardstick, paired."""
        return mean_difference(self.row(model, task), self.against(other, task))

    def against(self, name: str, task: Task) -> list[Score | None]:
        """The figure of a model, or of a yardstick, in each world."""
        return self.row(name, task) if name in self.models else self.other(name, task)

    def _row(self, model: str, task: Task) -> list[FitCell | None]:
        return [self._fits.get((model, (task,), world.seed)) for world in self.worlds]

    def headroom(self, model: str, task: Task) -> Interval:
        """Mean over worlds of `shares`."""
        return mean_of(self.shares(model, task))

    def shares(self, model: str, task: Task) -> list[Score | None]:
        """(figure - chance) / (ceiling - chance) in each world."""
        fits, tops = self.row(model, task), self.other("ceiling", task)
        commonest = task is Task.PPP
        chances = self.other(COMMONEST, task) if commonest else [None] * len(fits)
        return [
            _share(fit, top, chance) if fit and top and (chance or not commonest) else None
            for fit, top, chance in zip(fits, tops, chances, strict=True)
        ]

    def others(self, task: Task) -> list[str]:
        """Yardsticks that answer a task, ceilings aside."""
        names = dict.fromkeys(name for world in self.worlds for name in world.others)
        known = [name for name in names if any(self.other(name, task))]
        return [name for name in known if not name.endswith("ceiling")]


def figures(table: Table) -> Iterator[Figure]:
    """Every number of the table, the differences that it is read for, and the headroom."""
    for task in TASKS:
        measure, unit = MEASURES[task], "share" if task.of_levels else "AUC"
        alone = f"{task} learnt alone"
        for model in table.models:
            mine, shares = table.row(model, task), table.shares(model, task)
            value = mean_of(mine)
            if not np.isfinite(value.value):
                continue
            yield figure(f"table2_{model}_{measure}", value, unit, _told(alone, value, mine))
            share, of = mean_of(shares), f"(figure - chance) / (ceiling - chance); {alone}"
            yield figure(f"table2_{model}_headroom_{measure}", share, "share",
                         _told(of, share, shares))  # fmt: skip
        for model, other in pairs(table, task):
            gap, both = table.over(model, other, task), [table.row(model, task)]
            both.append(table.against(other, task))
            yield figure(f"table2_{model}_over_{other}_{measure}", gap, unit,
                         _told(f"paired difference; {alone}", gap, *both))  # fmt: skip
        for name in ("ceiling", "visible_ceiling", *table.others(task)):
            theirs = table.other(name, task)
            value = mean_of(theirs)
            if np.isfinite(value.value):
                yield figure(f"table2_{name}_{measure}", value, unit,
                             _told("same questions", value, theirs))  # fmt: skip


def _told(protocol: str, interval: Interval, *rows: Sequence[Score | None]) -> str:
    """The protocol, in how many worlds all of `rows` are known, and how the interval came about."""
    return f"{protocol}; {words(known(*rows), of=len(rows[0]), interval=interval)}"


def pairs(table: Table, task: Task) -> Iterator[tuple[str, str]]:
    """Neighbouring rows, and the full network over every other row and yardstick."""
    asked = [model for model in table.models if any(table.row(model, task))]
    seen = set()
    for above, below in pairwise(asked):
        seen.add((below, above))
        yield below, above
    rest = [model for model in asked if model != ALL]
    for other in (*rest, *table.others(task)):
        if ALL in asked and (ALL, other) not in seen:
            yield ALL, other


def _share(fit: Score, top: Score, chance: Score | None) -> Score:
    """Of one world, and of each draw of its people."""
    if fit.value is None or top.value is None or (chance and chance.value is None):
        return Score(measure=fit.measure, value=None)
    low = chance.value if chance and chance.value is not None else CHANCE
    room = top.value - low
    drawn: Sequence[float] = ()
    if fit.replicates and top.replicates and (chance is None or chance.replicates):
        lows = chance.drawn if chance else np.full(len(fit.replicates), CHANCE)
        rooms = top.drawn - lows
        drawn = np.divide(
            fit.drawn - lows, rooms, out=np.full(len(rooms), np.nan), where=rooms > 0
        ).tolist()
    return Score(
        measure=fit.measure,
        value=(fit.value - low) / room if room > 0 else None,
        replicates=tuple(drawn),
        questions=fit.questions,
    )
