"""Large lists as Arrow: catalog rows in, scores out, no JSON on the way.

The body of `POST /v1/rank` may be an Arrow IPC stream with a column `row` (int32 catalog rows; rows
never change) or `item_id` (strings). Who asks stands in the schema's metadata under the names of
the JSON fields. The answer is a stream with `row`, `ctr`, `l2r`, `rank` (best first), `item_id`
where items were named so, `features` where asked, and the stamp in its metadata. Whatever a body
holds, it is checked before it is used: Arrow trusts the bytes that it reads.
"""

import re
from collections.abc import Mapping

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pydantic import ValidationError

from infra.errors import InputError
from serving.http_contracts import Asking
from serving.service import Page, Service

MEDIA_TYPE = "application/vnd.apache.arrow.stream"
_NUMBER = re.compile(r"[0-9]{1,9}")
_SPOILT = (pa.ArrowException, OSError, ValueError, KeyError, OverflowError, MemoryError)
"""What Arrow raises about bytes that are not what they should be (texts that are not UTF-8 too)."""


def rank(service: Service, body: bytes) -> bytes:
    """Answer one stream.

    Raises:
        InputError: it is not such a stream; names the column or the field.
    """
    table = _read(body)
    given = _metadata(table.schema)
    features = _flag(given, "features")
    _flag(given, "page")
    top = _top(given.pop("top_k", ""), table)
    asking = _asking(given)
    chosen = service.choose(asking.user_id)
    ids = _ids(table)
    rows = _rows(table) if ids is None else chosen.served.rows_of(ids)
    page = service.page(asking, chosen, rows, top)
    return _write(service, page, ids, features)


def _read(body: bytes) -> pa.Table:
    try:
        table = pa.ipc.open_stream(body).read_all()
        table.validate(full=True)
    except _SPOILT as error:
        raise InputError(f"the body is not an Arrow IPC stream: {error}") from None
    return table


def _metadata(schema: pa.Schema) -> dict[str, str]:
    given = {}
    for key, value in (schema.metadata or {}).items():
        name = key.decode(errors="replace")
        try:
            given[key.decode()] = value.decode()
        except UnicodeDecodeError:
            raise InputError(f"the stream's metadata: {name} is not UTF-8.") from None
    return given


def _flag(given: dict[str, str], name: str) -> bool:
    text = given.pop(name, "false")
    if text.lower() not in ("true", "false"):
        raise InputError(f"the stream's metadata: {name} {text[:40]!r} is neither true nor false.")
    return text.lower() == "true"


def _asking(given: Mapping[str, str]) -> Asking:
    try:
        return Asking.model_validate(given)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise InputError(f"the stream's metadata: {where}: {first['msg']}.") from None


def _top(text: str, table: pa.Table) -> int:
    if not text:
        return table.num_rows
    if not _NUMBER.fullmatch(text) or not int(text):
        raise InputError(
            f"the stream's metadata: top_k {text[:40]!r} is not a number from 1 to 999999999."
        )
    return int(text)


def _ids(table: pa.Table) -> pa.Array | None:
    """The candidates' item ids; None where catalog rows are given."""
    if not table.num_rows:
        raise InputError("the stream has no candidates.")
    if "row" in table.column_names:
        return None
    if "item_id" in table.column_names:
        return _column(table, "item_id", "texts")
    raise InputError("the stream has neither a column `row` nor `item_id`.")


def _rows(table: pa.Table) -> NDArray[np.int32]:
    rows = _column(table, "row", "integers").to_numpy()
    if rows.min() < 1:
        raise InputError("column `row` must hold catalog rows from 1.")
    most = min(np.iinfo(rows.dtype).max, np.iinfo(np.int32).max)  # both kinds must hold it
    return np.minimum(rows, rows.dtype.type(most)).astype(np.int32)


def _column(table: pa.Table, name: str, kind: str) -> pa.Array:
    """The only column of that name, of that kind, without nulls."""
    if table.column_names.count(name) > 1:
        raise InputError(f"the stream has several columns `{name}`.")
    column = table[name]
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if not _IS[kind](column.type) or column.null_count:
        raise InputError(f"column `{name}` must be {kind} without nulls, not {column.type}.")
    try:
        column = column.cast(pa.string()) if kind == "texts" else column
    except _SPOILT as error:
        raise InputError(f"column `{name}` must be texts in UTF-8: {error}") from None
    return pa.concat_arrays(column.chunks)


def _is_text(kind: pa.DataType) -> bool:
    """Binary counts: other libraries write texts so; a cast says whether it is UTF-8."""
    types = pa.types
    texts = types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind)
    return bool(texts or types.is_binary(kind) or types.is_large_binary(kind))


_IS = {"texts": _is_text, "integers": pa.types.is_integer}


def _write(service: Service, page: Page, ids: pa.Array | None, features: bool) -> bytes:
    order = page.order
    columns = {
        "row": pa.array(page.rows[order]),
        "ctr": pa.array(page.ranked.ctr[order]),
        "l2r": pa.array(page.ranked.l2r[order]),
        "rank": pa.array(np.arange(1, len(order) + 1, dtype=np.int32)),
    }
    if ids is not None:
        columns["item_id"] = ids.take(pa.array(order))
    if features:
        table = page.ranked.features[order]
        columns["features"] = pa.FixedSizeListArray.from_arrays(
            pa.array(table.ravel()), table.shape[1]
        )
    stamp = service.stamp(page.chosen, page.request_id)
    schema = pa.schema([(name, column.type) for name, column in columns.items()], metadata=stamp)
    batch = pa.record_batch(list(columns.values()), schema=schema)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, schema) as writer:
        writer.write_batch(batch)
    return sink.getvalue().to_pybytes()
