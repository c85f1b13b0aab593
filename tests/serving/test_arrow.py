"""Large lists as Arrow: what callers get, and that no body is more than it looks."""

import json
import time

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from features.ranking import NAMES
from infra.errors import InputError
from serving import arrow
from serving.arrow import MEDIA_TYPE
from tests.chain import EVALUATED


def rank(client, **body):
    return client.post("/v1/rank", json=body)


def stream(ids=None, rows=None, **metadata):
    column = {"item_id": pa.array(ids)} if ids is not None else {"row": pa.array(rows, pa.int32())}
    return written(pa.table(column), metadata)


def written(table, metadata, **options):
    table = table.replace_schema_metadata(metadata)
    sink = pa.BufferOutputStream()
    options = pa.ipc.IpcWriteOptions(**options)
    with pa.ipc.new_stream(sink, table.schema, options=options) as writer:
        writer.write_table(table)
    return sink.getvalue().to_pybytes()


ONE = pa.array([2], pa.int32())
TWICE = pa.Table.from_arrays([ONE, ONE], ["row", "row"])
NO_UTF8 = pa.table({"item_id": pa.array([b"\xff\xfe"]).view(pa.string())})
FEW_AND_MANY = pa.table({"row": pa.chunked_array([[2] * 151] * 2, pa.int32())})
REPEATED = pa.table(
    {"item_id": pa.DictionaryArray.from_arrays(np.zeros(300, np.int8), ["i" * 10_000])}
)
VIEWS = pa.table({"item_id": pa.array(["i" * 1025] * 2, pa.string_view())})
NO_TEXT = pa.table(
    {"item_id": pa.DictionaryArray.from_arrays(np.array([0, 1], np.int8), ["i", None])}
)


def ask(client, body):
    return client.post("/v1/rank", content=body, headers={"content-type": MEDIA_TYPE})


def test_a_time_without_an_offset_is_refused_here_too(client):
    found = ask(client, stream(rows=ONE, user_id="u", ts="2026-03-05T12:00:00"))
    assert found.status_code == 422
    assert found.json()["detail"].startswith("the stream's metadata: ts: it has no offset. Write")


def test_arrow_and_json_answer_the_same(client, shop, ids, user):
    rows = shop.served.rows_of(pa.array(ids[:40]))
    moment = {"user_id": user, "ts": "2026-03-05T12:00:00Z", "query": "shoes"}
    told = ask(client, stream(rows=rows, features="true", **moment))
    table = pa.ipc.open_stream(told.content).read_all()
    whole = rank(client, candidates=ids[:40], top_k=40, features=True, **moment).json()
    names = shop.served.ids.take(table["row"].combine_chunks()).to_pylist()
    assert names == [item["item_id"] for item in whole["items"]]
    ctr = [item["ctr"] for item in whole["items"]]
    np.testing.assert_allclose(table["ctr"].to_numpy(), ctr, atol=1e-6)
    assert table["features"].type.list_size == len(whole["items"][0]["features"])
    assert table.schema.metadata[b"feature_names"].decode() == ",".join(NAMES)
    told_features = [list(item["features"].values()) for item in whole["items"]]
    np.testing.assert_allclose(table["features"].to_pylist(), told_features, atol=1e-6)
    assert [list(item["features"]) for item in whole["items"]] == [list(NAMES)] * 40
    preference = json.loads(table.schema.metadata[b"price_preference"])
    assert preference == pytest.approx(whole["price_preference"], abs=1e-6)
    assert table.schema.metadata[b"model_version"] == b"1"
    assert table.schema.metadata[b"unknown"] == b"0"
    by_id = pa.ipc.open_stream(ask(client, stream(ids=ids[:40], **moment)).content).read_all()
    assert by_id["row"].equals(table["row"])
    assert by_id["item_id"].to_pylist() == names
    assert "item_id" not in table.column_names
    assert b"feature_names" not in by_id.schema.metadata


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"no stream", "not an Arrow IPC stream"),
        (stream(rows=[5]), "user_id"),
        (stream(rows=[], user_id="u"), "no candidates"),
        (stream(rows=[0], user_id="u"), "from 1"),
        (stream(rows=[2], user_id="u", top_k="many"), "top_k"),
        (stream(rows=[2], user_id="u", top_k="\u00b2"), "top_k"),
        (stream(rows=[2], user_id="u", top_k="1" * 5_000), "top_k"),
        (stream(rows=[2], user_id="u", top_k="0"), "top_k"),
        (stream(rows=[2], user_id="u", features="yes"), "features"),
        (stream(rows=[2], user_id="u", page="no"), "page"),
        (stream(rows=[2], user_id=b"\xff"), "user_id is not UTF-8"),
        (stream(rows=[2], user_id="u", é="1"), "\u00e9"),
        (written(pa.table({"row": [2]}), {b"\xff": "1", "user_id": "u"}), "is not UTF-8"),
        (stream(ids=["i", None], user_id="u"), "`item_id` must be texts without nulls"),
        (stream(ids=[["i"]], user_id="u"), "`item_id` must be texts"),
        (stream(ids=[{"i": 1}], user_id="u"), "`item_id` must be texts"),
        (stream(ids=[1.5], user_id="u"), "`item_id` must be texts"),
        (stream(ids=[b"\xff"], user_id="u"), "`item_id` must be texts in UTF-8"),
        (stream(ids=["i", ""], user_id="u"), "`item_id`: an id has at least 1 character"),
        (stream(rows=[2], user_id="u", profile="30 years"), "profile is not JSON"),
        (stream(rows=[2], user_id="u", profile='["30"]'), "profile: Input should be"),
        (stream(rows=[2], user_id="u", profile='{"age": 30}'), "profile.age: Input should be"),
        (written(TWICE, {"user_id": "u"}), "several columns `row`"),
        (stream(rows=[2] * 301, user_id="u"), "serve.max_candidates"),
        (written(FEW_AND_MANY, {"user_id": "u"}), "serve.max_candidates"),
        (written(REPEATED, {"user_id": "u"}), "256 characters"),
        (stream(ids=["i" * 257], user_id="u"), "256 characters"),
        (stream(ids=[b"i" * 1025], user_id="u"), "256 characters"),
        (written(VIEWS, {"user_id": "u"}), "256 characters"),
        (written(NO_TEXT, {"user_id": "u"}), "`item_id` must be texts without nulls"),
        (written(NO_UTF8, {"user_id": "u"}), "not an Arrow IPC stream"),
    ],
)
def test_bad_arrow_is_a_problem_that_names_it(client, body, said):
    found = ask(client, body)
    assert (found.status_code, said in found.json()["detail"]) == (422, True)


@pytest.mark.parametrize(
    "body",
    [
        written(pa.table({"row": [2]}), {b"\xff" + b"://a:b" * 2_000: "1"}),
        written(pa.table({"row": [2]}), {"://a:b" * 2_000: b"\xff"}),
        stream(rows=[2], user_id="u", **{"://a:b" * 2_000: "1"}),
        written(pa.table({"row": [{"://a:b" * 2_000: 1}]}), {"user_id": "u"}),
    ],
)
def test_what_a_stranger_named_is_cut_where_it_is_told(client, body):
    found = ask(client, body)
    assert (found.status_code, len(found.content) < 400) == (422, True)


@pytest.mark.parametrize("ids", [ONE, pa.array(["i", "j"])])
def test_no_flipped_byte_of_a_stream_breaks_it(client, ids):
    name = "row" if ids is ONE else "item_id"
    body = written(pa.table({name: ids}), {"user_id": "u", "top_k": "1"})
    rng = np.random.default_rng(0)
    for place in range(len(body)):
        spoilt = bytearray(body)
        spoilt[place] ^= 1 << int(rng.integers(8))
        found = ask(client, bytes(spoilt))
        assert found.status_code in (200, 422), (place, found.text)


@pytest.mark.parametrize(
    "ids",
    [
        pa.array(["i"], pa.large_string()),
        pa.array([b"i"]),
        pa.array(["i"]).dictionary_encode(),
        pa.array(["i"], pa.string_view()),
    ],
)
def test_texts_of_any_kind_are_item_ids(client, ids):
    body = written(pa.table({"item_id": ids}), {"user_id": "u", "features": "True"})
    table = pa.ipc.open_stream(ask(client, body).content).read_all()
    assert (table["row"].to_pylist(), table["item_id"].to_pylist()) == ([1], ["i"])
    assert "features" in table.column_names


@pytest.mark.parametrize("kind", [pa.int8(), pa.uint16(), pa.int32(), pa.int64(), pa.uint64()])
def test_rows_of_any_width_are_rows(client, kind):
    largest = 2**kind.bit_width // 2 - 1
    body = written(pa.table({"row": pa.array([2, largest], kind)}), {"user_id": "u"})
    found = pa.ipc.open_stream(ask(client, body).content).read_all()
    assert sorted(found["row"].to_pylist()) == [2, min(largest, 2**31 - 1)]


@pytest.mark.parametrize("codec", ["zstd", "lz4"])
@pytest.mark.parametrize("column", [np.ones(10**6, np.int32), pa.array(["i"]).dictionary_encode()])
def test_a_compressed_stream_is_refused_before_any_room_is_made_for_it(client, codec, column):
    name = "item_id" if isinstance(column, pa.Array) else "row"
    body = written(pa.table({name: column}), {"user_id": "u"}, compression=codec)
    before = pa.default_memory_pool().max_memory()
    found = ask(client, body)
    assert (found.status_code, "without compression" in found.json()["detail"]) == (422, True)
    assert pa.default_memory_pool().max_memory() == before


def test_columns_that_are_not_asked_for_are_not_read(client):
    no_utf8 = NO_UTF8["item_id"]
    body = written(pa.table({"other": no_utf8, "row": ONE, "void": pa.nulls(1)}), {"user_id": "u"})
    assert ask(client, body).status_code == 200


def seconds(work):
    begin = time.thread_time()
    work()
    return time.thread_time() - begin


def coded(batches, words, **options):
    """Batches of one candidate each, which share a dictionary of so many words."""
    values = pa.array(["word"] * words)
    one = pa.DictionaryArray.from_arrays(pa.array([0], pa.int32()), values)
    whole = pa.chunked_array([one] * batches)
    return written(pa.table({"item_id": whole}), {"user_id": "u"}, **options)


def read(body):
    return arrow._column(body, arrow._schema(body), 20_000)


def test_a_dictionary_is_read_once_however_many_batches_use_it():
    short, long = coded(2_000, 1), coded(2_000, 200_000)
    assert seconds(lambda: read(long)) < 5 * seconds(lambda: read(short)) + 0.1
    assert len(read(long)) == 2_000


def test_views_of_one_long_text_are_refused_before_it_is_read_for_each():
    text = pa.py_buffer(b"i" * 2_000_000)
    views = np.tile(np.array([len(text), 0x69696969, 0, 0], np.int32), 20_000)
    ids = pa.Array.from_buffers(pa.string_view(), 20_000, [None, pa.py_buffer(views), text])
    body = written(pa.table({"item_id": ids}), {"user_id": "u"})

    def refused():
        with pytest.raises(InputError, match="256 characters"):
            read(body)

    assert seconds(refused) < 1


def test_a_dictionary_that_grows_is_refused(client):
    parts = [pa.array(texts).dictionary_encode() for texts in (["i"], ["i", "j"])]
    whole = pa.table({"item_id": pa.chunked_array(parts)})
    body = written(whole, {"user_id": "u"}, emit_dictionary_deltas=True)
    found = ask(client, body)
    assert (found.status_code, "without deltas" in found.json()["detail"]) == (422, True)
    assert ask(client, written(whole, {"user_id": "u"})).status_code == 200


def test_a_dictionary_of_views_is_refused_by_its_type(client):
    views = pa.array(["i"], pa.string_view())
    ids = pa.DictionaryArray.from_arrays(pa.array([0], pa.int8()), views)
    found = ask(client, written(pa.table({"item_id": ids}), {"user_id": "u"}))
    assert (found.status_code, "not dictionary<" in found.json()["detail"]) == (422, True)


def test_an_index_outside_its_dictionary_is_refused(client):
    kind = pa.dictionary(pa.int8(), pa.string())
    spoilt = pa.DictionaryArray.from_arrays(pa.array([0, 7], pa.int8()), ["i"], safe=False)
    assert spoilt.type == kind
    found = ask(client, written(pa.table({"item_id": spoilt}), {"user_id": "u"}))
    assert (found.status_code, "not an Arrow IPC stream" in found.json()["detail"]) == (422, True)


def test_a_profile_is_sent_as_json_and_counts_as_in_json(client, shop, ids):
    words = shop.served.bundle.profile[0]
    column = words.feature.removeprefix("profile_")
    known = shop.chain.store.latest("events", EVALUATED, "users").table()[column]
    profile = {column: next(one for one in known.unique().to_pylist() if one), "other": None}
    moment = {"user_id": "n", "ts": "2026-03-05T12:00:00Z"}
    told = ask(client, stream(ids=ids[:9], profile=json.dumps(profile), **moment))
    found = pa.ipc.open_stream(told.content).read_all()
    wanted = rank(client, candidates=ids[:9], profile=profile, **moment).json()["items"]
    assert found["ctr"].to_pylist() == pytest.approx([item["ctr"] for item in wanted], abs=1e-6)
    without = rank(client, candidates=ids[:9], **moment).json()["items"]
    assert [item["ctr"] for item in wanted] != [item["ctr"] for item in without]


def test_a_frame_of_pandas_is_a_stream_like_any_other(client, ids):
    table = pa.Table.from_pandas(pd.DataFrame({"item_id": ids[:3]}))
    assert b"pandas" in table.schema.metadata
    told = ask(client, written(table, {**table.schema.metadata, "user_id": "u"}))
    assert pa.ipc.open_stream(told.content).read_all().num_rows == 3
