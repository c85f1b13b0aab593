"""Slices of user-keyed tables: the rows of one bucket, whatever buckets the writer used."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from features.buckets import Bucket
from features.hash_range import ONE_THREAD
from infra.store import FileEntry, Partition


@dataclass(frozen=True)
class Slices:
    """A published table (or none), resolved once; picklable, so that workers read through it."""

    partition: Partition | None
    files: tuple[FileEntry, ...]
    schema: pa.Schema
    coded: tuple[str, ...]

    @classmethod
    def of(
        cls, partition: Partition | None, schema: pa.Schema, coded: Sequence[str] = ()
    ) -> "Slices":
        """The files that count now.

        Args:
            partition: None reads as empty.
            schema: the columns to read.
            coded: string columns to be read as dictionaries.
        """
        files = partition.manifest().files if partition else ()
        kinds = {name: pa.dictionary(pa.int32(), pa.string()) for name in coded}
        fields = [pa.field(f.name, kinds.get(f.name, f.type)) for f in schema]
        return cls(partition, files, pa.schema(fields), tuple(coded))

    def bucket(self, bucket: Bucket) -> pa.Table:
        """The rows whose user hash is in the bucket."""
        near = [entry for entry in self.files if _overlaps(entry, bucket)]
        if not near or self.partition is None:
            return self.schema.empty_table()
        table = self.partition.table(
            self.schema.names, near, read_dictionary=list(self.coded), **ONE_THREAD
        )
        hashes = table.column("user_hash").to_numpy()
        start = int(np.searchsorted(hashes, np.uint64(bucket.low)))
        top = np.uint64(bucket.high - 1)
        stop = int(np.searchsorted(hashes, top, side="right"))
        return table.slice(start, stop - start)


def _overlaps(entry: FileEntry, bucket: Bucket) -> bool:
    low = 0 if entry.low is None else entry.low
    high = bucket.high if entry.high is None else entry.high
    return low < bucket.high and high > bucket.low


def pick(schema: pa.Schema, names: Sequence[str]) -> pa.Schema:
    """Some fields of a schema, in the order asked."""
    return pa.schema([schema.field(name) for name in names])
