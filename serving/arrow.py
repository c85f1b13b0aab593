"""Large lists as Arrow: catalog rows in, scores out, no JSON on the way.

The body of `POST /v1/rank` may be an Arrow IPC stream with a column `row` (int32 catalog rows, as
`POST /v1/rows` gives them; rows never change) or `item_id` (strings). Who asks stands in the
schema's metadata under the names of the JSON fields. The answer is a stream with `row`, `ctr`,
`l2r`, `rank` (best first), `features` where asked, and the stamp in its metadata.
"""

from typing import Any

import numpy as np
import pyarrow as pa
from pydantic import ValidationError

from infra.errors import InputError
from serving.http_contracts import Asking
from serving.service import Page, Service

MEDIA_TYPE = "application/vnd.apache.arrow.stream"
_FLAGS = ("features", "page")


def rank(service: Service, body: bytes) -> bytes:
    """Answer one stream.

    Raises:
        InputError: it is not such a stream.
    """
    table = _read(body)
    given = {k.decode(): v.decode() for k, v in (table.schema.metadata or {}).items()}
    features = given.pop("features", "") == "true"
    top = given.pop("top_k", "")
    given.pop("page", None)
    asking = _asking(given)
    chosen = service.choose(asking.user_id)
    page = service.page(asking, chosen, _rows(service, chosen.served, table), _top(top, table))
    return _write(service, page, features)


def _read(body: bytes) -> pa.Table:
    try:
        return pa.ipc.open_stream(body).read_all()
    except (pa.ArrowInvalid, OSError, KeyError) as error:
        raise InputError(f"the body is not an Arrow IPC stream: {error}") from None


def _asking(given: dict[str, Any]) -> Asking:
    try:
        return Asking.model_validate(given)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise InputError(f"the stream's metadata: {where}: {first['msg']}.") from None


def _top(text: str, table: pa.Table) -> int:
    if not text:
        return table.num_rows
    if not text.isdigit() or not int(text):
        raise InputError(f"the stream's metadata: top_k {text!r} is not a number from 1.")
    return int(text)


def _rows(service: Service, served: Any, table: pa.Table) -> np.ndarray:
    del service
    if not table.num_rows:
        raise InputError("the stream has no candidates.")
    if "row" in table.column_names:
        column = table["row"]
        if not pa.types.is_integer(column.type) or column.null_count:
            raise InputError("column `row` must be integers without nulls.")
        rows = column.to_numpy()
        if rows.min() < 1:
            raise InputError("column `row` must hold catalog rows from 1.")
        return np.minimum(rows, np.iinfo(np.int32).max).astype(np.int32)
    if "item_id" in table.column_names:
        ids = table["item_id"].cast(pa.string()).combine_chunks()
        found: np.ndarray = served.rows_of(ids)
        return found
    raise InputError("the stream has neither a column `row` nor `item_id`.")


def _write(service: Service, page: Page, features: bool) -> bytes:
    order = page.order
    columns = {
        "row": pa.array(page.rows[order]),
        "ctr": pa.array(page.ranked.ctr[order]),
        "l2r": pa.array(page.ranked.l2r[order]),
        "rank": pa.array(np.arange(1, len(order) + 1, dtype=np.int32)),
    }
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
