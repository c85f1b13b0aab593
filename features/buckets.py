"""Users in hash order: the one key by which every table is split, sorted and read back.

A bucket is a range of the 64-bit hash space, never a remainder: files in bucket order hold the
rows in hash order, so that 1, 7 or 64 buckets give the same rows in the same order, and a step may
use more buckets than the step before it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

HASH_SPACE = 2**64


@dataclass(frozen=True)
class Bucket:
    """Hashes in [low, high)."""

    index: int
    low: int
    high: int

    @property
    def name(self) -> str:
        """File stem: sorts in hash order whatever the number of buckets."""
        return f"part-{self.low:016x}"


def buckets(count: int) -> list[Bucket]:
    """`count` equal ranges that cover the hash space, in order."""
    edges = [HASH_SPACE * index // count for index in range(count + 1)]
    return [Bucket(i, edges[i], edges[i + 1]) for i in range(count)]


def hash_ids(ids: pa.Array | pa.ChunkedArray) -> NDArray[np.uint64]:
    """A stable 64-bit hash per id (SipHash-2-4 through pandas), computed once per distinct id."""
    whole = ids.combine_chunks() if isinstance(ids, pa.ChunkedArray) else ids
    coded = whole if pa.types.is_dictionary(whole.type) else whole.dictionary_encode()
    hashed = hash_distinct(coded.dictionary)
    codes = coded.indices.to_numpy(zero_copy_only=False)
    return hashed[codes] if len(hashed) else np.empty(0, np.uint64)


def hash_distinct(ids: pa.Array | Sequence[str]) -> NDArray[np.uint64]:
    """`hash_ids` of ids of which (nearly) each stands there once: nothing is looked for twice."""
    texts = ids.to_numpy(zero_copy_only=False) if isinstance(ids, pa.Array) else ids
    objects = np.asarray(texts, dtype=object)
    return pd.util.hash_array(objects, categorize=False).astype(np.uint64)


def bucket_index(hashes: NDArray[np.uint64], count: int) -> NDArray[np.int64]:
    """The index of each hash's bucket among `count` ranges (exact, also at the edges)."""
    edges = np.array([bucket.low for bucket in buckets(count)], np.uint64)
    return np.searchsorted(edges, hashes, side="right") - 1


def split(
    table: pa.Table, hashes: NDArray[np.uint64], count: int
) -> Iterator[tuple[int, pa.Table]]:
    """The non-empty parts of `table` by bucket, rows in their order.

    Each part is a copy: a slice would carry the whole table's buffers wherever it is pickled.
    """
    if count == 1:
        if table.num_rows:
            yield 0, table
        return
    order, bounds = _by_bucket(hashes, count)
    whole = table.combine_chunks()
    for bucket in np.flatnonzero(np.diff(bounds)):
        yield int(bucket), whole.take(pa.array(order[bounds[bucket] : bounds[bucket + 1]]))


def slices(
    table: pa.Table, hashes: NDArray[np.uint64], chosen: range, count: int
) -> Iterator[tuple[int, pa.Table]]:
    """The `chosen` parts of `split` as slices of one copy that holds no others."""
    order, bounds = _by_bucket(hashes, count)
    first = int(bounds[chosen.start])
    whole = table.take(pa.array(order[first : int(bounds[chosen.stop])])).combine_chunks()
    for bucket in chosen:
        start, stop = int(bounds[bucket]), int(bounds[bucket + 1])
        if stop > start:
            yield bucket, whole.slice(start - first, stop - start)


def _by_bucket(
    hashes: NDArray[np.uint64], count: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows by bucket, and where each bucket begins among them."""
    index = bucket_index(hashes, count).astype(np.uint16 if count <= 2**16 else np.int64)
    order = np.argsort(index, kind="stable")  # numbers of two bytes are sorted by counting
    return order, np.append(0, np.cumsum(np.bincount(index, minlength=count)))
