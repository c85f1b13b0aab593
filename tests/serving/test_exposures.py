"""Pages that were answered become raw impressions of their day."""

import errno
import fcntl
import json
import multiprocessing
import os
import resource
import signal
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from time import sleep

import pyarrow as pa
import pytest

from features.events import EventsConfig
from features.raw.dataset import load
from infra.errors import InputError
from infra.store import Store
from pipeline.beam.runner import BeamConfig
from pipeline.jobs import events
from pipeline.nights.config import NightlyConfig
from pipeline.raw import arrival
from serving import exposures, snapshot
from serving.exposures import Exposure, ExposureLog
from serving.histories import LocalHistories
from serving.running import Background, Setup
from serving.served import Name
from serving.service import Service
from serving.settings import ServeConfig
from serving.versions import OneFolder, Versions

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


def test_a_page_is_of_the_day_that_it_is_in_the_data_sets_zone(tmp_path):
    log = ExposureLog(Store(tmp_path / "home"), tmp_path / "spool", "Asia/Shanghai")
    midnight = NOON + 4 * 3_600_000
    for request, ts in (("before", midnight - 1), ("after", midnight)):
        log.add(exposure(request, ts))
    log.flush()
    days = [lines(log.store, DAY + timedelta(days=n)) for n in (0, 1)]
    assert [[one["request_id"] for one in day] for day in days] == [["before"], ["after"]]


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


def test_a_page_of_before_1970_is_moved_like_any_other(log):
    log.add(exposure("old", ts=-86_400_000))
    assert log.flush() == 1
    assert lines(log.store, date(1969, 12, 31))[0]["request_id"] == "old"


@pytest.mark.parametrize("name", ["what.jsonl", "4999999-99999999-0.jsonl", "9-x-0.jsonl"])
def test_a_spool_file_of_no_day_is_set_aside_and_the_rest_goes_on(tmp_path, name, caplog):
    spool = tmp_path / "spool"
    spool.mkdir()
    (spool / name).write_text("{}\n")
    log = ExposureLog(Store(tmp_path / "home"), spool, "UTC")
    assert [file.name for file in spool.iterdir()] == [f"{name}.aside"]
    assert name in caplog.text
    log.add(exposure())
    assert log.flush() == 1


def test_what_the_store_does_not_take_waits_for_the_next_flush(tmp_path, caplog):
    (tmp_path / "home").write_text("a file where a folder is needed")
    log = ExposureLog(Store(tmp_path / "home"), tmp_path / "spool", "UTC")
    log.add(exposure())
    assert log.flush() == 0
    assert "wait for the next flush" in caplog.text
    (tmp_path / "home").unlink()
    assert log.flush() == 1
    assert lines(log.store, DAY)[0]["request_id"] == "r1"


def test_a_file_that_could_not_be_removed_is_not_doubled(log):
    log.add(exposure())
    (spooled,) = log.spool.iterdir()
    content, times = spooled.read_bytes(), spooled.stat()
    log.flush()
    spooled.write_bytes(content)
    os.utime(spooled, ns=(times.st_atime_ns, times.st_mtime_ns))
    log.flush()
    assert len(lines(log.store, DAY)) == 1


def test_what_was_left_is_moved_by_a_flush_where_the_store_was_away_at_the_start(tmp_path):
    (tmp_path / "home").write_text("a file where a folder is needed")
    (tmp_path / "spool").mkdir()
    (tmp_path / "spool" / "0a-20517-0.jsonl").write_text('{"request_id": "left"}')
    log = ExposureLog(Store(tmp_path / "home"), tmp_path / "spool", "UTC")
    (tmp_path / "home").unlink()
    assert log.flush() == 1
    assert lines(log.store, DAY) == [{"request_id": "left"}]


class Broken(ExposureLog):
    """Fails in a way that nobody has foreseen, as often as `failures` says."""

    failures = 2

    def flush(self):
        if self.failures:
            self.failures -= 1
            raise OSError("unforeseen")
        return super().flush()


def test_a_flush_that_fails_does_not_end_what_goes_on_beside_the_requests(tmp_path, caplog):
    config = ServeConfig(poll_s=0.01, flush_s=0.01)
    home, zone = tmp_path / "home", "UTC"
    setup = Setup(config=config, home=str(home), work=str(tmp_path), zone=zone)
    exposures = Broken(Store(home), tmp_path / "spool", zone)
    histories = LocalHistories(tmp_path / "live.db", snapshot.empty(date(1970, 1, 1)), zone)
    nothing = OneFolder(tmp_path / "no bundle", Name(version="1"))
    versions = Versions(nothing, tmp_path / "versions", 1e-4)
    service = Service(versions, histories, config, exposures)
    exposures.add(exposure())

    beside = Background(setup, service, histories)
    beside.start()
    for _ in range(500):
        sleep(0.01)
        if lines(exposures.store, DAY):
            break
    flushed = lines(exposures.store, DAY)  # before the end, which flushes as well
    beside.stop()
    assert len(flushed) == 1
    assert caplog.text.count("OSError: unforeseen") == 2


def moment(day, hour=12):
    return int(datetime.combine(day, time(hour), UTC).timestamp() * 1000)


NIGHT, TODAY, NO_NIGHT = date(2026, 3, 5), date(2026, 11, 25), date(1970, 1, 1)


@pytest.mark.parametrize(
    ("day", "newest", "taken"),
    [
        (TODAY, NIGHT, True),
        (NIGHT, NIGHT, True),
        (NIGHT - timedelta(days=1), NIGHT, False),
        (TODAY + timedelta(days=2), NIGHT, True),
        (TODAY + timedelta(days=3), NIGHT, False),
        (TODAY + timedelta(days=32), TODAY + timedelta(days=30), True),  # a simulated future
        (TODAY + timedelta(days=33), TODAY + timedelta(days=30), False),
        (TODAY - timedelta(days=2), NO_NIGHT, True),
        (TODAY - timedelta(days=3), NO_NIGHT, False),
        (date(2031, 5, 5), NO_NIGHT, False),
        (date(1, 1, 1), NIGHT, False),
        (date(9999, 12, 31), NIGHT, False),
    ],
)
def test_only_pages_of_days_that_a_night_may_read_are_taken(log, day, newest, taken):
    if taken:
        log.require(moment(day), newest, moment(TODAY))
        return
    with pytest.raises(InputError, match=r"ts: .* must be of 2026-.*\(UTC\)"):
        log.require(moment(day), newest, moment(TODAY))


def click(store):
    row = {"user_id": "u1", "item_id": "i1", "type": "click", "ts": NOON + 5, "scenario": "search"}
    store.put(f"raw/dt={DAY}/behaviors/clicks.jsonl", json.dumps(row))


def pages(store):
    """The day's canonical pages, by the very step that a night runs."""
    events.run(store, DAY, dataset=load("marketplace"), config=EventsConfig(), beam=BeamConfig())
    return store.partition("events", DAY, "impressions").table().to_pylist()


def test_the_next_nights_events_read_them(log):
    for number in range(3):
        log.add(exposure(f"r{number}"))
    log.flush()
    click(log.store)
    found = pages(log.store)
    assert [page["request_id"] for page in found] == ["r0", "r1", "r2"]
    assert found[0]["item_ids"] == ["i2", "i1"]
    told = [found[0][name] for name in ("variant", "model_version", "line", "price_level")]
    assert told == ["champion", "3", "dupn", 4]


def publish_a_page(store):
    """As `import` and `simulate` do: a partition with a manifest."""
    columns = {
        "request_id": ["imported"], "user_id": ["u2"], "ts": [NOON], "item_ids": [["i9"]],
        "scenario": ["search"], "query": ["hat"], "variant": ["champion"],
    }  # fmt: skip
    with store.partition("raw", DAY, "impressions").publish(dataset="marketplace") as out:
        out.record([out.write_table("part-00000", pa.table(columns))])


def test_events_read_them_beside_a_published_table(log):
    click(log.store)
    publish_a_page(log.store)
    log.store.put(f"raw/dt={DAY}/impressions/part-00000-lost.jsonl", b"never read")
    log.add(exposure())
    log.flush()
    found = {page["request_id"]: page["item_ids"] for page in pages(log.store)}
    assert found == {"imported": ["i9"], "r1": ["i2", "i1"]}


def test_pages_that_come_after_the_night_are_a_second_arrival(log):
    click(log.store)
    publish_a_page(log.store)
    pages(log.store)
    assert arrival.arrived_again(log.store, [DAY]) == []
    before = arrival.look(log.store, DAY, NightlyConfig()).here[-1]
    log.add(exposure())
    log.flush()
    assert arrival.arrived_again(log.store, [DAY]) == [DAY]
    after = arrival.look(log.store, DAY, NightlyConfig()).here[-1]
    assert (after.name, after.files, after.changed) == ("impressions", before.files + 1, None)
    assert after.bytes > before.bytes


def test_a_disk_that_takes_nothing_loses_the_log_and_not_the_page(log, caplog):
    log.spool.rmdir()
    log.spool.write_text("a file where the folder was")
    assert log.add(exposure("r1")) is False
    assert "pages are answered and not logged, 1 since" in caplog.text
    log.spool.unlink()
    log.spool.mkdir()
    assert log.add(exposure("r2")) is True
    assert log.flush() == 1
    assert [one["request_id"] for one in lines(log.store, DAY)] == ["r2"]


def test_half_a_line_of_a_full_disk_spoils_no_other_page(log):
    log.add(exposure("r1"))
    (spooled,) = log.spool.iterdir()
    most = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (spooled.stat().st_size + 20, most[1]))
    try:
        assert log.add(exposure("r2")) is False
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, most)
        signal.signal(signal.SIGXFSZ, before)
    assert log.add(exposure("r3")) is True
    log.flush()
    assert [one["request_id"] for one in lines(log.store, DAY)] == ["r1", "r3"]


def test_a_page_that_found_no_room_leaves_no_empty_file(log):
    log.add(exposure())
    (spooled,) = log.spool.iterdir()
    os.truncate(spooled, 0)
    log.flush()
    assert (lines(log.store, DAY), list(log.spool.iterdir())) == ([], [])
    assert log.store.names(f"raw/dt={DAY}/impressions") == []


def test_a_spool_that_nobody_holds_is_moved_though_its_number_is_another_process_now(log):
    name = f"{os.getppid()}-{(DAY - date(1970, 1, 1)).days}-0.jsonl"
    (log.spool / name).write_text(json.dumps({"request_id": "left"}) + "\n")
    ExposureLog(log.store, log.spool, "UTC")
    assert [one["request_id"] for one in lines(log.store, DAY)] == ["left"]


def test_a_spool_that_could_not_be_locked_takes_no_page(log, monkeypatch):
    """Another process that starts would take it for one that was left, and later pages with it."""

    def full(file, how):
        raise OSError(errno.ENOLCK, "No locks available")

    with monkeypatch.context() as patch:
        patch.setattr(fcntl, "flock", full)
        assert not log.add(exposure("lost"))
    assert log.add(exposure("r1"))
    ExposureLog(log.store, log.spool, "UTC")
    assert log.add(exposure("r2"))
    log.flush()
    assert [one["request_id"] for one in lines(log.store, DAY)] == ["r1", "r2"]


def test_a_spool_of_another_user_that_is_written_to_is_left_to_its_process(log, monkeypatch):
    log.add(exposure("r1"))
    (file,) = log.spool.iterdir()
    file.chmod(0o444)
    log.spool.chmod(0o755)
    monkeypatch.chdir(log.spool)  # another user may not come through the folders above
    me = os.geteuid()
    if not me:
        os.seteuid(65534)
    try:
        assert not exposures._is_left(Path(file.name))
    finally:
        os.seteuid(me)


def test_a_spool_that_is_written_to_is_left_to_its_process(log):
    log.add(exposure("r1"))
    other = ExposureLog(log.store, log.spool, "UTC")
    assert lines(log.store, DAY) == []
    log.add(exposure("r2"))
    assert (other.flush(), log.flush()) == (0, 1)
    assert [one["request_id"] for one in lines(log.store, DAY)] == ["r1", "r2"]
