"""Which releases may work on a file of live behaviours, and for how long one waits for it."""

import sqlite3
import time
from dataclasses import replace
from datetime import date

import pyarrow as pa
import pytest

from features.buckets import hash_ids
from infra.errors import ServingUnavailable
from serving import running, snapshot
from serving.histories import LAYOUT, LiveBehavior, LocalHistories
from serving.settings import ServeConfig

NEXT = 1_772_582_401_000
BEHAVIOR = LiveBehavior(user_id="u1", item_id="i1", type=1, scenario=1, ts=NEXT)


def test_a_file_of_a_later_release_is_left_alone_and_one_of_before_goes_on(tmp_path):
    histories = LocalHistories(tmp_path / "live.db", snapshot.empty(date(2026, 3, 3)), "UTC")
    histories.add([BEHAVIOR], NEXT)

    def layout(number):
        with sqlite3.connect(histories.file) as database:
            database.execute(f"PRAGMA user_version = {number}")

    layout(0)  # as files of before layouts were counted
    again = LocalHistories(histories.file, histories.snapshot, "UTC")
    assert again.before("u1", NEXT + 1).item.tolist() == hash_ids(pa.array(["i1"])).tolist()
    layout(LAYOUT + 1)
    with pytest.raises(ServingUnavailable, match=r"later release .*move live\.db\* away"):
        LocalHistories(histories.file, histories.snapshot, "UTC")
    with sqlite3.connect(histories.file) as database:
        assert database.execute("PRAGMA user_version").fetchone() == (LAYOUT + 1,)


def test_a_locked_file_holds_up_a_write_briefly_the_next_less_and_no_look_up(tmp_path):
    histories = LocalHistories(tmp_path / "live.db", snapshot.empty(date(2026, 3, 3)), "UTC", 0.5)
    histories.add([BEHAVIOR], NEXT)
    other = sqlite3.connect(histories.file, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    took = []
    for place in range(6):
        begin = time.monotonic()
        with pytest.raises(ServingUnavailable, match=r"locked.*Ask again"):
            histories.add([replace(BEHAVIOR, ts=NEXT + place)], NEXT)
        took.append(time.monotonic() - begin)
    assert 0.4 < took[0] < 3
    assert sum(took[1:]) < 1.5, "a tenth of it each"
    assert len(histories.before("u1", NEXT + 9).ts) == 1
    other.execute("ROLLBACK")
    other.close()
    assert histories.add([replace(BEHAVIOR, ts=NEXT + 1)], NEXT) == 1
    assert histories.add([replace(BEHAVIOR, ts=NEXT + 2)], NEXT) == 1
    wait_ms = histories._live.connection(histories.patience_s).execute("PRAGMA busy_timeout")
    assert wait_ms.fetchone() == (500,), "a write that got through gives patience back"


def test_a_service_waits_for_the_file_a_quarter_of_what_a_request_may_wait(tmp_path):
    config = ServeConfig(timeout_s=1.0)
    setup = running.Setup(config=config, home=str(tmp_path), work=str(tmp_path), zone="UTC")
    assert running._histories(setup).patience_s == 0.25


def test_what_is_forgotten_is_in_no_file_any_more_once_nobody_reads_what_was_before(tmp_path):
    histories = LocalHistories(tmp_path / "live.db", snapshot.empty(date(2026, 3, 3)), "UTC")
    wiped = histories._live.connection().execute("PRAGMA secure_delete").fetchone()
    assert wiped == (1,), "many builds of SQLite do so anyway, and many do not"
    sent = [replace(BEHAVIOR, ts=NEXT + place, event_id=f"order-{place}") for place in range(500)]
    histories.add(sent, NEXT)
    reader = sqlite3.connect(histories.file)
    rows = reader.execute("SELECT * FROM live")
    rows.fetchone()
    for day in (4, 5):
        histories.take_over(snapshot.empty(date(2026, 3, day)))
    assert any(b"order-" in file.read_bytes() for file in tmp_path.glob("live.db*"))
    rows.close()
    reader.close()
    histories.take_over(snapshot.empty(date(2026, 3, 6)))
    assert not any(b"order-" in file.read_bytes() for file in tmp_path.glob("live.db*"))
