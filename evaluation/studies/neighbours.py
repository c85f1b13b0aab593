"""Rows of Table 2 against one another, corrected for how many such questions are asked.

Two families: each row against the row above it, and the full network against every other row.
Thirty pairs at 95 % would show one or two differences where there is none. Each pair is a paired t
test over worlds, and the p's of a family are corrected together by Holm's method, which needs no
independence: the chance that any of its marks is wrong is 5 %. What a report calls clear, in its
tables and in its sentences, is this.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from scipy import stats

from evaluation import multiple
from evaluation.bootstrap import Interval
from evaluation.studies.cells import FEWEST, LEVEL, known
from evaluation.studies.contest import ALL, TASKS, Table
from evaluation.studies.page import shown
from training.config import Task

GOAL_HEADROOM = 0.85
TOO_FEW = "too few worlds to correct for many comparisons"


@dataclass(frozen=True)
class Pair:
    """Two rows on a task."""

    row: str
    against: str
    task: Task
    gap: Interval
    """`row` less `against`, paired."""
    worlds: int
    """In which both are known."""
    holm: float | None
    """Corrected p; none of fewer than `FEWEST` worlds."""

    @property
    def clear(self) -> bool:
        """Whether they differ after the correction."""
        return self.holm is not None and self.holm < 1 - LEVEL


def neighbours(table: Table) -> list[Pair]:
    """Every row that answers a task against the nearest row above it that does."""
    return _compared(
        table,
        [(below, above, task) for task in TASKS for above, below in pairwise(_rows(table, task))],
    )


def over_all(table: Table) -> list[Pair]:
    """The full network against every other row, on each task that both answer."""
    return _compared(
        table, [(ALL, one, task) for task in TASKS for one in _rows(table, task) if one != ALL]
    )


def goals(table: Table) -> list[str]:
    """A sentence for each goal, reached or not; where worlds are too few, nothing is clear."""
    found = over_all(table)
    said = [
        _standing(task, of) for task in TASKS if (of := [one for one in found if one.task is task])
    ]
    if asked := counted(found):
        said.append(
            f"Clearly: Holm's p under 0.05, corrected for all {asked} comparisons; intervals are "
            "of one comparison."
        )
    reached = table.headroom(ALL, Task.CTR)
    verdict = "reached" if reached.value >= GOAL_HEADROOM else "not reached"
    span = f" ({reached.low:.0%} to {reached.high:.0%})" if np.isfinite(reached.low) else ""
    goal = f"the goal of {GOAL_HEADROOM:.0%} is {verdict}"
    return [*said, f"CTR: {reached.value:.0%}{span} of the attainable headroom; {goal}."]


def _standing(task: Task, found: Sequence[Pair]) -> str:
    above = [one.against for one in found if one.clear and one.gap.value > 0]
    if len(above) == len(found):
        return f"{task}: the full network is clearly above every other model."
    below = [one.against for one in found if one.clear and one.gap.value < 0]
    level = [one.against for one in found if one.worlds >= FEWEST and not one.clear]
    few = [one.against for one in found if one.worlds < FEWEST]
    groups = {"clearly above": above, "clearly below": below, "not told apart from": level,
              f"not judged ({TOO_FEW}) against": few}  # fmt: skip
    parts = [f"{words} {', '.join(names)}" for words, names in groups.items() if names]
    worst = min(found, key=lambda one: one.gap.value)
    gap = shown(worst.gap, sign=True)
    return (
        f"{task}: the full network is {'; '.join(parts)}; against {worst.against} it stands at "
        f"{gap}."
    )


def _rows(table: Table, task: Task) -> list[str]:
    return [model for model in table.models if any(table.row(model, task))]


def _compared(table: Table, pairs: Sequence[tuple[str, str, Task]]) -> list[Pair]:
    gaps = [table.over(*pair) for pair in pairs]
    worlds = [known(table.row(a, task), table.row(b, task)) for a, b, task in pairs]
    p = [p_of(gap, count) for gap, count in zip(gaps, worlds, strict=True)]
    return [
        Pair(*pair, gap, count, holm)
        for pair, gap, count, holm in zip(pairs, gaps, worlds, multiple.holm(p), strict=True)
    ]


def counted(found: Sequence[Pair]) -> int:
    """Comparisons that have a p, for which it is corrected."""
    return sum(one.holm is not None for one in found)


def p_of(gap: Interval, worlds: int) -> float | None:
    """Two-sided, Student's over worlds; it is under 5 % where the interval leaves out zero."""
    if worlds < FEWEST or not np.isfinite(gap.error) or gap.error == 0:
        return None
    return float(2 * stats.t.sf(abs(gap.value) / gap.error, worlds - 1))
