"""Arrow's many types to the few that the readers know; a value stays what it is.

Warehouses write texts as bytes (Hive, Impala), whole numbers as decimals (Oracle, Spark), vectors
as lists of a fixed length. A log is no worse for that.
"""

from collections.abc import Callable

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


def one_array(rows: pa.Table, name: str) -> pa.Array:
    """A column of one piece."""
    column = rows[name].combine_chunks()
    return column.chunk(0) if isinstance(column, pa.ChunkedArray) else column


def readable(rows: pa.Table) -> pa.Table:
    """The same rows without views, of which Arrow can choose none; what is no UTF-8 as bytes.

    Parquet checks nothing that it calls text: another tool's Latin-1 comes in as a string that no
    reader can decode. As bytes it is refused in its row, like what a warehouse wrote as bytes.
    """
    schema = pa.schema([field.with_type(_without_views(field.type)) for field in rows.schema])
    rows = rows if schema.equals(rows.schema) else rows.cast(schema)
    for at, column in enumerate(rows.columns):
        try:
            column.validate(full=True)  # five thousandths of a second a million texts
        except pa.ArrowInvalid:
            plain = pa.chunked_array([usual(chunk) for chunk in column.chunks])
            told = plain.cast(_in_bytes(plain.type))
            rows = rows.set_column(at, rows.field(at).with_type(told.type), told)
    return rows


def _without_views(kind: pa.DataType) -> pa.DataType:
    if pa.types.is_string_view(kind):
        return pa.string()
    if pa.types.is_binary_view(kind):
        return pa.binary()
    return inside(kind, _without_views)


def _in_bytes(kind: pa.DataType) -> pa.DataType:
    if is_text(kind) or pa.types.is_string_view(kind):
        return pa.binary()
    if pa.types.is_dictionary(kind):
        return pa.dictionary(kind.index_type, _in_bytes(kind.value_type))
    return inside(kind, _in_bytes)


def inside(kind: pa.DataType, change: Callable[[pa.DataType], pa.DataType]) -> pa.DataType:
    """The type with what its lists and structures hold changed."""
    if pa.types.is_list(kind):
        return pa.list_(change(kind.value_type))
    if pa.types.is_struct(kind):
        return pa.struct([field.with_type(change(field.type)) for field in kind])
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


def text_for_reading(array: pa.Array | pa.ChunkedArray) -> pa.Array:
    """Binary -> text for a person: a mark stands for what is no UTF-8. For a few rows."""
    told = [None if v is None else v.decode("utf-8", "replace") for v in array.to_pylist()]
    return pa.array(told, pa.string())


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
