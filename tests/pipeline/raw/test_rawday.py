import gzip
import json
import logging
from datetime import date

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fsspec.exceptions import FSTimeoutError
from fsspec.implementations.local import LocalFileSystem

from features.raw.dataset import load
from infra.errors import InputError, PartitionMissing, StoreError
from infra.store import Store
from pipeline.raw import rawday, rawfiles
from tests.unread import Unread

DAY = date(2026, 11, 1)
USERS = [{"user_id": "u1"}, {"user_id": "u2", "age": "18-24"}, {"user_id": "u3", "city": "Ulm"}]


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path)


def extra(store, name="users"):
    return rawday.extra_columns(name, rawfiles.parts(store, DAY, name), load("marketplace"))


def put(store, content, file="users.jsonl", name="users"):
    store.put(f"raw/dt={DAY}/{name}/{file}", content)


def test_a_key_that_the_first_objects_leave_out_is_a_column(store):
    put(store, "".join(json.dumps(user) + "\n" for user in [USERS[0]] * 50 + USERS))
    assert extra(store) == ("age", "city")


def test_a_key_is_found_in_whatever_block_it_stands(store, monkeypatch):
    monkeypatch.setattr(rawfiles, "JSON_ROWS", 1)
    put(store, "".join(json.dumps(user) + "\n" for user in USERS))
    assert extra(store) == ("age", "city")


def test_more_columns_than_a_profile_may_have_are_refused_by_name(store):
    rows = [{"user_id": f"u{n}", f"k{n:04}": "x"} for n in range(1_001)]
    put(store, "".join(json.dumps(row) + "\n" for row in rows))
    said = rf"raw/dt={DAY}/users has 1,001 columns \(k0000, .*1,000 are read.*\[users\.map\]"
    with pytest.raises(InputError, match=said):
        extra(store)
    put(store, "".join(json.dumps(row) + "\n" for row in rows[1:]))
    assert len(extra(store)) == 1_000


def test_a_broken_line_costs_no_column(store):
    put(store, json.dumps(USERS[0]) + "\n{broken\n" + json.dumps(USERS[1]) + "\n")
    put(store, "user_id,sex\nu4,f\n", "more.csv")
    assert extra(store) == ("age", "sex")


def test_what_stands_before_a_break_is_a_column_all_the_same(store):
    put(store, gzip.compress(json.dumps(USERS[1]).encode() + b"\n")[:-4], "users.jsonl.gz")
    assert extra(store) == ("age",)


PASSING = {
    "reset": (ConnectionResetError(104, "reset"), StoreError),
    "silent": (FSTimeoutError(), StoreError),
    "refused": (PermissionError("The token has expired."), StoreError),
    "memory": (pa.ArrowMemoryError("malloc failed"), MemoryError),
}


@pytest.mark.parametrize(("error", "told"), PASSING.values(), ids=PASSING)
@pytest.mark.parametrize("kind", ["csv", "jsonl.gz", "parquet"])
def test_a_head_that_nobody_gets_at_now_costs_no_column(store, monkeypatch, kind, error, told):
    sink = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_pylist(USERS[1:2]), sink)
    lines = json.dumps(USERS[1]).encode() + b"\n"
    files = {"csv": b"user_id,age\nu1,30\n", "jsonl.gz": gzip.compress(lines)}
    put(store, files.get(kind, sink.getvalue().to_pybytes()), f"users.{kind}")
    parts = rawfiles.parts(store, DAY, "users")
    Unread(monkeypatch, LocalFileSystem, f"users.{kind}", error)
    with pytest.raises(told):
        rawday.extra_columns("users", parts, load("marketplace"))
    assert rawday.extra_columns("users", parts, load("marketplace")) == ("age",)


def test_a_log_has_no_columns_of_its_own(store):
    put(store, '{"user_id": "u1", "age": "x"}\n', "log.jsonl", "behaviors")
    assert extra(store, "behaviors") == ()


@pytest.mark.parametrize("suffix", ["ndjson", "jsonl", "ndjson.gz", "csv", "tsv", "tsv.gz"])
def test_text_files_of_every_suffix_are_read(store, suffix):
    lines = (
        b'{"user_id": "u1", "item_id": "i"}\n' if "json" in suffix else b"user_id,item_id\nu1,i\n"
    )
    put(store, gzip.compress(lines) if suffix.endswith("gz") else lines, f"a.{suffix}", "behaviors")
    [part] = rawday.parts_of_day(store, DAY)["behaviors"]
    [block] = rawfiles.blocks(part, load("marketplace").table("behaviors"), 10)
    assert (block["user_id"].to_pylist(), block["item_id"].to_pylist()) == (["u1"], ["i"])


def test_files_that_are_not_read_for_their_suffix_are_named(store, caplog):
    put(store, "x", "log.txt", "behaviors")
    said = r"behaviors has no files under .* \(not read for their suffix: log\.txt \(read are"
    with pytest.raises(PartitionMissing, match=said):
        rawday.parts_of_day(store, DAY)
    put(store, '{"user_id": "u1"}\n', "log.jsonl", "behaviors")
    for name in "abcde":
        put(store, "x", f"{name}.xlsx", "items")
    with caplog.at_level(logging.WARNING):
        assert list(rawday.parts_of_day(store, DAY)) == ["behaviors"]
    assert f"raw/dt={DAY}/behaviors: not read for their suffix: log.txt (read" in caplog.text
    assert "items: not read for their suffix: a.xlsx, b.xlsx, c.xlsx and 2 more" in caplog.text


def test_plain_files_beside_an_imported_table_are_named_and_not_read(store, caplog):
    with store.partition("raw", DAY, "behaviors").publish() as out:
        out.record([out.write_table("_part", pa.table({"user_id": ["u1"]}))])
    put(store, '{"user_id": "u2"}\n', "late.jsonl", "behaviors")
    with caplog.at_level(logging.WARNING):
        [part] = rawday.parts_of_day(store, DAY)["behaviors"]
    assert part.file.startswith("_part")
    said = f"raw/dt={DAY}/behaviors: not read beside an imported table: late.jsonl (to add them"
    assert said in caplog.text
