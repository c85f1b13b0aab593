"""Pages that were answered become raw impressions of their day."""

import json
import multiprocessing
from datetime import date, timedelta

import pytest

from features.dataset import load
from features.events import EventsConfig
from infra.store import Store
from pipeline.jobs import events
from pipeline.runner import BeamConfig
from serving.exposures import Exposure, ExposureLog

DAY = date(2026, 3, 5)
NOON = 1_772_712_000_000


def exposure(request="r1", ts=NOON):
    return Exposure(
        request_id=request, user_id="u1", ts=ts, scenario="search", query="red shoes",
        item_ids=["i2", "i1"], variant="champion", model_version="3", line="dupn",
        ctr=[0.2, 0.1], l2r=[1.0, 0.5], price_level=4,
    )  # fmt: skip


@pytest.fixture
def log(tmp_path):
    return ExposureLog(Store(tmp_path / "home"), tmp_path / "spool", "UTC")


def lines(store, day):
    folder = f"raw/dt={day.isoformat()}/impressions"
    return [
        json.loads(line)
        for name in store.names(folder)
        for line in store.get(f"{folder}/{name}").splitlines()
    ]


def test_nothing_appears_before_the_flush_and_everything_after(log):
    log.add(exposure("r1"))
    log.add(exposure("r2", NOON + 86_400_000))
    assert not lines(log.store, DAY)
    assert log.flush() == 2
    (first,) = lines(log.store, DAY)
    assert (first["request_id"], first["model_version"], first["price_level"]) == ("r1", "3", 4)
    assert lines(log.store, DAY + timedelta(days=1))[0]["request_id"] == "r2"
    assert log.flush() == 0


def _killed(home, spool):
    ExposureLog(Store(home), spool, "UTC").add(exposure("left"))


def test_what_a_killed_process_left_is_moved_at_the_next_start(tmp_path):
    child = multiprocessing.get_context("spawn").Process(
        target=_killed, args=(tmp_path / "home", tmp_path / "spool")
    )
    child.start()
    child.join()
    ExposureLog(Store(tmp_path / "home"), tmp_path / "spool", "UTC")
    assert [line["request_id"] for line in lines(Store(tmp_path / "home"), DAY)] == ["left"]


def test_the_next_nights_events_read_them(log):
    for number in range(3):
        log.add(exposure(f"r{number}"))
    log.flush()
    row = {"user_id": "u1", "item_id": "i1", "type": "click", "ts": NOON + 5, "scenario": "search"}
    log.store.put(f"raw/dt={DAY}/behaviors/clicks.jsonl", json.dumps(row))
    events.run(
        log.store, DAY, dataset=load("marketplace"), config=EventsConfig(), beam=BeamConfig()
    )
    pages = log.store.partition("events", DAY, "impressions").table().to_pylist()
    assert [page["request_id"] for page in pages] == ["r0", "r1", "r2"]
    assert pages[0]["item_ids"] == ["i2", "i1"]
    told = [pages[0][name] for name in ("variant", "model_version", "line", "price_level")]
    assert told == ["champion", "3", "dupn", 4]
