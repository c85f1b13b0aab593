"""Arrow's many types to the few that the readers know; a value stays what it is.

Warehouses write texts as bytes (Hive, Impala), whole numbers as decimals (Oracle, Spark), vectors
as lists of a fixed length. A log is no worse for that.
"""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

Mask = NDArray[np.bool_]


def usual(array: pa.Array) -> pa.Array:
    """The same values in the usual layout: texts, bytes, lists and half floats have several."""
    kind = array.type
    if pa.types.is_string_view(kind):
        return array.cast(pa.string())
    if pa.types.is_float16(kind):
        return array.cast(pa.float32())
    if is_bytes(kind):
        return array.cast(pa.binary())
    if _is_list(kind):
        return relisted(array, array.flatten())
    return array


def without_views(rows: pa.Table) -> pa.Table:
    """The same rows with texts and bytes in a layout of which Arrow can choose some."""
    schema = pa.schema([field.with_type(_without_views(field.type)) for field in rows.schema])
    return rows if schema.equals(rows.schema) else rows.cast(schema)


def _without_views(kind: pa.DataType) -> pa.DataType:
    if pa.types.is_string_view(kind):
        return pa.string()
    if pa.types.is_binary_view(kind):
        return pa.binary()
    if pa.types.is_list(kind):
        return pa.list_(_without_views(kind.value_type))
    if pa.types.is_struct(kind):
        return pa.struct([field.with_type(_without_views(field.type)) for field in kind])
    return kind


def relisted(array: pa.Array, inner: pa.Array, without: Mask | None = None) -> pa.Array:
    """`inner`, as long as the lists of `array` together, as lists; null where `without` says.

    Arrow's own cast loses the offsets of lists of a fixed length.
    """
    lengths = pc.list_value_length(array).fill_null(0).to_numpy(zero_copy_only=False)
    offsets = pa.array(np.r_[0, np.cumsum(lengths)], pa.int32())
    gone = array.is_null() if without is None else pc.or_(array.is_null(), pa.array(without))
    return pa.ListArray.from_arrays(offsets, inner, mask=gone)


def is_text(kind: pa.DataType) -> bool:
    """Whether it is text, in one of the usual layouts."""
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def is_bytes(kind: pa.DataType) -> bool:
    """Whether it is bytes, in any layout."""
    return bool(
        pa.types.is_binary(kind)
        or pa.types.is_large_binary(kind)
        or pa.types.is_binary_view(kind)
        or pa.types.is_fixed_size_binary(kind)
    )


def text_of_bytes(array: pa.Array) -> tuple[pa.Array, Mask]:
    """Binary -> text; null and marked where the bytes are no UTF-8."""
    try:
        return array.cast(pa.string()), np.zeros(len(array), np.bool_)
    except pa.ArrowInvalid:  # which is rare: only then the distinct values are looked at one by one
        coded = array.dictionary_encode()
        told = pa.array([_decoded(value) for value in coded.dictionary.to_pylist()], pa.string())
        values = told.take(coded.indices)
        bad = pc.and_(array.is_valid(), values.is_null())
        return values, np.asarray(bad.to_numpy(zero_copy_only=False), np.bool_)


def text_of_decimals(array: pa.Array) -> pa.Array:
    """Decimals -> text: whole ones without the zeros of their scale."""
    return pc.replace_substring_regex(array.cast(pa.string()), r"\.0+$", "")


def _decoded(value: bytes) -> str | None:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return None


def _is_list(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_large_list(kind)
        or pa.types.is_fixed_size_list(kind)
        or pa.types.is_list_view(kind)
        or pa.types.is_large_list_view(kind)
    )
