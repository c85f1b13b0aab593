"""Lists, structures and maps of Parquet as the texts that JSON lines have of them.

Polars writes a whole column out as JSON, and the reader of JSON lines makes texts of that. What it
has no word for (keys of a map that are numbers, bytes that are no text) is written out row by row.
"""

import json

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from features.raw import columns
from features.raw.arrow_types import inside, is_bytes
from features.raw.columns import Column
from features.raw.json_lines import json_blocks
from features.raw.raw_table import Table
from features.raw.textfile import Lines

_NAME = "value"


def texts(array: pa.Array, nulls: tuple[str, ...]) -> Column:
    """JSON of every value; tokens of `nulls` become null. Bytes that are no UTF-8 are bad."""
    if not len(array):
        return columns.texts(pa.array([], pa.string()), nulls)
    written = _written(array.type)
    try:
        told = _apart(array) if _has_bytes(written) else _together(array.cast(written))
    except (pa.ArrowException, pl.exceptions.PolarsError):
        told = _apart(array)
    bad = pc.and_(told.is_null(), array.is_valid())
    return Column(columns.texts(told, nulls).values, bad.to_numpy(zero_copy_only=False))


def _apart(array: pa.Array) -> pa.Array:
    return pa.array(map(_one, array.to_pylist(maps_as_pydicts="lossy")), pa.string())


def _has_bytes(kind: pa.DataType) -> bool:
    """Whether there are bytes anywhere inside, at which Polars panics."""
    return is_bytes(kind) or any(_has_bytes(kind.field(n).type) for n in range(kind.num_fields))


def _together(array: pa.Array) -> pa.Array:
    frame = pl.DataFrame({_NAME: pl.from_arrow(array)})
    lines = frame.select(pl.struct(_NAME).struct.json_encode()).to_series().str.join("\n").item()
    blocks = json_blocks(Lines(lines.encode(), 1), Table(format="jsonl"))
    told = [chunk for _, rows in blocks for chunk in rows[_NAME].chunks]
    return pa.concat_arrays(told)


def _written(kind: pa.DataType) -> pa.DataType:
    """The type with texts in place of bytes and of numbers that Polars does not know."""
    if is_bytes(kind) or pa.types.is_decimal256(kind):
        return pa.string()
    if pa.types.is_map(kind):
        return pa.map_(_written(kind.key_type), _written(kind.item_type))
    return inside(kind, _written)


def _one(value: object) -> str | None:
    try:
        return None if value is None else json.dumps(value, ensure_ascii=False, default=_said)
    except ValueError:
        return None


def _said(value: object) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
