"""Pages that a user sees are raw lines."""

import json
import time
from dataclasses import asdict
from statistics import median

import pytest
from fastapi.testclient import TestClient

from features.dataset import load
from features.events import EventsConfig
from infra.store import Store
from pipeline.jobs import events
from pipeline.runner import BeamConfig
from serving import app as http
from serving.exposures import Exposure, ExposureLog
from serving.service import Service
from tests.chain import EVALUATED

NOON = f"{EVALUATED}T12:00:00Z"


@pytest.fixture
def log(tmp_path):
    return ExposureLog(Store(tmp_path / "home"), tmp_path / "spool", "UTC")


@pytest.fixture
def client(shop, log):
    service = Service(shop.service.versions, shop.histories, shop.service.config, log)
    with TestClient(http.create(service)) as client:
        yield client


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
