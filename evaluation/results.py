"""What an offline report holds: plain frozen records that go to JSON and come back.

`figures` is the flat list that every report and bench of dupn carries, with stable names; the
other parts say the same in tables and curves, ready to be drawn. A number that has no meaning is
null and its `reason` says why.
"""

import math
from collections.abc import Mapping

from pydantic import BaseModel, ConfigDict

from evaluation.bootstrap import Interval
from evaluation.gate import Evidence
from evaluation.paired import Comparison

CLICKS, CALIBRATION = "ctr_auc", "ctr_ece"
"""Figures that rest on the clicks of a day."""

NOT_TRAINED = (
    "not trained: the task is not among train.tasks, or is asked nowhere in the days that were "
    "learnt, and its head answers at random."
)


class Record(BaseModel):
    """Base: immutable."""

    model_config = ConfigDict(frozen=True)


class Figure(Record):
    """One number with its interval, unit and protocol; bounds are null where there is none."""

    name: str
    value: float | None
    low: float | None = None
    high: float | None = None
    unit: str
    protocol: str


class Estimate(Record):
    """A value with its interval."""

    value: float | None
    low: float | None = None
    high: float | None = None

    @classmethod
    def of(cls, interval: Interval) -> "Estimate":
        """NaN becomes null."""
        return cls(
            value=finite(interval.value), low=finite(interval.low), high=finite(interval.high)
        )

    @property
    def beats_zero(self) -> bool:
        """Whether the whole interval is above zero."""
        return self.low is not None and self.low > 0


class Rival(Record):
    """A yardstick, or the ceiling, on the same questions as the model."""

    name: str
    title: str
    estimate: Estimate
    difference: Estimate
    """Model minus rival, paired."""


class TaskResult(Record):
    """One measure of one task."""

    name: str
    """The figure's name: `ctr_auc`."""
    task: str
    title: str
    unit: str
    protocol: str
    questions: int
    positives: int
    users: int
    model: Estimate
    chance: float
    """What knowing nothing scores."""
    rivals: tuple[Rival, ...] = ()
    ceiling: Rival | None = None
    visible: Rival | None = None
    """The ceiling without what no history can show."""
    share: Estimate | None = None
    """Share of what is possible above chance that the model reached."""
    reason: str | None = None
    """Why there is no figure or no interval, or why they say nothing of the model."""

    @property
    def untrained(self) -> bool:
        """Whether the reason is that nobody trained it; reports of before say so in other words."""
        return (self.reason or "").startswith("not trained: ")


class SliceResult(Record):
    """One measure on a part of the questions."""

    dimension: str
    part: str
    name: str
    questions: int
    positives: int
    users: int
    model: Estimate
    reason: str | None = None


class ClassResult(Record):
    """Figure 10: one price level."""

    level: int
    questions: int
    precision: Estimate
    recall: Estimate
    rival: "ClassResult | None" = None
    """MaxEnt on the same questions, where it answered."""


class Line(Record):
    """Points of a curve."""

    title: str
    x: tuple[float, ...]
    y: tuple[float, ...]


class Curves(Record):
    """What is drawn."""

    roc: dict[str, Line] = {}
    """By task name."""
    calibration: Line | None = None
    calibration_rows: tuple[int, ...] = ()
    confusion: tuple[tuple[int, ...], ...] = ()
    """PPP: rows are the true level, columns the said one."""
    training: dict[str, Line] = {}
    """By task name: loss or progressive AUC over steps."""


class HeadResult(Record):
    """A head frozen on the champion's representation, fed with the candidate's."""

    name: str
    title: str
    unit: str
    questions: int
    users: int
    own: Estimate
    """On the representation that it was made for."""
    moved: Estimate
    """On the candidate's, unaligned."""
    aligned: Estimate
    """On the candidate's, rotated onto the champion's: a diagnosis."""
    drop: Estimate
    """Own minus moved, paired."""
    error: float | None = None
    """Standard error of the drop."""
    reason: str | None = None
    """Why there is no interval."""


class Drift(Record):
    """How far the representation moved; see `evaluation.drift`."""

    change: float | None
    change_aligned: float | None
    mean_correlation: float | None
    correlation: tuple[float | None, ...]
    """One entry a dimension, like the next two."""
    shift: tuple[float | None, ...]
    scale: tuple[float | None, ...]


class Compatibility(Record):
    """Whether others may keep what they built on the champion's representation."""

    moments: int
    users: int
    heads: tuple[HeadResult, ...]
    drift: Drift


class OfflineReport(Record):
    """Everything that was found about a model on one day."""

    key: str
    day: str
    title: str
    protocol: dict[str, str]
    """Facts of how it was measured, in words, in the order to be shown."""
    lineage: dict[str, str]
    """Where the model and the data come from."""
    counts: dict[str, int]
    figures: tuple[Figure, ...]
    tasks: tuple[TaskResult, ...]
    classes: tuple[ClassResult, ...] = ()
    slices: tuple[SliceResult, ...] = ()
    curves: Curves = Curves()
    champion: str = ""
    """Run key of the model that it is held against; empty: it is the first."""
    comparison: Comparison | None = None
    """Candidate minus champion, paired."""
    compatibility: Compatibility | None = None
    """Frozen heads on the candidate's representation; null for another line than the champion's."""
    notes: tuple[str, ...] = ()
    """What a reader must know: what was not measured and why."""

    @property
    def over_champion(self) -> tuple[Figure, ...]:
        """Candidate minus champion by measure; not by slice, whose names are the log's."""
        compared = self.comparison
        asked = {task.name: task for task in self.tasks}
        return tuple(
            Figure(
                name=f"{one.name}_over_champion",
                value=one.value,
                low=one.low,
                high=one.high,
                unit=asked[one.name].unit,
                protocol=f"{asked[one.name].protocol}; candidate minus {self.champion}, paired",
            )
            for one in ((compared.ctr, *compared.others) if compared else ())
            if one.name in asked
        )

    def value(self, name: str) -> float | None:
        """A figure by name; null when it is not there."""
        return next((figure.value for figure in self.figures if figure.name == name), None)

    @property
    def metrics(self) -> Mapping[str, float]:
        """Names and values for MLflow: figures that have a value."""
        return {f.name: f.value for f in self.figures if f.value is not None}

    @property
    def evidence(self) -> Evidence:
        """What the gate looks at: a figure without the evidence for it, or an interval, is none."""
        doubtful = {task.name for task in self.tasks if task.reason}
        if CLICKS in doubtful:  # the calibration is of the same clicks
            doubtful.add(CALIBRATION)
        known = {
            one.name: None if one.name in doubtful or one.low is None else one.value
            for one in self.figures
        }
        asked = next((task for task in self.tasks if task.name == CLICKS), None)
        return Evidence(
            figures=known,
            positives=self.counts.get("clicks", 0),
            negatives=asked.questions - asked.positives if asked else 0,
            users=asked.users if asked else 0,
            calibration_low=next(
                (one.low for one in self.figures if one.name == CALIBRATION), None
            ),
        )


def finite(value: float) -> float | None:
    """Null for NaN and infinities, which JSON does not know."""
    return float(value) if math.isfinite(value) else None
