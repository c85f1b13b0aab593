"""What a reader reads of a day: a part of its moments, or a seeded draw of moments known already.

A whole day costs no look at its users; anything else reads the users' column once, so that every
piece knows how many moments it brings.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date

import numpy as np

from infra.store import FileEntry, Manifest, Partition
from training.ancestry import Part, Share
from training.pieces import Mask, Piece, row_groups, users


@dataclass(frozen=True)
class Draw:
    """A seeded share of the moments of some row groups, to be learnt once more."""

    groups: frozenset[tuple[int, int]]
    """(file, row group) of the day, counted in published order."""
    keep: float
    """Share of their moments."""
    seed: tuple[int, ...]

    def mask(self, day: date, file: int, group: int, rows: int) -> Mask:
        """Which rows of a row group."""
        if (file, group) not in self.groups:
            return np.zeros(rows, np.bool_)
        rng = np.random.default_rng([*self.seed, day.toordinal(), file, group])
        return np.asarray(rng.random(rows) < self.keep)


@dataclass(frozen=True)
class Slice:
    """A part of a day's moments; the slices of a stage are shuffled together."""

    part: Part
    stage: int = 0
    draw: Draw | None = None
    """Set where the moments are replayed."""

    @property
    def whole(self) -> bool:
        """Whether it is simply the day."""
        return self.part.share is Share.ALL and self.draw is None


@dataclass(frozen=True)
class Group:
    """A row group of a file, and which of its rows are in the slice (None: all)."""

    entry: FileEntry
    group: int
    rows: int
    chosen: Mask | None

    @property
    def moments(self) -> int:
        """How many rows are in the slice."""
        return self.rows if self.chosen is None else int(self.chosen.sum())

    def pieces(self, of_slice: int, at_most: int) -> Iterator[Piece]:
        """Cut at `at_most` rows; pieces that bring nothing are left out."""
        for start in range(0, self.rows, at_most):
            span = min(at_most, self.rows - start)
            chosen = None if self.chosen is None else self.chosen[start : start + span]
            if chosen is None or chosen.any():
                yield Piece(of_slice, self.entry, self.group, start, span, chosen)


def groups_of(of: Slice, partition: Partition, manifest: Manifest) -> list[Group]:
    """The row groups that a slice has moments in, in published order."""
    found = []
    for file, entry in enumerate(manifest.files):
        if of.draw is not None and not any(f == file for f, _ in of.draw.groups):
            continue
        for group, rows in enumerate(row_groups(partition, entry)):
            drawn = None if of.draw is None else of.draw.mask(of.part.day, file, group, rows)
            if drawn is not None and not drawn.any():
                continue
            chosen = drawn
            if of.part.share is not Share.ALL:
                mask = of.part.mask(users(partition, entry, group))
                chosen = mask if drawn is None or mask is None else mask & drawn
            found.append(Group(entry, group, rows, chosen))
    return found
