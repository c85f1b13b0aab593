"""Streams the samples of some days as batches, in bounded memory and from any position.

**Order.** An epoch's plan is drawn from (seed, epoch) alone: all row groups of all days (cut to an
eighth of `shuffle_buffer`), permuted, are dealt into windows of at most `shuffle_buffer` moments.
One window is in memory at a time; its moments are permuted, grouped by history length (a batch is
as wide as its longest history), and the batches are permuted again. So the shuffle is uniform over
pieces and within a window, but for length; neighbours in a file (a user's moments) share a window.

**Position.** Windows do not depend on each other, so a run that resumes at (epoch, step) reads the
window of that step and nothing before it.
"""

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import date
from functools import cached_property

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from features import catalog
from features.catalog import CatalogArrays
from features.schemas import SAMPLES
from infra.errors import PartitionCorrupt, TrainingError
from infra.store import FileEntry, Manifest, Partition, Store
from training.batch import Batch, VocabularySizes
from training.collate import collate
from training.moments import IntArray, MomentInfo, Moments
from training.prefetch import prefetched
from training.sizes import vocabulary_sizes

PIECES = 8
"""Parts of a window, at least: they come from all over, so that days and users mix."""

READ_BYTES = 1 << 20
"""Read of a column at a time, where a row group is larger."""

PREFETCHED = 4
"""Batches that wait for the network: enough to read the next window behind its back."""


@dataclass(frozen=True, order=True)
class Position:
    """Where a reader stands: the next batch is `step` of `epoch`, both from 0."""

    epoch: int = 0
    step: int = 0


@dataclass(frozen=True)
class Piece:
    """Rows [start, start + rows) of one row group of one day's file."""

    day: int
    entry: FileEntry
    group: int
    start: int
    rows: int


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

    Args:
        store: where they are.
        days: in the order that unshuffled reading follows.
        sizes: of the network that will read them; by default of the last day's vocabulary.
    """

    def __init__(
        self, store: Store, days: Sequence[date], sizes: VocabularySizes | None = None
    ) -> None:
        self.store = store
        self.days = tuple(days)
        self._sizes = sizes
        self.partitions = [store.partition("samples", day) for day in self.days]
        self.manifests: list[Manifest] = [partition.manifest() for partition in self.partitions]

    @property
    def moments(self) -> int:
        """Moments of all days."""
        return sum(manifest.rows for manifest in self.manifests)

    @cached_property
    def catalogs(self) -> list[CatalogArrays]:
        """Each day's catalog, loaded at the first batch; memory grows with items times days."""
        return [catalog.load(self.store, day) for day in self.days]

    @cached_property
    def sizes(self) -> VocabularySizes:
        """Sizes of the embedding tables that fit these samples."""
        return self._sizes or vocabulary_sizes(self.store, self.days[-1])

    def pieces(self, at_most: int) -> list[Piece]:
        """All rows in published order, cut at row groups and at `at_most` rows."""
        found = []
        for day, (partition, manifest) in enumerate(
            zip(self.partitions, self.manifests, strict=True)
        ):
            for entry in manifest.files:
                for group, rows in enumerate(_row_groups(partition, entry)):
                    found += [
                        Piece(day, entry, group, start, min(at_most, rows - start))
                        for start in range(0, rows, at_most)
                    ]
        return found

    def load(self, window: Window) -> Moments:
        """The rows of a window, in the order of its pieces."""
        tables = [_read(self.partitions[piece.day], piece) for piece in window.pieces]
        day = np.repeat(
            [piece.day for piece in window.pieces], [piece.rows for piece in window.pieces]
        )
        return Moments.from_arrow(pa.concat_tables(tables), day.astype(np.int64))


class Reader:
    """Batches of samples, the same from the same seed and position.

    Args:
        samples: what to read.
        batch_size: moments of a batch, at most (the batches of a window are of even size).
        buffer: moments in memory, at most.
        seed: of the order.
        shuffle: False for the published order, batches full but for a window's last.
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
        order = np.arange(len(self._pieces))
        if self.shuffle:
            order = self._rng(epoch).permutation(order)
        windows: list[Window] = []
        held: list[Piece] = []
        for piece in [self._pieces[index] for index in order]:
            if sum(other.rows for other in held) + piece.rows > self.buffer:
                windows.append(self._window(windows, held))
                held = []
            held.append(piece)
        return [*windows, self._window(windows, held)]

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
        rows = np.arange(len(moments))
        return np.split(rows, range(self.batch_size, len(rows), self.batch_size))

    def _window(self, before: Sequence[Window], pieces: Sequence[Piece]) -> Window:
        rows = sum(piece.rows for piece in pieces)
        first = before[-1].first_step + before[-1].steps if before else 0
        return Window(len(before), tuple(pieces), rows, first, -(-rows // self.batch_size))

    def _rng(self, *purpose: int) -> np.random.Generator:
        return np.random.default_rng([self.seed, *purpose])


def grouped(lengths: IntArray, parts: int, rng: np.random.Generator) -> list[IntArray]:
    """All rows in `parts` even batches, each of moments of like length, in random order."""
    order = rng.permutation(len(lengths))
    order = order[np.argsort(lengths[order], kind="stable")]
    cut = np.array_split(order, parts)
    return [cut[index] for index in rng.permutation(parts)]


def _row_groups(partition: Partition, entry: FileEntry) -> list[int]:
    with partition.open(entry) as source:
        try:
            footer = pq.read_metadata(source)
        except (pa.ArrowInvalid, OSError) as error:
            raise _unreadable(partition, entry, error) from None
    return [footer.row_group(index).num_rows for index in range(footer.num_row_groups)]


def _read(partition: Partition, piece: Piece) -> pa.Table:
    """The piece's rows, streamed out of its row group (whose size the store bounds).

    Decoded in batches of the piece's own size: a slice keeps the batch that it is cut from alive.
    """
    stop, seen = piece.start + piece.rows, 0
    kept: list[pa.RecordBatch] = []
    with partition.open(piece.entry) as source:
        try:
            batches = pq.ParquetFile(source, buffer_size=READ_BYTES).iter_batches(
                batch_size=piece.rows, row_groups=[piece.group], columns=SAMPLES.names
            )
            for batch in batches:
                low, high = max(piece.start - seen, 0), min(stop - seen, batch.num_rows)
                if low < high:
                    kept.append(batch.slice(low, high - low))
                seen += batch.num_rows
                if seen >= stop:
                    break
        except (pa.ArrowInvalid, OSError) as error:
            raise _unreadable(partition, piece.entry, error) from None
    return pa.Table.from_batches(kept)


def _unreadable(partition: Partition, entry: FileEntry, error: Exception) -> PartitionCorrupt:
    day = partition.key.rpartition("dt=")[2]
    remedy = f"Run `dupn samples --day {day}` again."
    return PartitionCorrupt(f"{partition.key}/{entry.name} cannot be read: {error}. {remedy}")
