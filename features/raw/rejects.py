"""Why a raw row is refused: a closed set of codes, each with the sentence that a person reads."""

from enum import StrEnum
from json import dumps

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from features.raw.arrow_types import is_bytes, text_for_reading
from features.raw.raw_table import PLACE
from features.schemas import REJECTS


class Reason(StrEnum):
    """A code of `rejects.reason`; where several hold, the first one listed is given."""

    BAD_FILE = "bad_file"
    BAD_ENCODING = "bad_encoding"
    BAD_JSON = "bad_json"
    BAD_COLUMNS = "bad_columns"
    BAD_TYPE_OF_ID = "bad_type_of_id"
    MISSING_ID = "missing_id"
    BAD_TIME = "bad_time"
    WRONG_UNIT_TIME = "wrong_unit_time"
    STRAY_DAY = "stray_day"
    FUTURE_TIME = "future_time"
    UNKNOWN_TYPE = "unknown_type"
    UNKNOWN_SCENARIO = "unknown_scenario"
    BAD_VALUE = "bad_value"


SENTENCES = {
    Reason.BAD_FILE: "the file, or the rest of it, cannot be read; send it again",
    Reason.BAD_ENCODING: "the line is not text in the declared encoding",
    Reason.BAD_JSON: "the line is no JSON object of up to 1,000 keys (cut off while written?)",
    Reason.BAD_COLUMNS: "the line does not have the declared number of columns",
    Reason.BAD_TYPE_OF_ID: "an id is a fraction, a truth value, a list or an object",
    Reason.MISSING_ID: "an id that every row needs is empty",
    Reason.BAD_TIME: "the time is empty, not as declared, or left out by the clock of its zone",
    Reason.WRONG_UNIT_TIME: "the time makes sense only in another unit than the declared one",
    Reason.STRAY_DAY: "the time lies outside the valid days, or further back than late rows may",
    Reason.FUTURE_TIME: "the time lies after the end of the day of arrival",
    Reason.UNKNOWN_TYPE: "the type is neither mapped nor ignored",
    Reason.UNKNOWN_SCENARIO: "the scenario is not mapped",
    Reason.BAD_VALUE: "a price, a flag or another value cannot be read",
}
REASONS = tuple(Reason)
ReasonCodes = NDArray[np.int8]
"""Per row: 0 for none, else one more than the place in `REASONS`."""


def mark(codes: ReasonCodes, where: NDArray[np.bool_], reason: Reason) -> None:
    """Give `reason` to the rows of `where` that have none, or one that is listed later."""
    code = REASONS.index(reason) + 1
    codes[where & ((codes == 0) | (codes > code))] = code


def refused(
    table_name: str,
    rows: pa.Table,
    codes: ReasonCodes,
    encoding: str = "utf-8",
    *,
    json: bool = False,
) -> pa.Table:
    """REJECTS rows of those with a code; `rows` has the columns of PLACE (`json`: were objects)."""
    picked = np.flatnonzero(codes)
    index = pa.array(codes[picked] - 1, pa.int32())
    chosen = rows.take(pa.array(picked))
    names = pa.array([str(reason) for reason in REASONS])
    sentences = pa.array([SENTENCES[reason] for reason in REASONS])
    return pa.table(
        [
            pa.repeat(pa.scalar(table_name), len(picked)),
            chosen["_source"].cast(pa.string()),
            chosen["_line"].cast(pa.int64()),
            row_texts(chosen, encoding, json=json),
            names.take(index),
            sentences.take(index),
        ],
        schema=REJECTS,
    )


def lost_file(table_name: str, source: str, line: int, detail: str) -> pa.Table:
    """The one REJECTS row of a file (or its rest, from `line` on) that cannot be read."""
    reason = Reason.BAD_FILE
    values = [[table_name], [source], [line], [detail], [str(reason)], [SENTENCES[reason]]]
    return pa.table(
        [pa.array(v, f.type) for v, f in zip(values, REJECTS, strict=True)], schema=REJECTS
    )


def row_texts(
    rows: pa.Table, encoding: str = "utf-8", *, json: bool = False
) -> pa.ChunkedArray | pa.Array:
    """The raw lines; of rows of Parquet or imported ones, the values again as CSV or JSON."""
    if "_raw" in rows.column_names:
        lines = rows["_raw"].to_pylist()
        return pa.array([line.decode(encoding, "replace").rstrip("\r\n") for line in lines])
    places = [at for at, name in enumerate(rows.column_names) if name not in PLACE]
    if not places or not rows.num_rows:
        return rows["_text"].cast(pa.string())
    if json:
        return pc.coalesce(rows["_text"].cast(pa.string()), _objects(rows.select(places)))
    parts = [_written(rows.column(at)) for at in places]
    joined = pc.binary_join_element_wise(*parts, ",", null_handling="replace", null_replacement="")
    return pc.coalesce(rows["_text"].cast(pa.string()), joined)


def _objects(rows: pa.Table) -> pa.Array:
    told = [{k: v for k, v in row.items() if v is not None} for row in rows.to_pylist()]
    texts = [dumps(row, ensure_ascii=False, default=_said) for row in told]
    return pa.array(texts, pa.string())


def _said(value: object) -> str:
    """What JSON has no word for: Parquet that lies in the folder of a JSON table may hold it."""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _written(column: pa.ChunkedArray) -> pa.ChunkedArray | pa.Array:
    if pa.types.is_nested(column.type):
        return pa.array([None if v is None else str(v) for v in column.to_pylist()], pa.string())
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if is_bytes(column.type):
        return text_for_reading(column)
    return column.cast(pa.string())
