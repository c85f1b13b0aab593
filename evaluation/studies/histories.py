"""Moments and the behaviours before them, flat, and what stands out in them.

A moment's query is known by a category where the same words were typed on learnt days: the one of
most of the clicks after them. What is asked of a history is in which category most of some weight
lies. Nothing here knows a network; ties count as the share of the tied that are right.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from evaluation.metrics import AnyArray, Floats

KEY = 1 << 32
"""Above every category and query code: two of them make one number."""


@dataclass(frozen=True)
class Histories:
    """Moments and their behaviours, at least one each, moment after moment, oldest first."""

    user: AnyArray
    """Hash, of each moment."""
    length: AnyArray
    """Behaviours of each moment."""
    wanted: AnyArray
    """Category of each moment's query; 0: not known."""
    clicks: AnyArray
    """Whether anything is clicked at each moment."""
    kind: AnyArray
    """Type, of each behaviour; the next ones too."""
    gap: AnyArray
    """Code of its age."""
    category: AnyArray
    clicked: AnyArray
    """Whether its category is clicked at the moment."""

    @property
    def moments(self) -> int:
        """How many."""
        return len(self.length)

    @cached_property
    def owner(self) -> AnyArray:
        """The moment of each behaviour."""
        return np.repeat(np.arange(self.moments), self.length)

    @cached_property
    def person(self) -> AnyArray:
        """Each moment's user as a number from 0."""
        return np.unique(self.user, return_inverse=True)[1]

    @property
    def users(self) -> int:
        """Who have a moment."""
        return int(self.person.max()) + 1 if self.moments else 0


class Grouped(NamedTuple):
    """Behaviours summed by category within each moment, in order of moment, then category."""

    owner: AnyArray
    category: AnyArray
    total: Floats


def grouped(found: Histories, weight: AnyArray) -> Grouped:
    """The weight of each category of each history."""
    keys, place = np.unique(found.owner * KEY + found.category, return_inverse=True)
    total = np.bincount(place, weight, len(keys)).astype(np.float64)
    return Grouped(keys // KEY, keys % KEY, total)


def heaviest_category(found: Histories, weight: AnyArray) -> Floats:
    """Of each moment, whether the category with the most weight is the query's."""
    return _heaviest(grouped(found, weight), found.wanted)


def heaviest(found: Histories, weight: AnyArray) -> Floats:
    """Of each moment, whether the one behaviour with the most weight is in the query's category."""
    alone = Grouped(found.owner, found.category, np.asarray(weight, np.float64))
    return _heaviest(alone, found.wanted)


def held_among_others(found: Histories) -> AnyArray:
    """Moments whose history holds the query's category and another: where there is a choice."""
    by = grouped(found, np.ones(len(found.owner)))
    held = np.bincount(by.owner[by.category == found.wanted[by.owner]], minlength=found.moments)
    kinds = np.bincount(by.owner, minlength=found.moments)
    return (found.wanted > 0) & (held > 0) & (kinds > 1)


def _heaviest(by: Grouped, wanted: AnyArray) -> Floats:
    starts = np.searchsorted(by.owner, np.arange(len(wanted)))
    most = np.maximum.reduceat(by.total, starts)
    top = by.total == most[by.owner]
    right = top & (by.category == wanted[by.owner])
    size = len(wanted)
    return np.bincount(by.owner[right], minlength=size) / np.bincount(by.owner[top], minlength=size)


def others(user: AnyArray, seed: int) -> AnyArray:
    """For every moment a moment of another user, each once.

    Users in random order, turned by as many places as the busiest user has moments: nobody meets
    their own, unless one user has more than half of all.
    """
    rng = np.random.default_rng(seed)
    person = np.unique(user, return_inverse=True)[1]
    order = np.lexsort((rng.random(len(user)), rng.permutation(int(person.max()) + 1)[person]))
    donor = np.empty(len(user), np.int64)
    donor[order] = np.roll(order, int(np.bincount(person).max()))
    return donor


def plurality(code: AnyArray, category: AnyArray, size: int) -> AnyArray:
    """The category that stands most often beside each code 0..size-1; 0 where none does.

    Of equally frequent ones the smallest.

    Args:
        code: of the query that each click came after.
        category: of what was clicked, above 0.
        size: number of codes.
    """
    keys, count = np.unique(np.asarray(code, np.int64) * KEY + category, return_counts=True)
    order = np.lexsort((keys, -count, keys // KEY))
    first = order[np.r_[True, np.diff(keys[order] // KEY) != 0][: len(order)]]
    found = np.zeros(size, np.int64)
    found[keys[first] // KEY] = keys[first] % KEY
    return found


class Varied(NamedTuple):
    """A history that is looked at under several queries."""

    moment: int
    categories: AnyArray
    """The most frequent ones that were typed, most frequent first."""


def most_varied(found: Histories, typed: AnyArray, kinds: int, fewest: int) -> Varied | None:
    """The history with the most even spread over its `kinds` most frequent categories.

    The one in which the last of them has the largest share of all behaviours; the first of several.

    Args:
        found: the histories.
        typed: categories that somebody's query is known by; others do not count.
        kinds: how many categories.
        fewest: behaviours that the history has at least.
    """
    by = grouped(found, np.ones(len(found.owner)))
    keep = np.isin(by.category, typed) & (found.length[by.owner] >= fewest)
    owner, category, count = by.owner[keep], by.category[keep], by.total[keep]
    order = np.lexsort((category, -count, owner))
    owner, category, count = owner[order], category[order], count[order]
    rank = np.arange(len(owner)) - np.searchsorted(owner, owner)
    last = np.flatnonzero(rank == kinds - 1)
    if not len(last):
        return None
    best = last[np.argmax(count[last] / found.length[owner[last]])]
    return Varied(int(owner[best]), category[best - kinds + 1 : best + 1])
