"""Large lists as Arrow: catalog rows in, scores out, no JSON on the way.

The body of `POST /v1/rank` may be an Arrow IPC stream with a column `row` (int32 catalog rows; rows
never change) or `item_id` (strings). Who asks stands in the schema's metadata under the names of
the JSON fields, a profile as JSON. The answer is a stream with `row`, `ctr`, `l2r`, `rank` (best
first), `item_id` where items were named so, `features` where asked, and in its metadata the stamp,
`price_preference` as JSON and the names of the features. It is logged where `page` asks for it.
Whatever a body holds, it is checked before it is used: Arrow trusts the bytes that it reads.

A small body must not become a large table. What is not compressed is read where it lies in the
body, only the one column, batch by batch, and what would repeat a text (a dictionary, views) has
its lengths looked at first. Compressed buffers are refused: Arrow makes room for whatever length
they claim. Nor must it become long work: a dictionary is checked once, not with every batch that
uses it, and one that grows is refused: Arrow makes it anew for every batch.
"""

import re
import struct
import time
from collections.abc import Iterator, Mapping

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pydantic import ValidationError
from pydantic_core import from_json

from features.ranking import NAMES
from infra.errors import InputError
from serving.contracts import first
from serving.http_contracts import Asking
from serving.served import hashes_of
from serving.service import Service
from serving.shown import Page

MEDIA_TYPE = "application/vnd.apache.arrow.stream"
_NUMBER = re.compile(r"[0-9]{1,9}")
_LIBRARIES = (b"pandas",)
"""What libraries write into a schema's metadata unasked: it says nothing of who asks."""
LONGEST_ID = 256
"""Characters of an item id, as in JSON."""
_SPOILT = (
    pa.ArrowException, OSError, ValueError, LookupError, OverflowError, MemoryError, struct.error,
)  # fmt: skip
"""What is raised about bytes that are not what they should be (texts that are not UTF-8 too)."""


def rank(service: Service, body: bytes, came: float | None = None) -> bytes:
    """Answer one stream.

    Args:
        service: answers.
        body: the stream.
        came: as in `Service.rank`.

    Raises:
        InputError: it is not such a stream, or no page that can be logged; names column or field.
    """
    came = time.perf_counter() if came is None else came
    schema = _schema(body)
    given = _metadata(schema)
    features, log = _flag(given, "features"), _flag(given, "page")
    column = _column(body, schema, service.config.max_candidates)
    ids = None if pa.types.is_integer(column.type) else column
    if log:
        _require_page(given, ids)
    top = _top(given.pop("top_k", ""), len(column))
    asking = _asking(given)
    service.require_day(asking, log=log)
    chosen = service.choose(asking.user_id)
    named = None if ids is None else hashes_of(ids)
    rows = _rows(column) if named is None else chosen.served.rows_of_hashes(named)
    page = service.page(asking, chosen, rows, top, named)
    if log and ids is not None:  # as `_require_page` has seen to
        service.log(asking, page, ids.take(pa.array(page.order)).to_pylist(), came)
    return _write(service, page, ids, features)


def _schema(body: bytes) -> pa.Schema:
    try:
        for message in pa.ipc.MessageReader.open_stream(body):
            _refuse(message)
        return pa.ipc.open_stream(body).schema
    except _SPOILT as error:
        raise _no_stream(error) from None


def _no_stream(error: Exception) -> InputError:
    return InputError(
        f"the body is not an Arrow IPC stream: {str(error)[:200]}. Write it with a stream "
        "writer, not as a file, and send it whole."
    )


def _refuse(message: pa.ipc.Message) -> None:
    """Refuse a batch by its head, a flatbuffer that Arrow has verified but does not show.

    The fourth field of a record batch is its compression; it is the third field of a message, or
    stands second in a dictionary batch, whose third field says that it is added to the one before.

    Raises:
        InputError: it is compressed, or makes a dictionary grow.
    """
    if message.type not in ("record batch", "dictionary"):
        return
    head = message.metadata.to_pybytes()
    batch = _follow(head, _field(head, _follow(head, 0), 2))
    if message.type == "dictionary":
        added = _field(head, batch, 2)
        if added and head[added]:
            raise InputError(
                "a dictionary grows within the stream. Write it whole, without deltas."
            )
        batch = _follow(head, _field(head, batch, 1))
    if _field(head, batch, 3) > 0:
        raise InputError("the stream is compressed. Write it without compression.")


def _field(head: bytes, table: int, number: int) -> int:
    """Where a table of a flatbuffer has its field; 0 if it lacks it."""
    entries = table - struct.unpack_from("<i", head, table)[0]
    entry = 4 + 2 * number
    if entry >= struct.unpack_from("<H", head, entries)[0]:
        return 0
    place = struct.unpack_from("<H", head, entries + entry)[0]
    return table + place if place else 0


def _follow(head: bytes, place: int) -> int:
    """Where a reference of a flatbuffer leads."""
    return int(place + struct.unpack_from("<I", head, place)[0])


def _metadata(schema: pa.Schema) -> dict[str, str]:
    given = {}
    for key, value in (schema.metadata or {}).items():
        if key in _LIBRARIES:
            continue
        name = key[:40].decode(errors="replace")
        try:
            given[key.decode()] = value.decode()
        except UnicodeDecodeError:
            raise InputError(f"the stream's metadata: {name} is not UTF-8. Write it so.") from None
    return given


def _flag(given: dict[str, str], name: str) -> bool:
    text = given.pop(name, "false")
    if text.lower() not in ("true", "false"):
        raise InputError(f"the stream's metadata: {name} {text[:40]!r} is neither true nor false.")
    return text.lower() == "true"


def _require_page(given: Mapping[str, str], ids: pa.Array | None) -> None:
    """A page is what a user sees: items by their ids, and as many as are shown."""
    absent = "column `item_id`" if ids is None else "" if given.get("top_k") else "top_k"
    if absent:
        raise InputError(
            f"the stream's metadata: page is true, and the stream has no {absent}, without which "
            "no page is logged. Send it, or page as false."
        )


def _asking(given: Mapping[str, str]) -> Asking:
    asked: dict[str, object] = {**given}
    try:
        if "profile" in given:
            asked["profile"] = from_json(given["profile"])
    except ValueError as error:
        raise InputError(
            f"the stream's metadata: profile is not JSON: {str(error)[:200]}. "
            'Write {"age": "30"}.'
        ) from None
    try:
        return Asking.model_validate(asked)
    except ValidationError as error:
        where, wrong = first(error)
        raise InputError(f"the stream's metadata: {where}: {wrong}.") from None


def _top(text: str, candidates: int) -> int:
    if not text:
        return candidates
    if not _NUMBER.fullmatch(text) or not int(text):
        raise InputError(
            f"the stream's metadata: top_k {text[:40]!r} is not a number from 1 to 999999999."
        )
    return int(text)


def _rows(rows: pa.Array) -> NDArray[np.int32]:
    found = rows.to_numpy()
    if found.min() < 1:
        raise InputError(
            f"column `row` must hold catalog rows from 1, and has {found.min()}. Take them from "
            "`row` of the store's catalog, or send `item_id`."
        )
    most = min(np.iinfo(found.dtype).max, np.iinfo(np.int32).max)  # both kinds must hold it
    return np.minimum(found, found.dtype.type(most)).astype(np.int32)


def _column(body: bytes, schema: pa.Schema, most: int) -> pa.Array:
    """The candidates: `row` as integers, or `item_id` as texts, without nulls."""
    names = _names(schema)
    name = next((name for name in _IS if name in names), "")
    if not name:
        raise InputError(
            "the stream has neither a column `row` nor `item_id`. Send one: catalog rows, or texts."
        )
    if names.count(name) > 1:
        raise InputError(f"the stream has several columns `{name}`. Send one.")
    place = names.index(name)
    kind = schema.field(place).type
    is_it, words = _IS[name]
    coded = pa.types.is_dictionary(kind)
    if not is_it(kind.value_type if coded else kind) or _is_coded_view(kind):
        raise InputError(f"column `{name}` must be {words} without nulls, not {str(kind)[:40]}.")
    parts, count = [], 0
    known: pa.Array | None = None  # held, so that nothing else comes to lie where it lies
    for part in _parts(body, place):
        count += len(part)
        if count > most:
            raise InputError(
                f"more than {most:,} candidates are too many. Send at most {most:,} "
                "(serve.max_candidates)."
            )
        values = part.dictionary if coded else part
        if not coded or known is None or not _is_same(values, known):
            _check(values, name)
            known = values
        parts.append(_plain(part, name, words))
    if not count:
        raise InputError("the stream has no candidates. Send one row or more.")
    return pa.concat_arrays(parts)


def _names(schema: pa.Schema) -> list[str]:
    try:
        return list(schema.names)
    except UnicodeDecodeError as error:
        raise _no_stream(error) from None


def _parts(body: bytes, place: int) -> Iterator[pa.Array]:
    """One column, batch by batch; the others are never read."""
    options = pa.ipc.IpcReadOptions(included_fields=[place], use_threads=False)
    try:
        for batch in pa.ipc.open_stream(body, options=options):
            yield batch.column(0)
    except _SPOILT as error:
        raise _no_stream(error) from None


def _check(values: pa.Array, name: str) -> None:
    """Refuse spoilt values, and long texts before they are read or repeated."""
    try:
        values.validate()  # as much as their lengths need; views of one long text cost the most
        if name == "item_id" and _longest(values) > 4 * LONGEST_ID:
            raise _too_long()  # bytes of UTF-8, four a character at most
        values.validate(full=True)
    except _SPOILT as error:
        raise _no_stream(error) from None


def _is_same(one: pa.Array, other: pa.Array) -> bool:
    """Whether two arrays are the very bytes."""
    places = [[len(a), a.offset, *(b and b.address for b in a.buffers())] for a in (one, other)]
    return bool(places[0] == places[1])


def _plain(part: pa.Array, name: str, words: str) -> pa.Array:
    """A part of checked values, without dictionary and nulls."""
    try:
        if pa.types.is_dictionary(part.type):
            part.indices.validate(full=True)
            part = part.dictionary.take(part.indices)  # refuses what lies outside
    except _SPOILT as error:
        raise _no_stream(error) from None
    if part.null_count:
        raise InputError(f"column `{name}` must be {words} without nulls.")
    return _texts(part) if name == "item_id" else part


def _texts(part: pa.Array) -> pa.Array:
    try:
        texts = part.cast(pa.string())
    except _SPOILT as error:
        raise InputError(f"column `item_id` must be texts in UTF-8: {str(error)[:200]}") from None
    length = pc.min_max(pc.utf8_length(texts)).as_py()
    if (length["max"] or 0) > LONGEST_ID:
        raise _too_long()
    if length["min"] == 0:
        raise InputError("column `item_id`: an id has at least 1 character.")
    return texts


def _too_long() -> InputError:
    return InputError(f"column `item_id`: an id may have {LONGEST_ID} characters.")


def _longest(texts: pa.Array) -> int:
    """Bytes of the longest text."""
    if pa.types.is_string_view(texts.type):  # Arrow counts them not; a view begins with its length
        views = np.frombuffer(texts.buffers()[1] or b"", np.int32).reshape(-1, 4)
        return int(views[texts.offset : texts.offset + len(texts), 0].max(initial=0))
    return int(pc.max(pc.binary_length(texts)).as_py() or 0)


def _is_text(kind: pa.DataType) -> bool:
    """Binary counts: other libraries write texts so; a cast says whether it is UTF-8."""
    types = pa.types
    texts = types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind)
    return bool(texts or types.is_binary(kind) or types.is_large_binary(kind))


def _is_coded_view(kind: pa.DataType) -> bool:
    """Arrow cannot look such texts up, and as plain ones they may be far more than a body."""
    return bool(pa.types.is_dictionary(kind) and pa.types.is_string_view(kind.value_type))


_IS = {"row": (pa.types.is_integer, "integers"), "item_id": (_is_text, "texts")}


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
    stamp = service.stamp(page.chosen, page.request_id) | {"unknown": str(page.unknown)}
    stamp["price_preference"] = orjson.dumps(page.price_preference)
    if features:
        stamp["feature_names"] = ",".join(NAMES)
    schema = pa.schema([(name, column.type) for name, column in columns.items()], metadata=stamp)
    batch = pa.record_batch(list(columns.values()), schema=schema)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, schema) as writer:
        writer.write_batch(batch)
    return sink.getvalue().to_pybytes()
