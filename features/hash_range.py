"""Rows of a partition whose hash lies in a range, whatever ranges its files were written in."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from features.buckets import HASH_SPACE, Bucket, buckets, hash_ids
from infra.store import FileEntry, Partition

ONE_THREAD = {"use_threads": False, "pre_buffer": False}
"""How workers read a file: several files are under way at once, so more threads only cost."""


def entries(partition: Partition, bucket: Bucket) -> list[FileEntry]:
    """The files that may hold hashes of the bucket, in row order."""
    return [
        entry
        for entry in partition.manifest().files
        if (entry.low or 0) < bucket.high and (entry.high or HASH_SPACE) > bucket.low
    ]


def read(
    partition: Partition | None,
    bucket: Bucket,
    schema: pa.Schema,
    hashed: str,
    columns: Sequence[str] | None = None,
    coded: Sequence[str] = (),
) -> pa.Table:
    """The rows of a bucket in row order; an empty table where nothing is published.

    Args:
        partition: None, or one that may be absent: then there are no rows.
        bucket: a range of hashes.
        schema: what the partition holds.
        hashed: a uint64 column with the hash, or the text column that it is the hash of.
        columns: all by default.
        coded: text columns that come back as dictionaries (cheap to count).
    """
    names = list(columns or schema.names)
    nothing = pa.schema([schema.field(name) for name in names]).empty_table()
    if partition is None or not partition.exists():
        return nothing
    parts = []
    for entry in entries(partition, bucket):
        inside = (entry.low or 0) >= bucket.low and (entry.high or HASH_SPACE) <= bucket.high
        wanted = names if inside or hashed in names else [*names, hashed]
        part = partition.table(wanted, [entry], read_dictionary=list(coded), **ONE_THREAD)
        parts.append(part if inside else _clip(part, bucket, hashed).select(names))
    return pa.concat_tables(parts) if parts else nothing


def values(partition: Partition, column: str) -> int:
    """How many values a list column holds, from the footers; none where nothing is published.

    Raises:
        PartitionCorrupt: a footer cannot be read.
    """
    total = 0
    for entry in partition.manifest().files if partition.exists() else ():
        footer = partition.footer(entry)
        names = [footer.schema.column(index).path for index in range(footer.num_columns)]
        place = next(index for index, name in enumerate(names) if name.split(".")[0] == column)
        groups = (footer.row_group(index) for index in range(footer.num_row_groups))
        total += sum(group.column(place).num_values for group in groups)
    return total


def _clip(table: pa.Table, bucket: Bucket, hashed: str) -> pa.Table:
    column = table.column(hashed)
    is_hash = pa.types.is_uint64(column.type)
    hashes = column.to_numpy() if is_hash else hash_ids(column)
    inside = hashes >= np.uint64(bucket.low)
    if bucket.high < HASH_SPACE:
        inside &= hashes < np.uint64(bucket.high)
    return table.filter(pa.array(inside))


def batches(rows: int, per_batch: int, limit: int) -> list[Bucket]:
    """Ranges of about `per_batch` rows or fewer, whose edges are edges of `limit` buckets.

    Counting needs few columns, so several buckets fit into one batch; the fewer the batches, the
    more of the counting is done before anything is handed over.
    """
    wanted = -(-rows // per_batch)
    count = next(n for n in range(1, limit + 1) if limit % n == 0 and (n >= wanted or n == limit))
    return buckets(count)
