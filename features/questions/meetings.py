"""Where a candidate's item, shop, brand or category stands in the history of its moment.

Samples ask for many moments at once: one sort of the shared rows and two binary searches a
candidate, whatever the length of the history. Serving asks for one moment with thousands of
candidates: a history has a hundred values at most, so whether a candidate can be among them is told
by a table of marks, and only those that can are searched. Both find the same.
"""

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from features.catalog import FIRST_ROW
from features.timeline import Codes, Ints, Spans
from infra.errors import ConfigError

N = TypeVar("N", bound=np.generic)

_SPREAD, _SHIFT = np.uint64(0x9E3779B97F4A7C15), np.uint64(45)
"""Multiplicative hashing into 2**19 marks."""
_LOW = np.int32((1 << 16) - 1)
"""One history's marks: by the last bits of a row, since rows are dense; they fit into L2."""


@dataclass(frozen=True, kw_only=True)
class Pasts:
    """Histories as spans over shared rows, oldest first; serving has one span and one owner."""

    owner: Codes
    """Whose row it is; ascending."""
    item: Codes
    """Catalog row."""
    type: NDArray[np.int8]
    ts: Ints
    """UTC milliseconds."""
    spans: Spans
    """Rows of each moment's history."""
    moment_owner: Codes
    """Whose moment it is."""
    moment_ts: Ints


@dataclass(frozen=True, kw_only=True)
class Candidates:
    """One entry a candidate."""

    moment: Ints
    item: Codes
    relevance: NDArray[np.float32]
    """Share of the query's words in the title (`questions.relevance`); 0 without a query."""


@dataclass(frozen=True)
class Meetings:
    """Candidates whose attribute stands in their history; the others have none."""

    who: Ints
    """Their places."""
    count: Ints
    """How often it stands there: an entry a meeting, or an entry a value where `of` is given."""
    last: Ints
    """The last row of `Pasts` that has it."""
    of: Ints | None = None
    """The entry of each of `who`."""

    def each(self, values: NDArray[N]) -> NDArray[N]:
        """What was computed for the entries, for each of `who`."""
        return values if self.of is None else values.take(self.of)


def find(attribute: Codes | None, candidates: Candidates, pasts: Pasts) -> Meetings:
    """All meetings.

    Args:
        attribute: by catalog row; None: the row itself.
        candidates: who may meet.
        pasts: whom.

    Raises:
        ConfigError: users and attribute do not fit into one integer.
    """

    def of(items: Codes) -> Codes:
        return items if attribute is None else attribute.take(items)

    if len(pasts.moment_ts) == 1:
        start, stop = int(pasts.spans.start[0]), int(pasts.spans.stop[0])
        return _of_one(of(pasts.item[start:stop]), of(candidates.item), start)
    return _of_many(of(pasts.item), of(candidates.item), candidates, pasts)


def _of_one(past: Codes, wanted: Codes, start: int) -> Meetings:
    """Of one history, which begins at row `start`."""
    values, behind, count = np.unique(past[::-1], return_index=True, return_counts=True)
    first = int(np.searchsorted(values, FIRST_ROW))
    values, behind, count = values[first:], behind[first:], count[first:]
    last = start + len(past) - 1 - behind
    if not len(values):
        return Meetings(behind, count, last)
    marks = np.zeros(int(_LOW) + 1, bool)
    marks[values & _LOW] = True
    maybe = np.flatnonzero(marks.take(wanted & _LOW))
    asked = wanted.take(maybe)
    place = np.minimum(np.searchsorted(values, asked), len(values) - 1)
    hit = np.flatnonzero(values.take(place) == asked)
    return Meetings(maybe.take(hit), count, last, place.take(hit))


def _of_many(past: Codes, wanted: Codes, candidates: Candidates, pasts: Pasts) -> Meetings:
    """Sorted (owner, attribute, row) integers: rows of a span with one attribute are a range."""
    none = np.zeros(0, np.int64)
    if not len(past) or not len(wanted):
        return Meetings(none, none, none)
    width = np.int64(max(int(past.max()), int(wanted.max())) + 1)
    bits = np.int64(len(past).bit_length())
    if (int(pasts.owner[-1] + 1) * int(width)).bit_length() + int(bits) > 62:
        raise ConfigError(
            f"a bucket of {int(pasts.owner[-1]) + 1:,} users is too wide for a catalog of "
            f"{int(width):,} items. Set beam.buckets higher."
        )
    met = pasts.owner * width + past
    pair = pasts.moment_owner.take(candidates.moment) * width + wanted
    rows, asked = _shared(met, pair)
    rows, asked = rows[past.take(rows) >= FIRST_ROW], asked[wanted.take(asked) >= FIRST_ROW]
    if not len(rows):
        return Meetings(none, none, none)
    packed = (met.take(rows) << bits) | rows
    packed.sort()
    ends = (pair.take(asked) << bits) | pasts.spans.stop.take(candidates.moment.take(asked))
    order = np.argsort(ends)  # searching for ascending values walks instead of jumping
    asked, ends = asked.take(order), ends.take(order)
    starts = (pair.take(asked) << bits) | pasts.spans.start.take(candidates.moment.take(asked))
    stop = np.searchsorted(packed, ends)
    before = packed.take(np.maximum(stop - 1, 0))
    hit = np.flatnonzero((stop > 0) & (before >= starts))
    count = stop.take(hit) - np.searchsorted(packed, starts.take(hit))
    return Meetings(asked.take(hit), count, before.take(hit) & ((np.int64(1) << bits) - 1))


def _shared(left: Ints, right: Ints) -> tuple[Ints, Ints]:
    """Places of values that may stand on both sides; all that do are among them.

    Most of a history meets no candidate: a table of marks, which fits into a core's cache, tells
    that for a fraction of what a search costs.
    """
    slot = [((side.view(np.uint64) * _SPREAD) >> _SHIFT).view(np.int64) for side in (left, right)]
    marks = np.zeros((2, 1 << (64 - int(_SHIFT))), bool)
    marks[0][slot[1]] = True
    rows = np.flatnonzero(marks[0].take(slot[0]))
    marks[1][slot[0].take(rows)] = True
    return rows, np.flatnonzero(marks[1].take(slot[1]))
