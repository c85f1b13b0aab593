"""What the cells of a study have in common, and how their figures are put together.

Within a cell, intervals come from a bootstrap that draws people. Over cells they are Student's of
the cells' means: each cell has a world, people and first weights of its own, so the spread of the
means holds all sources of chance. Two cells give no such interval, for its reach would be thirteen
standard errors that are hardly known. With two, figures that draw people keep the interval over
people; figures that are only one number a cell have none.
"""

from collections.abc import Sequence

import numpy as np
from scipy import stats

from evaluation.bootstrap import Interval
from evaluation.metrics import NAN, Floats
from evaluation.results import Estimate, Figure, Record
from evaluation.studies.asking import Score

LEVEL = 0.95
FEWEST = 3
"""Cells for an interval over cells."""


class Cell(Record):
    """What a cell leaves."""

    settings: str
    """Digest of what decides it: a cell of other settings is not taken up again."""


def figure(name: str, interval: Interval, unit: str, protocol: str) -> Figure:
    """A figure of a report."""
    estimate = Estimate.of(interval).model_dump()
    return Figure(name=name, **estimate, unit=unit, protocol=protocol)


def percentiles(value: float, drawn: Floats) -> Interval:
    """The interval of a value from its replicates."""
    known = drawn[np.isfinite(drawn)]
    if len(known) < 2:
        return Interval(value)
    low, high = np.quantile(known, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Interval(value, float(low), float(high), float(known.std(ddof=1)))


def over_cells(values: Sequence[Interval]) -> Interval:
    """Mean over cells with Student's interval; of one cell its own, of fewer than `FEWEST` none."""
    known = [one for one in values if np.isfinite(one.value)]
    if len(known) < 2:
        return known[0] if known else Interval(NAN)
    means = np.array([one.value for one in known])
    if len(known) < FEWEST:
        return Interval(float(means.mean()))
    error = float(means.std(ddof=1) / np.sqrt(len(means)))
    reach = float(stats.t.ppf((1 + LEVEL) / 2, len(means) - 1)) * error
    value = float(means.mean())
    return Interval(value, value - reach, value + reach, error)


def over_each(values: Sequence[Interval]) -> Interval:
    """`over_cells` of cells that all know it, else not known: beside means of all of them."""
    whole = all(np.isfinite(one.value) for one in values)
    return over_cells(values) if whole else Interval(NAN)


def figure_over(name: str, values: Sequence[Interval], unit: str, protocol: str) -> Figure:
    """A figure of `over_cells`; its protocol ends with how the interval came about."""
    interval = over_cells(values)
    known = sum(bool(np.isfinite(one.value)) for one in values)
    said = words(known, of=len(values), interval=interval)
    return figure(name, interval, unit, f"{protocol}; {said}")


def mean_of(scores: Sequence[Score | None]) -> Interval:
    """Mean of one figure over worlds."""
    return _pooled([(one.value, one.drawn) for one in scores if one is not None])


def mean_difference(one: Sequence[Score | None], other: Sequence[Score | None]) -> Interval:
    """Mean over worlds of a difference that is paired within each.

    Args:
        one: a score a world; None: not known there.
        other: of the same worlds, in the same order.
    """
    return _pooled([
        (
            None if a.value is None or b.value is None else a.value - b.value,
            a.drawn - b.drawn if a.replicates and b.replicates else np.empty(0),
        )
        for a, b in zip(one, other, strict=True)
        if a is not None and b is not None
    ])  # fmt: skip


def known(*scores: Sequence[Score | None]) -> int:
    """Worlds in which all of these are known."""
    worlds = zip(*scores, strict=True)
    return sum(all(one is not None and one.value is not None for one in world) for world in worlds)


def words(worlds: int, *, of: int = 0, interval: Interval | None = None) -> str:
    """How the interval of so many worlds came about.

    Args:
        worlds: in which the figure is known.
        of: so many that were asked; said where they are more.
        interval: the figure's own; without it, people are taken to have been drawn.
    """
    many = f"{worlds} of {of} worlds" if of > worlds else f"{worlds} world{'s' * (worlds != 1)}"
    if interval is not None and not np.isfinite(interval.low):
        return f"{many}; no interval"
    drawn = "Student's interval over worlds" if worlds >= FEWEST else "interval over people"
    return f"{many}; {drawn}"


def _pooled(parts: Sequence[tuple[float | None, Floats]]) -> Interval:
    known = [(value, drawn) for value, drawn in parts if value is not None]
    if not known:
        return Interval(NAN)
    if len(known) >= FEWEST:
        return over_cells([Interval(value) for value, _ in known])
    value = float(np.mean([value for value, _ in known]))
    if not all(len(drawn) for _, drawn in known):
        return Interval(value)
    return percentiles(value, np.mean([drawn for _, drawn in known], axis=0))
