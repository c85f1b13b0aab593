"""Pieces of samples: rows of a row group, chosen by user, read with memory for little more.

What is chosen of a row group is a mask over its rows, found from the users alone, so that a night
that leaves out one user in ten knows how much is left before it reads a moment.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from features import lists
from features.profiles import by_name
from features.schemas import SAMPLES, samples_now
from infra.errors import PartitionCorrupt, TrainingError
from infra.store import FileEntry, Partition
from training.moments import flattened

READ_BYTES = 1 << 20
"""Read of a column at a time, where a row group is larger."""

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Piece:
    """Rows [start, start + span) of one row group of one file, or some of them."""

    slice: int
    """Which of the reader's slices it belongs to."""
    entry: FileEntry
    group: int
    start: int
    span: int
    chosen: Mask | None = field(default=None, compare=False, repr=False)
    """Which of the rows; None for all."""

    @property
    def rows(self) -> int:
        """How many moments it brings."""
        return self.span if self.chosen is None else int(self.chosen.sum())


def row_groups(partition: Partition, entry: FileEntry) -> list[int]:
    """Rows of each row group of a file."""
    footer = partition.footer(entry)
    return [footer.row_group(index).num_rows for index in range(footer.num_row_groups)]


def users(partition: Partition, entry: FileEntry, group: int) -> NDArray[np.uint64]:
    """The hashes of a row group's users, moment by moment."""
    with partition.open(entry) as source:
        try:
            file = pq.ParquetFile(source, page_checksum_verification=True)
            table = file.read_row_group(group, columns=["user_hash"])
        except (pa.ArrowInvalid, OSError) as error:
            raise unreadable(partition, entry, error) from None
    return np.asarray(table.column("user_hash").to_numpy(), np.uint64)


def read(partition: Partition, piece: Piece) -> pa.Table:
    """The piece's rows, streamed out of its row group (whose size the store bounds).

    Decoded in batches of the piece's own size: a slice keeps the batch that it is cut from alive.
    """
    stop, seen = piece.start + piece.span, 0
    kept: list[pa.RecordBatch] = []
    with partition.open(piece.entry) as source:
        try:
            file = pq.ParquetFile(source, buffer_size=READ_BYTES, page_checksum_verification=True)
            batches = file.iter_batches(
                batch_size=piece.span, row_groups=[piece.group], columns=SAMPLES.names
            )
            for batch in batches:
                low, high = max(piece.start - seen, 0), min(stop - seen, batch.num_rows)
                if low < high:
                    kept.append(batch.slice(low, high - low))
                seen += batch.num_rows
                if seen >= stop:
                    break
        except (pa.ArrowInvalid, OSError) as error:
            raise unreadable(partition, piece.entry, error) from None
    table = samples_now(pa.Table.from_batches(kept), partition.key)
    return table if piece.chosen is None else table.filter(pa.array(piece.chosen))


def unreadable(partition: Partition, entry: FileEntry, error: Exception) -> PartitionCorrupt:
    """The error of a file that Arrow could not read."""
    day = partition.key.rpartition("dt=")[2]
    remedy = f"Run `dupn samples --day {day}` again."
    return PartitionCorrupt(f"{partition.key}/{entry.name} cannot be read: {error}. {remedy}")


def profiled(table: pa.Table, names: Sequence[str] | None, wanted: Sequence[str]) -> pa.Table:
    """Samples whose profiles have the columns of a network.

    Args:
        table: samples of one day, at least the column `profile`.
        names: of the day's columns; None where they were not noted. Then they are taken to be the
            network's, or its first; a row that has fewer is padding in the others.
        wanted: of the network's.

    Raises:
        TrainingError: there are more, and nobody noted which.
    """
    if names is not None and tuple(names) == tuple(wanted):
        return table
    told = flattened({"row": table["profile"].combine_chunks()})
    if names is None and told.lengths.max(initial=0) > len(wanted):
        raise TrainingError(
            f"samples have {told.lengths.max()} profile columns, the network knows {len(wanted)}, "
            "and what they are called was not noted then. Run `dupn samples` of these days again."
        )
    known = wanted if names is None else names
    rows = np.zeros((len(table), len(known)), np.int32)
    whole = told.gather(np.arange(len(table)))  # without names lists may differ in length
    rows[whole.owner, whole.within] = whole.flat("row")
    found = lists.matrix(by_name(rows, known, wanted)).cast(SAMPLES.field("profile").type)
    return table.set_column(
        table.schema.get_field_index("profile"), SAMPLES.field("profile"), found
    )
