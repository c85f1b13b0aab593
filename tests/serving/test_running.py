"""What goes on beside the requests: snapshots by what they were made of, and what is cleared."""

import json
import os
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path

import pyarrow as pa
import pytest
from fastapi.testclient import TestClient
from prometheus_client import REGISTRY

from features.schemas import VOCABULARY
from infra.errors import PartitionCorrupt, RegistryUnavailable, ServingUnavailable, StoreError
from infra.registry import Registry
from infra.services import free_port
from infra.store import Store
from serving import accepting, machine, meters, running, snapshot
from serving.accepting import Board
from serving.histories import LocalHistories, user_hash
from serving.running import Background, Setup, prepare_snapshot
from serving.served import Name
from serving.service import Service
from serving.settings import ServeConfig
from serving.versions import OneFolder, Versions
from tests.chain import logged_bundle
from tests.disks import files_up_to
from tests.serving.test_accepting import open_board
from tests.serving.test_histories import DAY, NEXT, hashes, history, items, publish

TOMORROW = date(2026, 3, 4)
LATER = NEXT + 86_400_000


@pytest.fixture
def setup(tmp_path, monkeypatch):
    """A home in which `u1` has done `a`, and a folder to work in."""
    monkeypatch.setattr(machine, "MEMORY", tmp_path)
    publish(Store(tmp_path / "home"), DAY, history(("u1", NEXT - 500, "a")))
    return Setup(
        config=ServeConfig(poll_s=0.01, workers=2), home=str(tmp_path / "home"),
        work=str(tmp_path / "work"), zone="UTC",
    )  # fmt: skip


def again(setup, *done, day=DAY):
    """Publish `sequences` of a day, anew where they are."""
    publish(
        Store(setup.home), day, history(*[("u1", NEXT - 500 + n, i) for n, i in enumerate(done)])
    )


def known(found):
    return items(found.of(user_hash("u1")))


def folders(setup):
    return sorted(one.name for one in Path(setup.work, "snapshots").iterdir() if one.is_dir())


class Slow:
    """A source of versions that answers when it is let go, and then not as a registry would."""

    def __init__(self):
        self.asked, self.go = threading.Event(), threading.Event()

    def wanted(self):
        self.asked.set()
        self.go.wait(30)
        raise OSError("unforeseen")


@pytest.fixture
def slow():
    return Slow()


def background(setup, source):
    histories = LocalHistories(setup.folder / "live.db", prepare_snapshot(setup), setup.zone)
    versions = Versions(source, setup.folder / "versions", 1e-4)
    return Background(setup, Service(versions, histories, setup.config, None), histories)


def comes_true(mine, what):
    """Whether something comes true beside the requests, before the source is let go."""

    mine.start()
    for _ in range(500):
        time.sleep(0.01)
        if so := what():
            break
    mine.service.versions.source.go.set()
    mine.stop()
    return so


def test_a_day_that_is_published_anew_is_taken_over_and_found_after_a_restart(setup, slow):
    mine = background(setup, slow)
    again(setup, "a", "late")
    assert comes_true(mine, lambda: known(mine.histories.snapshot) == hashes("a", "late"))
    assert known(prepare_snapshot(setup)) == hashes("a", "late")


def test_profiles_that_are_published_anew_make_another_snapshot(setup, tmp_path):
    before = prepare_snapshot(setup)
    store = Store(setup.home)
    for name in ("catalog", "vocabulary"):
        place = store.partition(name, DAY, *(["profile_sex"] if name == "vocabulary" else []))
        with place.publish() as out:
            out.record([out.write_table("all", VOCABULARY.empty_table())])
    with store.partition("events", DAY, "users").publish() as out:
        table = history(("u1", 0, "a")).select(["user_hash", "user_id"])
        out.record([out.write_table("all", table)])
    after = prepare_snapshot(setup)
    assert before.stamp != after.stamp
    assert len(before.profile(user_hash("u1"), ["profile_sex"])) == 0
    assert after.profile(user_hash("u1"), ["profile_sex"]).tolist() == [1]
    with place.publish() as out:  # the same users, whose words have other rows
        words = pa.table({"id": ["x"], "row": pa.array([2], pa.int32()), "count": [9]})
        out.record([out.write_table("all", words)])
    assert prepare_snapshot(setup).stamp != after.stamp


def test_what_is_there_already_is_not_built_again(setup):
    first = prepare_snapshot(setup)
    (folder,) = folders(setup)
    changed = Path(setup.work, "snapshots", folder, snapshot.DESCRIPTION).stat().st_mtime_ns
    assert known(prepare_snapshot(setup)) == known(first)
    assert Path(setup.work, "snapshots", folder, snapshot.DESCRIPTION).stat().st_mtime_ns == changed


def test_the_newest_two_snapshots_stay_and_what_is_mapped_stays_readable(setup):
    first = prepare_snapshot(setup)
    left = Path(setup.work, "snapshots", ".2026-03-01.partial")  # by a build that was killed
    left.mkdir()
    Path(setup.work, "snapshots", "2026-03-01").mkdir()  # of a release that named them by day
    for done in ("b", "c"):
        again(setup, done)
        prepare_snapshot(setup)
    assert len(folders(setup)) == 2
    assert known(first) == hashes("a")
    again(setup, "b")
    assert known(prepare_snapshot(setup)) == hashes("b")


def test_a_newer_day_is_taken_over_while_versions_are_slow(setup, slow):
    mine = background(setup, slow)
    again(setup, "a", "b", day=TOMORROW)
    assert comes_true(mine, lambda: slow.asked.is_set() and mine.histories.day == TOMORROW)


def test_a_newer_day_is_taken_over_when_versions_fail(setup, slow, caplog):
    slow.go.set()
    mine = background(setup, slow)
    again(setup, "a", "b", day=TOMORROW)
    assert comes_true(mine, lambda: "unforeseen" in caplog.text and mine.histories.day == TOMORROW)


def test_an_older_day_is_not_taken_over(setup):
    again(setup, "a", "b", day=TOMORROW)
    mine = background(setup, Slow())
    Store(setup.home).partition("sequences", TOMORROW, "history").remove()
    mine.catch_up()
    assert mine.histories.day == TOMORROW


def test_the_end_waits_a_moment_for_a_look_and_not_until_the_registry_answers(
    setup, slow, monkeypatch
):
    monkeypatch.setattr(running, "LEAVE_S", 0.2)
    mine = background(setup, slow)
    mine.start()
    assert slow.asked.wait(10)
    begin = time.monotonic()
    mine.stop()
    assert 0.2 <= time.monotonic() - begin < 5
    assert not slow.go.is_set()
    slow.go.set()


def test_a_look_gives_up_within_seconds_where_mlflow_does_not_listen(setup, monkeypatch):
    for name in running.MLFLOW:
        monkeypatch.delenv(name, raising=False)
    given = running.environment(setup)
    for name in running.MLFLOW:
        monkeypatch.setenv(name, given[name])
    registry = Registry(f"http://127.0.0.1:{free_port(8300)}", Store(setup.home))
    begin = time.monotonic()
    with pytest.raises(RegistryUnavailable):
        registry.version("champion")
    assert time.monotonic() - begin < 30  # importing MLflow counts; its own patience is minutes


def test_services_that_share_a_folder_leave_each_others_counts_alone(setup):
    first = running.environment(setup)
    board = Board(Path(first[accepting.VARIABLE]))
    board.tell(4)
    counter = Path(first[meters.FOLDER_VARIABLE], "counter_1.db")
    counter.touch()
    other = setup.config.model_copy(update={"port": setup.config.port + 1})
    second = running.environment(setup.model_copy(update={"config": other}))
    assert Board(Path(second[accepting.VARIABLE])).fewest() > 10**9
    assert board.fewest() > 10**9  # a file that was cut short under it would kill this process
    assert counter.exists()
    running.environment(setup)  # started anew: nothing is left of before
    assert not counter.exists()
    board.tell(5)
    assert open_board(Path(first[accepting.VARIABLE])) == []


def test_how_long_mlflow_is_asked_may_be_set_from_outside(setup, monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "77")
    assert running.environment(setup)["MLFLOW_HTTP_REQUEST_TIMEOUT"] == "77"


class Restless(Store):
    """A store in which the day is published anew while it is read."""

    def latest(self, stage, at_or_before, *names):
        publish(self, DAY, history(("u1", NEXT - 400, f"a{time.monotonic_ns()}")))
        return super().latest(stage, at_or_before, *names)


def test_a_snapshot_of_two_states_is_not_kept(setup, tmp_path):
    with pytest.raises(StoreError, match="published anew while a snapshot was built of them"):
        snapshot.build(Restless(setup.home), DAY, tmp_path / "some" / "folder")
    assert list((tmp_path / "some").iterdir()) == []


def test_a_snapshot_for_which_there_is_no_room_leaves_nothing_and_says_so(setup, tmp_path):
    folder = tmp_path / "some" / "folder"
    with files_up_to(4), pytest.raises(StoreError, match=r"some/folder could not be written: .*"):
        snapshot.build(Store(setup.home), DAY, folder)
    assert list(folder.parent.iterdir()) == []


@pytest.mark.parametrize("name", ["item.bin", "offsets.bin", snapshot.DESCRIPTION])
def test_a_snapshot_that_was_cut_short_is_built_again(setup, name):
    before = known(prepare_snapshot(setup))
    (folder,) = folders(setup)
    file = Path(setup.work, "snapshots", folder, name)
    os.truncate(file, file.stat().st_size - 1)
    with pytest.raises(PartitionCorrupt, match=name):
        snapshot.load(file.parent)
    assert known(prepare_snapshot(setup)) == before


def test_a_service_does_not_start_on_live_behaviors_that_are_spoilt(setup):
    setup.folder.mkdir()
    (setup.folder / "live.db").write_bytes(b"no database" * 999)
    config = setup.config.model_copy(update={"port": free_port(8300)})
    with pytest.raises(ServingUnavailable, match=r"live\.db .*spoilt"):
        running.serve(setup.model_copy(update={"config": config}))


def test_a_snapshot_that_could_not_be_built_is_tried_again_after_longer_and_longer(setup, caplog):
    mine = background(setup, Slow())
    again(setup, "a", "b", day=TOMORROW)
    tries = []
    with files_up_to(4):
        for _ in range(16):
            caplog.clear()
            mine.catch_up()
            tries.append("could not be written" in caplog.text)
            assert "Traceback" not in caplog.text
    assert [look for look, tried in enumerate(tries) if tried] == [0, 1, 3, 7, 15]
    for _ in range(16):
        mine.catch_up()
    assert mine.histories.day == TOMORROW


def test_a_snapshot_of_an_earlier_release_says_what_to_do(setup, tmp_path):
    snapshot.build(Store(setup.home), DAY, tmp_path / "old")
    file = tmp_path / "old" / snapshot.DESCRIPTION
    content = json.loads(file.read_text())
    del content["columns"]
    file.write_text(json.dumps(content | {"fields": 0}))
    with pytest.raises(PartitionCorrupt, match=r"does not name its profile columns.*Remove"):
        snapshot.load(tmp_path / "old")


def test_every_process_tells_what_it_serves_and_no_more_what_it_served(setup, chain):
    def told(version):
        labels = {"arm": "champion", "version": version, "line": "told"}
        return REGISTRY.get_sample_value("dupn_model_version", labels)

    mine = background(setup, OneFolder(logged_bundle(chain), Name(version="8", line="told")))
    mine.look()
    assert told("8") == 1
    newer = OneFolder(logged_bundle(chain), Name(version="9", line="told"))
    mine.service.versions.source = newer
    mine.look()
    assert (told("8"), told("9")) == (0, 1)


def test_what_was_shown_is_under_raw_when_a_process_has_stopped(setup, chain, monkeypatch):
    whole = {"bundle": str(logged_bundle(chain)), "run": "r", "config": ServeConfig()}
    monkeypatch.setenv(running.VARIABLE, setup.model_copy(update=whole).model_dump_json())
    body = {"user_id": "u1", "candidates": ["a"]}
    with TestClient(running.build()) as client:
        assert client.post("/v1/rank", json=body).status_code == 200
        assert Store(setup.home).dates("raw") == []
    (day,) = Store(setup.home).dates("raw")
    assert len(Store(setup.home).names(f"raw/dt={day}/impressions")) == 1


def test_gauges_of_processes_that_are_gone_are_removed(tmp_path, monkeypatch):
    monkeypatch.setenv(meters.FOLDER_VARIABLE, str(tmp_path))
    with subprocess.Popen(["true"]) as process:
        gone = process.pid
    kept = [f"counter_{gone}.db", f"gauge_livemax_{os.getppid()}.db"]
    for name in (*kept, f"gauge_livemax_{gone}.db", f"gauge_livesum_{gone}.db"):
        (tmp_path / name).touch()
    meters.forget_gone()
    assert sorted(one.name for one in tmp_path.iterdir()) == kept


def test_processes_that_start_at_once_forget_who_is_gone_side_by_side(tmp_path, monkeypatch):
    monkeypatch.setenv(meters.FOLDER_VARIABLE, str(tmp_path))
    for number in range(1500):
        (tmp_path / f"gauge_livemax_{4194305 + number}.db").touch()  # past all process numbers
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(8) as threads:
            assert list(threads.map(lambda _: meters.forget_gone(), range(8))) == [None] * 8
    finally:
        sys.setswitchinterval(interval)
    assert not list(tmp_path.iterdir())


def test_processes_that_are_gone_leave_no_folder_and_what_is_not_ours_stays(setup):
    place = Path(setup.work, "versions")
    with subprocess.Popen(["true"]) as process:
        gone = str(process.pid)
    kept = sorted([str(os.getppid()), "lost+found", "²"])
    for name in (gone, str(os.getpid()), *kept):
        (place / name).mkdir(parents=True)
    assert running._own_folder(setup) == place / str(os.getpid())
    assert sorted(one.name for one in place.iterdir()) == kept
