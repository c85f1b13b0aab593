"""Table 3 on the marketplace: DUPN against its predecessor, in worlds in which the truth is known.

A **cell** is one seed: a world that lived some days under the logging policy, models trained on
them, and then twin worlds that live on, each with everybody in one arm and models that learn every
night from their own world's log. What is compared are expectations under the truth (clicks,
orders, sales of everything that was shown), so what is left of chance lies in people, worlds and
trainings: intervals are Student's over cells, three or more. In one more world users are split, and
the experiment's own statistics estimate from what happened to be clicked and bought; beside it
stands what an estimate of that world cannot see: its arms learn from each other's log.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from evaluation.bootstrap import Interval
from evaluation.metrics import NAN
from evaluation.results import Figure
from evaluation.studies import cells as studies
from evaluation.studies.cells import figure_over
from evaluation.studies.uplift import Lived, by_class, total, uplift
from features.schemas import PRICE_LEVELS

POLICY, BEFORE, DUPN, SPLIT = "policy", "predecessor", "dupn", "split"
TWINS = (POLICY, BEFORE, DUPN)
MEASURES = ("ctr", "sales", "orders", "price_precision")
PAIRS = ((DUPN, BEFORE), (DUPN, POLICY), (BEFORE, POLICY))
PAPER = {"ctr": 0.0223, "sales": 0.0317, "price_precision": 0.442 / 0.332 - 1}
"""Averages of Table 3, relative."""


@dataclass(frozen=True)
class Shape:
    """How many days of what."""

    trained: int = 10
    """Under the logging policy; the models are trained on them."""
    lived: int = 7
    """With the arms."""

    @property
    def steps(self) -> int:
        """Days that a cell goes through, in all its worlds."""
        return self.trained + self.lived * (len(TWINS) + 1)


class Cell(studies.Cell):
    """Everything that one seed gave."""

    seed: int
    lived: tuple[Lived, ...]
    estimated: tuple[Figure, ...] = ()
    """What the experiment's statistics say of the split world, by the last day."""
    seconds: float = 0.0

    def days(self, world: str, arm: str | None = None) -> list[Lived]:
        """The days of an arm of a world, in order; of a twin, its only arm."""
        mine = [one for one in self.lived if one.world == world and one.arm == (arm or world)]
        return sorted(mine, key=lambda one: one.day)


def headline(cells: Sequence[Cell]) -> Iterator[Figure]:
    """Uplifts over all days, the price precisions behind them, and the split world's."""
    for new, old in PAIRS:
        for what in MEASURES:
            if what == "price_precision" and old == POLICY:
                continue
            gains = [uplift(total(cell.days(new)), total(cell.days(old)), what) for cell in cells]
            protocol = f"{new} over {old} minus 1, all days; twin worlds, expectations"
            yield _figure(f"uplift_{new}_over_{old}_{what}", gains, "ratio", protocol)
    for arm in (BEFORE, DUPN):
        precision = [total(cell.days(arm)).price_precision for cell in cells]
        protocol = "expected orders whose level was the said one; own twin world"
        yield _figure(f"uplift_{arm}_price_precision", precision, "share", protocol)
    yield from _split(cells)


def daily(cells: Sequence[Cell]) -> Iterator[Figure]:
    """Table 3, day by day."""
    days = sorted({one.day for cell in cells for one in cell.days(DUPN)})
    for new, old in PAIRS[:2]:
        for what in MEASURES[:3]:
            for day in days:
                gains = [uplift(_on(cell, new, day), _on(cell, old, day), what) for cell in cells]
                protocol = f"{new} over {old} minus 1, day {day}; twin worlds"
                yield _figure(f"uplift_{new}_over_{old}_{what}_day_{day}", gains, "ratio", protocol)
    for arm in (BEFORE, DUPN):
        for day in days:
            found = [_on(cell, arm, day).price_precision for cell in cells]
            name = f"uplift_{arm}_price_precision_day_{day}"
            yield _figure(name, found, "share", f"day {day}; own twin world")


def classes(cells: Sequence[Cell]) -> Iterator[Figure]:
    """Figure 10: recall and precision of each price level, and what DUPN has more, paired."""
    told = {arm: [by_class(total(cell.days(arm))) for cell in cells] for arm in (BEFORE, DUPN)}
    for place, name in enumerate(("recall", "precision")):
        for level in range(PRICE_LEVELS):
            each = {arm: [one[place][level] for one in both] for arm, both in told.items()}
            of_level, protocol = f"price_{name}_level_{level + 1}", "expected orders, all days"
            for arm, found in each.items():
                yield _figure(f"uplift_{arm}_{of_level}", found, "share", protocol)
            gains = np.subtract(each[DUPN], each[BEFORE]).tolist()
            protocol = f"{DUPN} less {BEFORE}, {protocol}"
            yield _figure(f"uplift_{DUPN}_over_{BEFORE}_{of_level}", gains, "share", protocol)


def _split(cells: Sequence[Cell]) -> Iterator[Figure]:
    """The same people in two arms of one world: as expected, and as the experiment estimates it."""
    arms = [(total(c.days(SPLIT, DUPN)), total(c.days(SPLIT, BEFORE))) for c in cells
            if c.days(SPLIT, DUPN)]  # fmt: skip
    for what in MEASURES if arms else ():
        gains = [uplift(new, old, what) for new, old in arms]
        protocol = f"{DUPN} over {BEFORE} minus 1, arms of one world, expectations"
        yield _figure(f"uplift_split_{what}", gains, "ratio", protocol)
    known = [cell for cell in cells if cell.estimated]  # older ones were recorded without
    for name in dict.fromkeys(figure.name for cell in known for figure in cell.estimated):
        found = [f for cell in known for f in cell.estimated if f.name == name]
        values = [one.value if one.value is not None else NAN for one in found]
        one = found[0].protocol.partition(";")[0]  # the rest is of its own interval
        yield _figure(f"uplift_split_estimated_{name}", values, "ratio",
                      f"{one}; mean of the estimates")  # fmt: skip


def _on(cell: Cell, arm: str, day: int) -> Lived:
    return next(one for one in cell.days(arm) if one.day == day)


def _figure(name: str, values: Sequence[float], unit: str, protocol: str) -> Figure:
    return figure_over(name, [Interval(value) for value in values], unit, protocol)


def beats(figure: Figure) -> bool | None:
    """Whether a headline figure beats the paper's with its whole interval; None: there is none."""
    what = figure.name.removeprefix(f"uplift_{DUPN}_over_{BEFORE}_")
    if what not in PAPER or figure.value is None:
        return None
    return figure.low is not None and figure.low > PAPER[what]
