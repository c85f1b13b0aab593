"""Pages that `dupn serve` put beside a log of its own words: each is read as it is written."""

import json
import uuid
from datetime import UTC, date, datetime

import pytest

from features.quality import joined
from features.raw.dataset import parse_description
from infra.store import Store
from pipeline.beam.run import BeamConfig
from pipeline.jobs import events

DAY = date(2026, 11, 1)
START = int(datetime(2026, 11, 1, tzinfo=UTC).timestamp() * 1_000)
OWN = """
name = "own"
[behaviors]
[impressions]
format = "csv"
delimiter = "|"
identity = "IDENTITY"
map = { request_id = "page", user_id = "who", ts = "when", item_ids = "shown" }
separators = { item_ids = ";" }
scenarios = { S = "search" }
nulls = ["u2"]
time = { unit = "s" }
"""


def put(store, name, file, content):
    store.put(f"raw/dt={DAY}/{name}/{file}", content.encode())


def served(request, **over):
    page = {"request_id": request, "user_id": "u2", "ts": START + 5, "scenario": "recommend"}
    return json.dumps({**page, "query": None, "item_ids": ["i1", "i2"], "ctr": [0.5, 0.1], **over})


@pytest.mark.parametrize("identity", ["row", "event_id", "place"])
def test_served_pages_are_read_in_our_words_beside_the_logs_own(tmp_path, identity):
    store = Store(tmp_path)
    behavior = {"user_id": "u1", "item_id": "i1", "type": "click", "ts": START}
    put(store, "behaviors", "a.jsonl", json.dumps(behavior) + "\n")
    head = "event_id|page|who|when|shown|scenario"
    put(store, "impressions", "a.csv", f"{head}\ne1|p1|u1|{START // 1000}|i1;i3|S\n")
    put(store, "impressions", "served-1.jsonl", served("s1") + "\n" + served("s2") + "\n")
    dataset = parse_description(OWN.replace("IDENTITY", identity), "own.toml")
    counts = events.run(store, DAY, dataset, beam=BeamConfig(buckets=2))
    assert counts["impressions_rejected"] == 0
    found = store.partition("events", DAY, "impressions").table().to_pylist()
    assert {row["request_id"]: (row["user_id"], row["item_ids"]) for row in found} == {
        "p1": ("u1", ["i1", "i3"]),
        "s1": ("u2", ["i1", "i2"]),
        "s2": ("u2", ["i1", "i2"]),
    }
    assert {row["ts"].timestamp() * 1000 for row in found} == {START, START + 5}


def test_a_day_of_both_kinds_of_pages_says_how_many_served_ones_are_named(tmp_path):
    store = Store(tmp_path)
    click = {"user_id": "u2", "item_id": "i1", "type": "click", "ts": START, "request_id": "p1"}
    put(store, "behaviors", "a.jsonl", json.dumps(click) + "\n")
    answered = {"model_version": "3", "line": "dupn", "latency_ms": 4.5}
    put(store, "impressions", "served-1.jsonl", served(uuid.uuid4().hex, **answered) + "\n")
    figure = "impressions.request_id.joined_share"
    for own, asked in ((False, []), (True, [(figure, 0.0)])):
        if own:
            put(store, "impressions", "a.jsonl", served("p1") + "\n")
        events.run(store, DAY, beam=BeamConfig(buckets=2))
        found = [(one.figure, one.share) for one in joined.of_day(store, DAY, "pages")]
        assert [one for one in found if one[0] == figure] == asked


def test_served_pages_keep_ids_that_look_like_an_object_a_list_or_a_truth_value(tmp_path):
    store = Store(tmp_path)
    users = ["{6B29FC40-CA47-1067-B31D-00DD010662DA}", "[guest]", "true"]
    click = {"user_id": "u1", "item_id": "i1", "type": "click", "ts": START}
    put(store, "behaviors", "a.jsonl", json.dumps(click) + "\n")
    pages = [served(f"r{n}", user_id=user) for n, user in enumerate(users)]
    put(store, "impressions", "served-1.jsonl", "\n".join(pages))
    put(store, "impressions", "a.jsonl", served("p1", user_id={"id": 1}))  # of somebody else
    counts = events.run(store, DAY, beam=BeamConfig(buckets=2))
    found = store.partition("events", DAY, "impressions").table(["request_id", "user_id"])
    assert dict(zip(*found.to_pydict().values(), strict=True)) == {
        f"r{n}": user for n, user in enumerate(users)
    }
    assert counts["impressions_rejected_bad_type_of_id"] == 1
