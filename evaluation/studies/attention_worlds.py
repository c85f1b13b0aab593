"""What means over worlds and one picture leave out: Figure 8 in every world, Figure 9's spread.

A mean of worlds that differ much belongs to none of them, and a history that is chosen for its
picture is one history: both are told world by world.
"""

from collections.abc import Sequence

import numpy as np

from evaluation.bootstrap import Interval
from evaluation.metrics import NAN, Floats
from evaluation.studies.attention import Example, Seen
from evaluation.studies.attention_map import BUCKETS, TYPES
from evaluation.studies.cells import over_each
from evaluation.studies.page import Grid, shown

WEEK, OLDEST = len(BUCKETS) - 2, len(BUCKETS) - 1


def grids(worlds: Sequence[Seen]) -> list[Grid]:
    """Figure 8's queries, the range of Figure 9, and where its ages end."""
    return [examples(worlds), ranges(worlds), oldest(worlds)]


def examples(worlds: Sequence[Seen]) -> Grid:
    """Of each query of every world's history, what its own category holds of it and gets."""
    found = [(one.seed, one.example) for one in worlds if one.example is not None]
    rows, right, guessed = [], 0, 0.0
    for seed, example in found:
        held, given = shares(example)
        heaviest = given.argmax(axis=1)
        own = np.arange(len(given))
        right += int((heaviest == own).sum())
        guessed += len(given) / len(example.categories)
        for at, query in enumerate(example.queries):
            hit = "yes" if heaviest[at] == at else "no"
            rows.append([str(seed), query, f"{held[at]:.0%}", f"{given[at, at]:.0%}", hit])
    note = (
        "The history of each world that the rule of the picture chooses (the picture is the first "
        "one's), under the query of each of its four categories. The category with the most weight "
        f"is the query's in {right} of {len(rows)}; guessing gives {guessed:g}."
    )
    head = ["seed", "query", "its category's share of the history", "of the weight", "heaviest"]
    return Grid("Figure 8: one history a world", head, rows, note)


def shares(example: Example) -> tuple[Floats, Floats]:
    """Of a history, what each category holds of it, and what weight each query gives it.

    Returns:
        by category, and by query and category; behaviours in other categories count in the whole.
    """
    place, weights = np.array(example.place), np.array(example.weights, np.float64)
    member = place[:, None] == np.arange(len(example.categories))
    return member.mean(axis=0), weights @ member / weights.sum(axis=1, keepdims=True)


def ranges(worlds: Sequence[Seen]) -> Grid:
    """The map's cells, from the world with the least to the one with the most."""
    maps = _maps(worlds)
    rows = [
        [kind.name.lower(), *(_range(maps[:, row, column]) for column in range(len(BUCKETS)))]
        for row, kind in enumerate(TYPES)
    ]
    note = (
        "Mean attention in multiples of uniform, of the world that has the least to the one that "
        "has the most; -: too few in every world."
    )
    return Grid("Figure 9: from world to world", ["", *(one.title for one in BUCKETS)], rows, note)


def oldest(worlds: Sequence[Seen]) -> Grid:
    """Whether weights fall with age to the end."""
    maps = _maps(worlds)
    gaps = maps[:, :, OLDEST] - maps[:, :, WEEK]
    rows = [
        [
            kind.name.lower(),
            shown(over_each([Interval(gap) for gap in gaps[:, row]]), 3, sign=True),
        ]
        for row, kind in enumerate(TYPES)
    ]
    title = f"{BUCKETS[OLDEST].title} less {BUCKETS[WEEK].title}"
    note = (
        "The last two ages of Figure 9, paired by worlds: above zero, the oldest is heavier; "
        "-: too few in a world."
    )
    return Grid("Figure 9: the oldest behaviours", ["", title], rows, note)


def _maps(worlds: Sequence[Seen]) -> Floats:
    """By world, type and age; NaN where there are too few."""
    known = [{one.name: one.value for one in world.figures} for world in worlds]
    names = [[f"attention_heat_{kind.name.lower()}_{b.key}" for b in BUCKETS] for kind in TYPES]
    return np.array([[[_or_nan(one[name]) for name in row] for row in names] for one in known])


def _or_nan(value: float | None) -> float:
    return NAN if value is None else value


def _range(values: Floats) -> str:
    """Two decimals, three where the lowest has none of them."""
    known = values[np.isfinite(values)]
    if not len(known):
        return "-"
    digits = 2 if known.min() >= 0.1 else 3
    return f"{known.min():.{digits}f} to {known.max():.{digits}f}"
