"""The network beside DIN, DIEN and yardsticks on excerpts of real logs, protocol by protocol.

Real logs have one world: seeds differ in first weights, dropout and order alone, and everybody is
asked the same questions. A mean over seeds is therefore uncertain twice: other users could have
been asked (the bootstrap draws users, the same for all), and other seeds taken (their spread). The
two variances are added; of the second little is known from a few seeds, so the interval is
Student's.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
from scipy import stats

from evaluation.bootstrap import Interval
from evaluation.metrics import NAN, Floats
from evaluation.results import Figure, Record
from evaluation.studies.asking import Answered, Crowd, Score
from evaluation.studies.cells import LEVEL, Cell, figure, percentiles
from evaluation.studies.excerpt_questions import AUC, HARDER, Parts
from training.config import Task

MODELS = {
    "all": "DUPN",
    "din": "DIN",
    "din_items": "DIN (items alone)",
    "dien": "DIEN (GRU)",
}
"""Names in keys and figures, and what readers know them by."""


class LogCell(Cell):
    """An excerpt, imported and made into samples."""

    log: str
    days: tuple[str, str]
    """First and last."""
    users: int
    moments: int
    candidates: int


class OthersCell(Cell):
    """A protocol: its questions, and what yardsticks answer."""

    protocol: str
    title: str
    words: str
    """What is learnt, what judges and what is asked."""
    users: int
    """Who are asked."""
    learnt: int
    """Moments that are learnt from, in the mean over splits of the users."""
    others: dict[str, tuple[Score, ...]]


class Judged(Record):
    """A judgement on the way."""

    epoch: float
    """Passes over what is learnt by then."""
    moments: int
    """Learnt by then, repetitions counted."""
    loss: float
    figures: dict[str, float]


class Tried(Record):
    """A point of the search, and how it went."""

    settings: dict[str, float]
    curve: tuple[Judged, ...]
    seconds: float

    @property
    def best(self) -> Judged:
        """Its smallest loss."""
        return best(self.curve)


class SearchCell(Cell):
    """A search: the point with the smallest loss on the judging days is taken.

    All negatives count in that loss and in the AUC beside it, those of the click's own category
    among them; the headline of what is asked leaves these out.
    """

    protocol: str
    model: str
    trials: tuple[Tried, ...]
    chosen: int
    share: float
    """Of the users, from whom it learns and by whom it is judged."""


class RunCell(Cell):
    """A network of one seed with what the search chose, and its answers."""

    protocol: str
    model: str
    seed: int
    trial: int
    scores: tuple[Score, ...]
    curve: tuple[Judged, ...]
    """On the judging days; of the first split where users are split."""
    parameters: int
    seconds: float
    """Of the processor."""


def best(curve: Sequence[Judged]) -> Judged:
    """The judgement that is kept."""
    return min(curve, key=lambda point: point.loss)


def scored(crowd: Crowd, parts: Sequence[Parts]) -> tuple[Score, ...]:
    """Figures of answers that were given in several splits, each question in one of them.

    Each split has a network of its own: of an AUC only pairs within a split count. Pairs across
    would compare the networks' offsets, which go against the truth: whose own part clicks less
    than most has learnt from a rest that clicks more.
    """
    found = []
    for name in parts[0]:
        answers = [part[name] for part in parts]
        split = np.repeat(np.arange(len(answers)), [len(one.truth) for one in answers])
        whole = replace(Answered.joined(answers), part=split)
        found.append(crowd.score(Task.CTR, whole).model_copy(update={"measure": name}))
    return tuple(found)


class Board:
    """All cells, by protocol and who answers."""

    def __init__(
        self,
        others: Sequence[OthersCell],
        searches: Sequence[SearchCell],
        runs: Sequence[RunCell],
    ) -> None:
        self.protocols = {one.protocol: one for one in others}
        self.searches = tuple(searches)
        self.runs = sorted(runs, key=lambda one: one.seed)

    def of(self, protocol: str, name: str) -> list[RunCell]:
        """A network's runs, by seed."""
        return [run for run in self.runs if run.protocol == protocol and run.model == name]

    def row(self, protocol: str, name: str, measure: str) -> list[Score]:
        """Figures of a network by seed, or the one of a yardstick; empty: not asked."""
        runs = [run.scores for run in self.of(protocol, name)]
        every = runs or [self.protocols[protocol].others.get(name, ())]
        return [score for scores in every for score in scores if score.measure == measure]

    def value(self, protocol: str, name: str, measure: str) -> Interval:
        """Mean over seeds."""
        return over_seeds(self.row(protocol, name, measure))

    def over(self, protocol: str, one: str, other: str, measure: str) -> Interval:
        """Mean over seeds of a difference, paired by users."""
        mine, theirs = (self.row(protocol, name, measure) for name in (one, other))
        if not mine or not theirs:
            return Interval(NAN)
        if len(theirs) == 1:  # a yardstick has no seeds
            theirs = theirs * len(mine)
        return over_seeds([_less(a, b) for a, b in zip(mine, theirs, strict=True)])

    def names(self, protocol: str) -> list[str]:
        """Networks and yardsticks that answer."""
        return [*MODELS, *self.protocols[protocol].others]

    def measures(self, protocol: str) -> list[str]:
        """What is measured of its answers."""
        return [name for name in (AUC, HARDER) if self.row(protocol, "all", name)]

    @property
    def seeds(self) -> int:
        """Of each network."""
        return len({run.seed for run in self.runs})


def over_seeds(scores: Sequence[Score]) -> Interval:
    """Mean over seeds; its variance is that over draws of users, plus that of a mean of seeds.

    Degrees of freedom are those of the seeds' share of it (Welch and Satterthwaite): next to seeds,
    users are many.
    """
    values = np.array([one.value for one in scores if one.value is not None])
    if not len(values) or len(values) < len(scores):
        return Interval(NAN)
    value = float(values.mean())
    if not all(one.replicates for one in scores):
        return Interval(value)
    drawn: Floats = np.mean([one.drawn for one in scores], axis=0)
    if len(values) == 1:
        return percentiles(value, drawn)
    known, others = drawn[np.isfinite(drawn)], len(values) - 1
    of_users, of_seeds = float(known.var(ddof=1)), float(values.var(ddof=1)) / len(values)
    error = float(np.sqrt(of_users + of_seeds))
    freedom = others * (error**2 / of_seeds) ** 2 if of_seeds else np.inf
    reach = float(stats.t.ppf((1 + LEVEL) / 2, freedom)) * error
    return Interval(value, value - reach, value + reach, error)


def _less(one: Score, other: Score) -> Score:
    known = one.value is not None and other.value is not None
    paired = bool(one.replicates and other.replicates)
    return Score(
        measure=one.measure,
        value=(one.value or 0.0) - (other.value or 0.0) if known else None,
        replicates=tuple((one.drawn - other.drawn).tolist()) if paired else (),
        questions=one.questions,
    )


def figures(board: Board) -> Iterator[Figure]:
    """Everybody's AUC, and the network less everybody else's."""
    for protocol, asked in board.protocols.items():
        said = f"{asked.words} {_chance(board)}"
        for measure in board.measures(protocol):
            kind = said if measure == AUC else f"Negatives of the click's own category. {said}"
            for name in board.names(protocol):
                value = board.value(protocol, name, measure)
                yield figure(f"excerpts_{protocol}_{name}_{measure}", value, "AUC", kind)
            for name in board.names(protocol)[1:]:
                gap = board.over(protocol, "all", name, measure)
                title = f"excerpts_{protocol}_all_over_{name}_{measure}"
                yield figure(title, gap, "AUC", f"Paired difference. {kind}")


def _chance(board: Board) -> str:
    seeds = board.seeds
    many = f"Mean of {seeds} seeds; interval over users and seeds."
    return many if seeds > 1 else "One seed; interval over users."


def goals(board: Board) -> list[str]:
    """Whether the network is at least level with DIN and DIEN, protocol by protocol."""
    return [
        f"{asked.title}: {_standing(board, protocol, other)}"
        for protocol, asked in board.protocols.items()
        for other in MODELS
        if other != "all"
    ]


def _standing(board: Board, protocol: str, other: str) -> str:
    gap, name = board.over(protocol, "all", other, AUC), MODELS[other]
    if not np.isfinite(gap.low):
        return f"too few users to say how {MODELS['all']} stands to {name}."
    span = f"{gap.value:+.4f} ({gap.low:+.4f} to {gap.high:+.4f})"
    if gap.low > 0:
        return f"{MODELS['all']} is above {name}, {span}."
    if gap.high < 0:
        return f"{MODELS['all']} is not level with {name}: below it by {span}."
    return f"{MODELS['all']} is level with {name} as far as can be told, {span}."
