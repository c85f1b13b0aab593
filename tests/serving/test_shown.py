"""Pages that a user sees are raw lines, whichever way they were asked for."""

import json
import time
from dataclasses import asdict
from statistics import median

import pyarrow as pa
import pytest
from fastapi.testclient import TestClient

from features.events import EventsConfig
from features.raw.dataset import load
from infra.store import Store
from pipeline.beam.runner import BeamConfig
from pipeline.jobs import events
from serving import app as http
from serving.exposures import Exposure, ExposureLog
from serving.service import Service
from tests.chain import EVALUATED
from tests.serving.test_arrow import ask, stream

NOON = f"{EVALUATED}T12:00:00Z"
FOLDER = f"raw/dt={EVALUATED}/impressions"


@pytest.fixture
def log(tmp_path):
    return ExposureLog(Store(tmp_path / "home"), tmp_path / "spool", "UTC")


@pytest.fixture
def client(shop, log):
    service = Service(shop.service.versions, shop.histories, shop.service.config, log)
    with TestClient(http.create(service)) as client:
        yield client


def raw(log):
    """Pages as they lie under `raw/`."""
    log.flush()
    files = [log.store.get(f"{FOLDER}/{name}") for name in log.store.names(FOLDER)]
    return [json.loads(line) for file in files for line in file.splitlines()]


def test_a_page_asked_for_by_arrow_is_logged_as_by_json(client, log, ids, user):
    moment = {"user_id": user, "ts": NOON, "query": "shoes", "scenario": "search"}
    candidates = [*ids[:40], "unknown"]
    client.post("/v1/rank", json={**moment, "candidates": candidates, "top_k": 7})
    told = ask(client, stream(ids=candidates, page="true", top_k="7", **moment))
    answered = pa.ipc.open_stream(told.content).read_all()
    by_json, by_arrow = raw(log)
    assert by_arrow["item_ids"] == answered["item_id"].to_pylist()
    assert by_arrow["request_id"] == answered.schema.metadata[b"request_id"].decode()
    assert (len(by_arrow["item_ids"]), by_arrow["latency_ms"] > 0) == (7, True)
    own = {"request_id", "latency_ms"}
    one, other = ({k: v for k, v in page.items() if k not in own} for page in (by_json, by_arrow))
    assert one == other


@pytest.mark.parametrize("top_k", [3, 100])
def test_a_candidate_that_is_named_twice_is_shown_and_logged_once(client, log, ids, user, top_k):
    once = [*ids[:6], "unknown", "other"]
    moment = {"user_id": user, "ts": NOON}
    pages = []
    for candidates in (once, [*once, *once]):
        asked = {**moment, "candidates": candidates, "top_k": top_k}
        found = client.post("/v1/rank", json=asked).json()
        assert found["unknown"] == 2
        pages.append([item["item_id"] for item in found["items"]])
        told = ask(client, stream(ids=candidates, page="true", top_k=str(top_k), **moment))
        pages.append(pa.ipc.open_stream(told.content).read_all()["item_id"].to_pylist())
    assert pages == [pages[0]] * 4
    assert len(set(pages[0])) == len(pages[0]) == min(top_k, 8)
    assert [page["item_ids"] for page in raw(log)] == pages


def test_a_list_by_arrow_is_no_page_unless_it_says_so(client, log, ids):
    for more in ({}, {"page": "false"}):
        assert ask(client, stream(ids=ids[:3], user_id="u", **more)).status_code == 200
    assert raw(log) == []


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"ids": ["i"], "page": "true"}, "the stream has no top_k, "),
        ({"rows": [2], "page": "true", "top_k": "1"}, "the stream has no column `item_id`, "),
        ({"ids": ["i"], "page": "true", "top_k": "1", "ts": "1999-01-01T00:00:00Z"}, "ts: a page"),
    ],
)
def test_a_page_by_arrow_that_cannot_be_logged_is_refused(client, log, more, said):
    found = ask(client, stream(user_id="u", **more))
    assert (found.status_code, said in found.json()["detail"]) == (422, True)
    assert raw(log) == []


def test_the_next_night_reads_any_text_that_a_page_holds(client, log):
    words = 'r\u00f6d "sk\\o"\n\u2028\u0085\x1c\U0001f45f'
    page = {"user_id": words, "ts": NOON, "query": words, "candidates": [words, "i"]}
    assert client.post("/v1/rank", json=page).status_code == 200
    log.flush()
    click = {"user_id": words, "item_id": "i", "type": "click", "ts": NOON, "scenario": "search"}
    log.store.put(f"raw/dt={EVALUATED}/behaviors/clicks.jsonl", json.dumps(click).encode())
    how = {"dataset": load("marketplace"), "config": EventsConfig(), "beam": BeamConfig()}
    events.run(log.store, EVALUATED, **how)
    (read,) = log.store.partition("events", EVALUATED, "impressions").table().to_pylist()
    assert (read["user_id"], read["query"]) == (words, words)
    assert set(read["item_ids"]) == {words, "i"}


def seconds(work):
    begin = time.thread_time()
    work()
    return time.thread_time() - begin


def test_noting_a_page_costs_far_less_than_copying_it(log):
    scores = [number / 7 for number in range(100)]
    page = Exposure(
        request_id="r", user_id="u", ts=1_772_712_000_000, scenario="search", query="shoes",
        item_ids=[f"i{number:07d}" for number in range(100)], variant="champion",
        model_version="3", line="dupn", ctr=scores, l2r=scores, price_level=4,
    )  # fmt: skip
    log.add(page)
    noting, copying = zip(
        *((seconds(lambda: log.add(page)), seconds(lambda: asdict(page))) for _ in range(101)),
        strict=True,
    )
    assert median(noting) < median(copying)
