"""Which releases may work on a file of live behaviours, and for how long one waits for it."""

import sqlite3
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import date

import pyarrow as pa
import pytest

from features.buckets import hash_ids
from infra.errors import ServingUnavailable
from serving import running, snapshot
from serving.histories import LAYOUT, LiveBehavior, LocalHistories
from serving.live_file import LiveFile
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


@pytest.fixture
def threads():
    """Two, of which a test lets the second connect later."""
    with ThreadPoolExecutor(1) as known, ThreadPoolExecutor(1) as fresh:
        yield known, fresh


def heard(thread, histories):
    return thread.submit(histories.before, "u1", NEXT + 9).result().ts.tolist()


def test_a_file_that_is_removed_takes_nothing_more_until_it_is_back_and_none_is_made(
    tmp_path, threads
):
    histories = LocalHistories(tmp_path / "live.db", snapshot.empty(date(2026, 3, 3)), "UTC")
    histories.add([BEHAVIOR], NEXT)
    known, fresh = threads
    assert heard(known, histories) == [NEXT]
    away = tmp_path / "away"
    away.mkdir()
    for file in tmp_path.glob("live.db*"):
        file.rename(away / file.name)
    said = r"live\.db was moved, removed or replaced while the service ran: stop it"
    with pytest.raises(ServingUnavailable, match=said):
        histories.add([replace(BEHAVIOR, ts=NEXT + 1)], NEXT)
    for thread in (known, fresh):
        with pytest.raises(ServingUnavailable, match=said):
            heard(thread, histories)
    assert not list(tmp_path.glob("live.db*")), "an empty one would have no tables"
    for file in away.iterdir():
        file.rename(tmp_path / file.name)
    assert [heard(thread, histories) for thread in (known, fresh)] == [[NEXT], [NEXT]]


def test_who_finds_another_file_under_the_name_refuses_and_only_who_begins_with_it_goes_on(
    tmp_path, threads
):
    histories = LocalHistories(tmp_path / "live.db", snapshot.empty(date(2026, 3, 3)), "UTC")
    known, fresh = threads
    assert heard(known, histories) == []
    for file in tmp_path.glob("live.db*"):
        file.unlink()
    replaced = LocalHistories(histories.file, histories.snapshot, "UTC")
    assert replaced.add([BEHAVIOR], NEXT) == 1
    for thread in (known, fresh):
        with pytest.raises(ServingUnavailable, match="moved, removed or replaced"):
            heard(thread, histories)
    assert heard(fresh, replaced) == [NEXT]
    assert histories.file.stat().st_mode & 0o777 == 0o600


def test_a_connection_makes_no_file_whatever_its_folder_is_called(tmp_path):
    folder = tmp_path / "is 100%? #1"
    folder.mkdir()
    histories = LocalHistories(folder / "live.db", snapshot.empty(date(2026, 3, 3)), "UTC")
    assert histories.add([BEHAVIOR], NEXT) == 1
    with pytest.raises(sqlite3.OperationalError, match="unable to open"):
        LiveFile(folder / "none.db").connection()
    assert not (folder / "none.db").exists()
