"""What makes a row the same row twice, as one 64-bit number per row.

The hash must be the same for every version of every library, because `key` is stored and a later
day looks for it. So it is written out here: eight bytes at a time, mixed as in MurmurHash3's
finaliser, whole columns at once. With n rows the chance that any two different ones share a key is
about n * n / 2**65: one in forty million for a million rows, one in forty for a billion.
"""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from features.raw.arrow_types import usual

Hashes = NDArray[np.uint64]

_A = np.uint64(0xFF51AFD7ED558CCD)
_B = np.uint64(0xC4CEB9FE1A85EC53)
_STEP = np.uint64(0x9E3779B97F4A7C15)
_NULL = np.uint64(0x6E756C6C6E756C6C)
_SHIFT = np.uint64(33)
_BYTES = 8
_MICROSECONDS = {"s": np.uint64(1_000_000), "ms": np.uint64(1_000), "us": np.uint64(1)}


def mix(left: Hashes, right: Hashes) -> Hashes:
    """A hash of two hashes; the order counts."""
    with np.errstate(over="ignore"):
        out = (left + _STEP) * _A ^ right
        out ^= out >> _SHIFT
        out *= _B
        out ^= out >> _SHIFT
    return out


def hash_rows(table: pa.Table) -> Hashes:
    """One hash per row over all columns, in their order."""
    out = np.zeros(table.num_rows, np.uint64)
    for column in table.columns:
        out = mix(out, hash_column(column))
    return out


def hash_objects(table: pa.Table) -> Hashes:
    """One hash per row over the names and values that it has; a null is no value."""
    out = np.zeros(table.num_rows, np.uint64)
    names = hash_column(pa.array(table.column_names, pa.string()))
    for name, column in zip(names, table.columns, strict=True):
        there = ~_null_mask(column)
        value = hash_column(column)[there]
        out[there] += mix(np.full(len(value), name), value)
    return _finish(out)


def hash_column(column: pa.ChunkedArray | pa.Array) -> Hashes:
    """One hash per value: 7.0 of float64 is 7, and a time is the same in any unit.

    Texts by bytes, lists by their values, decimals by their digits: there 7 is not 7.0.
    """
    array = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    array = usual(array)
    if pa.types.is_large_string(array.type) or pa.types.is_decimal(array.type):
        array = array.cast(pa.string())
    kind = array.type
    if pa.types.is_dictionary(kind):
        codes = array.indices.fill_null(0).to_numpy(zero_copy_only=False)
        hashed = hash_column(array.dictionary)
        out = hashed[codes] if len(hashed) else np.zeros(len(array), np.uint64)
    elif pa.types.is_list(kind) or pa.types.is_large_list(kind):
        out = _hash_lists(array)
    elif pa.types.is_string(kind) or pa.types.is_binary(kind):
        out = _hash_texts(array.cast(pa.binary()))
    elif pa.types.is_floating(kind):
        out = _finish(_floats(array))
    elif pa.types.is_integer(kind) or pa.types.is_boolean(kind) or pa.types.is_temporal(kind):
        out = _hash_integers(array)
    elif pa.types.is_null(kind):
        out = np.zeros(len(array), np.uint64)
    else:
        out = _hash_texts(pa.array([str(value) for value in array.to_pylist()], pa.binary()))
    return np.where(_null_mask(array), _NULL, out) if array.null_count else out


def occurrences(hashes: Hashes) -> Hashes:
    """How many equal hashes stand before each one: 0 for the first."""
    order = np.argsort(hashes, kind="stable")
    ordered = hashes[order]
    starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]]) if len(order) else order
    lengths = np.diff(np.r_[starts, len(order)])
    out = np.empty(len(order), np.uint64)
    out[order] = np.arange(len(order)) - np.repeat(starts, lengths)
    return out


def _finish(bits: Hashes) -> Hashes:
    return mix(np.full(len(bits), _STEP), bits)


def _null_mask(array: pa.Array) -> NDArray[np.bool_]:
    return np.asarray(array.is_null().to_numpy(zero_copy_only=False))


def _integers(array: pa.Array) -> Hashes:
    if pa.types.is_temporal(array.type):
        width = pa.int32() if array.type.bit_width == 32 else pa.int64()
        array = array.view(width) if not array.null_count else array.cast(width)
    if pa.types.is_uint64(array.type):
        return np.asarray(array.fill_null(0).to_numpy(zero_copy_only=False))
    return np.asarray(pc.fill_null(array.cast(pa.int64()), 0).to_numpy(zero_copy_only=False)).view(
        np.uint64
    )


def _floats(array: pa.Array) -> Hashes:
    """Whole ones as integers: one null makes pandas write a column of integers as float64.

    Of float32, which no tool makes of integers, hashes are what they always were.
    """
    values = pc.fill_null(array.cast(pa.float64()), 0).to_numpy()
    if not pa.types.is_float64(array.type):
        return np.asarray(values.view(np.uint64))
    whole = (np.trunc(values) == values) & (np.abs(values) < 2.0**63)
    with np.errstate(invalid="ignore"):
        return np.where(whole, values.astype(np.int64).view(np.uint64), values.view(np.uint64))


def _hash_integers(array: pa.Array) -> Hashes:
    """Times in microseconds, which most tools write; nanoseconds count where there are any."""
    count, unit = _integers(array), getattr(array.type, "unit", None)
    if unit in _MICROSECONDS:
        return _finish(count * _MICROSECONDS[unit])
    if unit != "ns":
        return _finish(count)
    whole, rest = np.divmod(count.view(np.int64), 1_000)
    out = _finish(whole.view(np.uint64))
    odd = np.flatnonzero(rest)
    out[odd] = mix(out[odd], rest[odd].view(np.uint64))
    return out


def _hash_texts(array: pa.Array) -> Hashes:
    """Eight bytes a turn, so as many turns as the longest text needs, each over all that go on."""
    offsets = np.frombuffer(array.buffers()[1], np.int32)[
        array.offset : array.offset + len(array) + 1
    ]
    starts, lengths = offsets[:-1].astype(np.int64), np.diff(offsets).astype(np.int64)
    data = array.buffers()[2]
    padded = np.zeros((data.size if data else 0) + _BYTES, np.uint8)
    if data:
        padded[:-_BYTES] = np.frombuffer(data, np.uint8)
    words = np.ndarray((len(padded) - _BYTES + 1,), "<u8", padded, strides=(1,))
    out = _finish(lengths.view(np.uint64))
    live = np.flatnonzero(lengths > 0)
    done = 0
    while len(live):
        left = lengths[live] - done
        word = words[starts[live] + done]
        keep = np.minimum(left, _BYTES).astype(np.uint64) * np.uint64(8)
        short = np.uint64(64) - keep
        word = (word << short) >> short
        out[live] = mix(out[live], word)
        live = live[left > _BYTES]
        done += _BYTES
    return out


def _hash_lists(array: pa.Array) -> Hashes:
    offsets = np.asarray(array.offsets.to_numpy(zero_copy_only=False)).astype(np.int64)
    values = hash_column(array.values)
    lengths = np.diff(offsets)
    within = np.arange(offsets[0], offsets[-1]) - np.repeat(offsets[:-1], lengths)
    placed = mix(values[offsets[0] : offsets[-1]], within.astype(np.uint64))
    sums = np.r_[np.uint64(0), np.cumsum(placed, dtype=np.uint64)]
    at = offsets - offsets[0]
    with np.errstate(over="ignore"):
        total = sums[at[1:]] - sums[at[:-1]]
    return mix(_finish(lengths.view(np.uint64)), total)
