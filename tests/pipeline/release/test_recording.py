"""What is recorded for the canary is what samples say."""

from datetime import date

import pyarrow as pa

from features.buckets import hash_ids
from features.questions.moments import page_ids
from features.schemas import IMPRESSIONS, SAMPLES
from infra.store import Store
from pipeline.release import recording

DAY = date(2026, 3, 5)
USERS = pa.array(["ann", "ann", "bob", "bob"])
QUERIES = ["red shoes", "blue shoes", None, "hats"]


def test_the_query_of_a_page_in_several_rows_is_that_of_its_first(tmp_path):
    store, hashes = Store(tmp_path), hash_ids(USERS)
    said = {
        "user_hash": pa.array(hashes),
        "user_id": USERS,
        "request_id": pa.array(["r", "r", "q", "q"]),
        "ts": pa.array([1, 2, 1, 2], pa.int64()),
        "query": pa.array(QUERIES),
    }
    rows = pa.table(
        {
            name: said[name].cast(kind) if name in said else pa.nulls(4, kind)
            for name, kind in zip(IMPRESSIONS.names, IMPRESSIONS.types, strict=True)
        }
    )
    with store.partition("events", DAY, "impressions").publish() as out:
        out.record([out.write_table("all", rows)])
    found = recording._pages(store, DAY, pa.array(["ann", "bob"]))
    first = page_ids(hashes[:1], pa.array(["r"]))[0].as_py()
    assert found == {first: "red shoes"}


def test_who_asks_of_the_evening_before_alone_is_not_among_the_askers_of_a_day(tmp_path):
    store, midnight = (
        Store(tmp_path),
        1_772_640_000_000,
    )  # 2026-03-05 00:00 in Shanghai is 16:00 UTC
    hashes = hash_ids(pa.array(["ann", "bob", "cid"]))
    said = {
        "user_hash": pa.array(hashes),
        "ts": pa.array([midnight - 1, midnight, midnight + 1], pa.int64()),
        "cand_item": pa.array([[2], [2, 3], None]),
    }
    rows = pa.table(
        {
            name: said[name].cast(kind) if name in said else pa.nulls(3, kind)
            for name, kind in zip(SAMPLES.names, SAMPLES.types, strict=True)
        }
    )
    with store.partition("samples", DAY).publish() as out:
        out.record([out.write_table("part", rows)])
    assert [list(one) for one in recording.askers(store, DAY, "Asia/Shanghai")] == [[hashes[1]]]
    assert [list(one) for one in recording.askers(store, DAY, "Asia/Tokyo")] == [
        [*sorted(hashes[:2])]
    ]
