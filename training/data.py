"""Streams the samples of some days as batches, from any position, a window in memory at a time.

**Order.** An epoch's plan is drawn from (seed, epoch) alone: all row groups of all days (cut to an
eighth of `shuffle_buffer`), permuted, are dealt into windows of at most `shuffle_buffer` moments.
One window is in memory at a time; its moments are permuted, grouped by history length (a batch is
as wide as its longest history), and the batches are permuted again. So the shuffle is uniform over
pieces and within a window, but for length; neighbours in a file (a user's moments) share a window.
Without shuffling, windows follow the published order, and each is read from short histories to
long ones.

**Position.** Windows do not depend on each other, so a run that resumes at (epoch, step) reads the
window of that step and nothing before it.

**Slices.** What is read need not be whole days: a slice is a day's moments of some users, with a
weight in the loss and a stage. Stages are read in order; the slices of one stage mix.
"""

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import date
from functools import cached_property

import numpy as np
import pyarrow as pa

from features import catalog
from features.carry import ONE_DAY
from features.catalog import CatalogArrays
from features.property import NEVER
from infra.errors import TrainingError
from infra.store import Manifest, Store
from training import built
from training.ancestry import Part
from training.batch import Batch, VocabularySizes
from training.collate import collate
from training.moments import IntArray, MomentInfo, Moments
from training.pieces import Piece, profiled, read
from training.prefetch import prefetched
from training.sizes import vocabulary_sizes
from training.slices import Group, Slice, groups_of

PIECES = 8
"""Parts of a window, at least: they come from all over, so that days and users mix."""

PREFETCHED = 4
"""Batches that wait for the network: enough to read the next window behind its back."""


@dataclass(frozen=True, order=True)
class Position:
    """Where a reader stands: the next batch is `step` of `epoch`, both from 0."""

    epoch: int = 0
    step: int = 0


@dataclass(frozen=True)
class Window:
    """Pieces that are in memory together, and the steps of the epoch that they make."""

    index: int
    pieces: tuple[Piece, ...]
    rows: int
    first_step: int
    steps: int


@dataclass(frozen=True)
class Loaded:
    """A batch, who is in it, and the position after it."""

    batch: Batch
    info: MomentInfo
    after: Position


class Samples:
    """The published samples of some days, resolved once: a rerun of a day does not mix in.

    Nor does another catalog: one that is published again before it is read is an error. A moment
    has the catalog of its own day, which is made of the days before: one that was open at midnight
    closes in the next day's samples, and that day's catalog has counted what it did. It has the
    latter all the same where retention took the evening's (the oldest day), and in days that were
    published before their midnight was noted.

    Args:
        store: where they are.
        days: in the order that the windows of unshuffled reading follow.
        sizes: of the network that will read them; by default of the last day's vocabulary.
        slices: what to read of the days; by default each of them whole, all mixed.

    Raises:
        PartitionMissing: a day is not published.
        PartitionCorrupt: a day was built with other ranking features than are computed now.
    """

    def __init__(
        self,
        store: Store,
        days: Sequence[date],
        sizes: VocabularySizes | None = None,
        slices: Sequence[Slice] | None = None,
    ) -> None:
        self.store = store
        self.days = tuple(days)
        self._sizes = sizes
        self.partitions = [store.partition("samples", day) for day in self.days]
        self.manifests: list[Manifest] = [partition.manifest() for partition in self.partitions]
        built.require(self.days, self.manifests)
        self._begins = [one.lineage.get("begins_ms") for one in self.manifests]
        self.catalog_days = tuple(sorted({*self.days, *self._evenings()}))
        parts = [store.partition("catalog", day) for day in self.catalog_days]
        self.catalog_stamps = [one.stamp() for one in parts]
        self.slices = tuple(slices or [Slice(Part(day=day)) for day in self.days])
        self._day = [self.days.index(piece.part.day) for piece in self.slices]

    @property
    def moments(self) -> int:
        """Moments of all slices."""
        return sum(self.moments_of(index) for index in range(len(self.slices)))

    def moments_of(self, index: int) -> int:
        """Moments of one slice."""
        if self.slices[index].whole:
            return self.manifests[self._day[index]].rows
        return sum(group.moments for group in self._groups[index])

    @cached_property
    def catalogs(self) -> list[CatalogArrays]:
        """That of each of `catalog_days`, in order, loaded at the first batch.

        Memory grows with items times days.
        """
        loaded = [catalog.load(self.store, day) for day in self.catalog_days]
        for day, stamp in zip(self.catalog_days, self.catalog_stamps, strict=True):
            if self.store.partition("catalog", day).stamp() != stamp:
                raise TrainingError(
                    f"catalog/dt={day} was published again before its samples were read. "
                    "Run the command again."
                )
        return loaded

    @cached_property
    def sizes(self) -> VocabularySizes:
        """Sizes of the embedding tables that fit these samples."""
        return self._sizes or vocabulary_sizes(self.store, self.days[-1])

    @cached_property
    def _groups(self) -> list[list[Group]]:
        return [
            groups_of(piece, self.partitions[day], self.manifests[day])
            for piece, day in zip(self.slices, self._day, strict=True)
        ]

    def pieces(self, at_most: int) -> list[list[Piece]]:
        """By stage, all rows in published order, cut at row groups and at `at_most` rows."""
        found: dict[int, list[Piece]] = {}
        for index, groups in enumerate(self._groups):
            stage = found.setdefault(self.slices[index].stage, [])
            for group in groups:
                stage += group.pieces(index, at_most)
        return [found[stage] for stage in sorted(found) if found[stage]]

    def load(self, window: Window) -> Moments:
        """The rows of a window, in the order of its pieces."""
        tables = [self._read(piece) for piece in window.pieces]
        rows = [piece.rows for piece in window.pieces]
        of = np.repeat([piece.slice for piece in window.pieces], rows).astype(np.int64)
        day = np.array(self._day, np.int64)[of]
        found = Moments.from_arrow(pa.concat_tables(tables), day, self.sizes.profile_names)
        weights = np.array([piece.part.weight for piece in self.slices], np.float32)
        known = np.array([piece.draw is not None for piece in self.slices])
        return replace(
            found,
            day=self.catalog_of(found.ts, day),
            weight=None if (weights == 1).all() else weights[of],
            known=None if not known.any() else known[of],
        )

    def _evenings(self) -> list[date]:
        """The day before each day that may hold its moments, where its catalog is there."""
        told = zip(self.days, self._begins, strict=True)
        before = [day - ONE_DAY for day, begins in told if begins is not None]
        return [day for day in before if self.store.partition("catalog", day).exists()]

    def _read(self, piece: Piece) -> pa.Table:
        """A piece, its profiles in the columns of the network."""
        day = self._day[piece.slice]
        table, wanted = read(self.partitions[day], piece), self.sizes.profile_names
        names = self.manifests[day].lineage.get("profile")
        return table if wanted is None else profiled(table, names, wanted)

    def catalog_of(self, ts: IntArray, day: IntArray) -> IntArray:
        """Place in `catalogs` of each moment's own day; `day` is the place of its samples'."""
        place = {one: index for index, one in enumerate(self.catalog_days)}
        own = np.array([place[one] for one in self.days], np.int64)
        evening = np.array([place.get(one - ONE_DAY, place[one]) for one in self.days], np.int64)
        begins = np.array([NEVER if one is None else one for one in self._begins], np.int64)
        return np.where(ts < begins[day], evening[day], own[day])


class Reader:
    """Batches of samples, the same from the same seed and position.

    Args:
        samples: what to read.
        batch_size: moments of a batch, at most (the batches of a window are of even size).
        buffer: moments in memory, at most.
        seed: of the order.
        shuffle: False for windows in published order, their batches full but for the last.
    """

    def __init__(
        self,
        samples: Samples,
        *,
        batch_size: int,
        buffer: int,
        seed: int = 0,
        shuffle: bool = True,
    ) -> None:
        if samples.moments == 0:
            days = f"{samples.days[0]} to {samples.days[-1]}" if samples.days else "no day"
            raise TrainingError(
                f"there is no sample to read ({days}). Check the counts of `dupn samples`."
            )
        self.samples = samples
        self.batch_size = batch_size
        self.buffer = max(buffer, batch_size)
        self.seed = seed
        self.shuffle = shuffle
        self._pieces = samples.pieces(-(-self.buffer // PIECES) if shuffle else self.buffer)
        self.most_held = 0
        """Largest number of moments that were in memory at once (batches in the queue aside)."""

    def windows(self, epoch: int) -> list[Window]:
        """The plan of an epoch."""
        rng = self._rng(epoch)
        windows: list[Window] = []
        for stage in self._pieces:
            held: list[Piece] = []
            for index in rng.permutation(len(stage)) if self.shuffle else range(len(stage)):
                piece = stage[index]
                if sum(other.rows for other in held) + piece.rows > self.buffer:
                    windows.append(self._window(windows, held))
                    held = []
                held.append(piece)
            windows.append(self._window(windows, held))
        return windows

    def steps(self, epoch: int = 0) -> int:
        """Batches of an epoch; may differ a little between epochs."""
        return sum(window.steps for window in self.windows(epoch))

    def epoch(self, position: Position) -> Iterator[Loaded]:
        """The batches of `position.epoch` from `position.step` on; read ahead by a thread."""
        with closing(prefetched(self._epoch(position), PREFETCHED)) as batches:
            yield from batches

    def _epoch(self, position: Position) -> Iterator[Loaded]:
        for window in self.windows(position.epoch):
            if window.first_step + window.steps <= position.step:
                continue
            moments = self.samples.load(window)
            self.most_held = max(self.most_held, len(moments))
            parts = self._parts(moments, position.epoch, window)
            for offset, rows in enumerate(parts):
                step = window.first_step + offset
                if step < position.step:
                    continue
                yield Loaded(
                    collate(moments, rows, self.samples.catalogs, self.samples.sizes),
                    MomentInfo.of(moments, rows),
                    Position(position.epoch, step + 1),
                )

    def _parts(self, moments: Moments, epoch: int, window: Window) -> list[IntArray]:
        if self.shuffle:
            rng = self._rng(epoch, window.index)
            return grouped(moments.sequence.lengths, window.steps, rng)
        return alike(moments.sequence.lengths, self.batch_size)

    def _window(self, before: Sequence[Window], pieces: Sequence[Piece]) -> Window:
        rows = sum(piece.rows for piece in pieces)
        first = before[-1].first_step + before[-1].steps if before else 0
        return Window(len(before), tuple(pieces), rows, first, -(-rows // self.batch_size))

    def _rng(self, *purpose: int) -> np.random.Generator:
        """A stream for a purpose.

        NumPy pads with zeros, so an epoch's plan and its window 0 share one: they deal other
        numbers of rows, and to part them would change every published fit.
        """
        return np.random.default_rng([self.seed, *purpose])


def grouped(lengths: IntArray, parts: int, rng: np.random.Generator) -> list[IntArray]:
    """All rows in `parts` even batches, each of moments of like length, in random order."""
    order = rng.permutation(len(lengths))
    order = order[np.argsort(lengths[order], kind="stable")]
    cut = np.array_split(order, parts)
    return [cut[index] for index in rng.permutation(parts)]


def alike(lengths: IntArray, size: int) -> list[IntArray]:
    """All rows from short histories to long, in batches of `size` but for the last."""
    order = np.argsort(lengths, kind="stable")
    return [order[first : first + size] for first in range(0, len(order), size)]
