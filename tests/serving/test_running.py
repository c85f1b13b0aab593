"""What goes on beside the requests, by which histories it is done, and what is cleared."""

import os
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from fastapi.testclient import TestClient
from prometheus_client import REGISTRY

from infra.errors import RegistryUnavailable, ServingUnavailable
from infra.registry import Registry
from infra.store import Store
from serving import accepting, chosen_histories, machine, meters, running
from serving.accepting import Board
from serving.http_contracts import Behavior
from serving.running import Background, Setup
from serving.served import Name
from serving.service import Service
from serving.settings import ServeConfig
from serving.snapshot import Past
from serving.versions import OneFolder, Versions
from tests.chain import logged_bundle
from tests.disks import files_up_to
from tests.ports import free_port, silent_port
from tests.serving.history_stores import DAY, NEXT, hashes, history, publish
from tests.serving.test_accepting import open_board
from tests.serving.test_snapshots import again, known

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
    histories = chosen_histories.histories(Store(setup.home), setup.folder, setup.zone)
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
    assert known(background(setup, slow).histories.snapshot) == hashes("a", "late")


def test_a_newer_day_is_taken_over_while_versions_are_slow(setup, slow):
    mine = background(setup, slow)
    again(setup, "a", "b", day=TOMORROW)
    assert comes_true(mine, lambda: slow.asked.is_set() and mine.histories.day == TOMORROW)


def test_a_newer_day_is_taken_over_when_versions_fail(setup, slow, caplog):
    slow.go.set()
    mine = background(setup, slow)
    again(setup, "a", "b", day=TOMORROW)
    assert comes_true(mine, lambda: "unforeseen" in caplog.text and mine.histories.day == TOMORROW)


class Elsewhere:
    """Histories of another kind, with no more than the protocol asks for."""

    def __init__(self):
        self.day, self.added, self.followed = DAY, [], threading.Event()

    def before(self, user_id, ts):
        return Past.empty()

    def profile(self, user_id, columns):
        return np.empty(0, np.int32)

    def add(self, behaviors, arrived=None):
        self.added += behaviors
        return len(behaviors)

    def follow(self, store):
        self.day = store.dates("sequences")[-1]
        self.followed.set()


def test_a_service_runs_on_histories_of_another_kind(setup, monkeypatch):
    elsewhere = Elsewhere()
    monkeypatch.setitem(sys.modules, "of_a_shop", SimpleNamespace(made=lambda **_: elsewhere))
    config = setup.config.model_copy(update={"histories": "of_a_shop:made"})
    given = {"config": config, "bundle": str(setup.folder / "none"), "run": "r"}
    nothing = setup.model_copy(update=given)
    monkeypatch.setenv(running.VARIABLE, nothing.model_dump_json())
    again(setup, "a", day=TOMORROW)
    sent = {"user_id": "u", "item_id": "i", "type": "click"}
    with TestClient(running.build()) as client:
        assert client.post("/v1/behaviors", json={"behaviors": [sent]}).json()["taken"] == 1
        assert elsewhere.followed.wait(10)
    assert (elsewhere.day, [one.item_id for one in elsewhere.added]) == (TOMORROW, ["i"])
    assert not (setup.folder / "live.db").exists()


def test_what_reaches_a_store_is_plain(setup, slow):
    """A client writes a member of an enum by its name, and reads no number back."""
    elsewhere, versions = Elsewhere(), background(setup, slow).service.versions
    sent = Behavior(user_id="u", item_id="i", type="cart", scenario="search")
    Service(versions, elsewhere, setup.config, None).add([sent])
    kinds = {"user_id": str, "item_id": str, "type": int, "scenario": int, "ts": int}
    kinds |= {"event_id": str, "dated": bool}
    assert {name: type(value) for name, value in vars(elsewhere.added[0]).items()} == kinds


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
    for thread in mine._threads:  # what they say belongs to this test
        thread.join(10)


def test_a_look_gives_up_within_seconds_where_mlflow_does_not_listen(setup, monkeypatch):
    for name in running.MLFLOW:
        monkeypatch.delenv(name, raising=False)
    given = running.environment(setup)
    for name in running.MLFLOW:
        monkeypatch.setenv(name, given[name])
    begin = time.monotonic()
    with silent_port() as port, pytest.raises(RegistryUnavailable):
        Registry(f"http://127.0.0.1:{port}", Store(setup.home)).version("champion")
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


def test_a_service_that_cannot_have_its_port_leaves_the_counts_of_who_has_it_alone(setup):
    config = setup.config.model_copy(update={"port": free_port()})
    setup = setup.model_copy(update={"config": config})
    counter = Path(running.environment(setup)[meters.FOLDER_VARIABLE], "counter_1.db")
    counter.touch()
    refused = pytest.raises(ServingUnavailable, match="cannot be had")
    with machine.hold_port(config.host, config.port), refused:  # of another that imports still
        running.serve(setup)
    assert counter.exists()


def test_how_long_mlflow_is_asked_may_be_set_from_outside(setup, monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "77")
    assert running.environment(setup)["MLFLOW_HTTP_REQUEST_TIMEOUT"] == "77"


def test_a_service_does_not_start_on_live_behaviors_that_are_spoilt(setup):
    setup.folder.mkdir()
    (setup.folder / "live.db").write_bytes(b"no database" * 999)
    config = setup.config.model_copy(update={"port": free_port()})
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
