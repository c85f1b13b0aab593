"""A service in a process of its own: how many workers it has, and how it ends."""

import http.client
import json
import logging
import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import contextmanager

import psutil
import pytest
import uvicorn

from serving import machine, meters, running
from serving.running import Setup
from serving.settings import ServeConfig
from tests.chain import logged_bundle
from tests.ports import free_port

TOKEN = "a-token-nobody-may-read"
BODY = json.dumps({"user_id": "u", "candidates": ["i"], "page": False}).encode()


@pytest.fixture
def asked(tmp_path, monkeypatch):
    """What uvicorn is asked to run with, given settings of the service."""
    monkeypatch.setattr(machine, "MEMORY", tmp_path)

    def serve(**config):
        given = {}
        monkeypatch.setattr("os.environ", dict(os.environ))
        monkeypatch.setattr(
            "serving.workers.run", lambda app, _, **options: given.update(options, app=app)
        )
        before = signal.getsignal(signal.SIGTERM)
        place = {"home": str(tmp_path / "home"), "work": str(tmp_path / "work"), "zone": "UTC"}
        running.serve(Setup(config=ServeConfig(port=free_port(), **config), **place))
        signal.signal(signal.SIGTERM, before)
        return given

    return serve


@pytest.mark.parametrize(("setting", "workers"), [(0, 1), (3, 3)])
def test_there_are_as_many_workers_as_usable_processors_or_as_the_setting_says(
    asked, monkeypatch, setting, workers
):
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0})
    assert asked(workers=setting)["workers"] == workers


def test_a_process_without_others_tells_its_own_counts(asked):
    asked(workers=1)
    meters.SWAPS.inc()
    assert b"dupn_version_swaps_total" in meters.page()


def test_no_connection_becomes_a_websocket_whose_end_nobody_counts(asked):
    config = uvicorn.Config(**asked(workers=2) | {"app": http.client, "factory": False})
    config.load()
    assert config.ws_protocol_class is None


def test_the_servers_own_lines_go_where_ours_do(asked, monkeypatch, caplog):
    monkeypatch.setattr(logging.getLogger("uvicorn"), "propagate", True)
    uvicorn.Config(**asked())
    logging.getLogger("uvicorn.error").warning("hot")
    assert caplog.messages == ["hot"]


@contextmanager
def started(bundle, folder, workers):
    """A service of a bundle; its port, its process, and the file of what it says."""
    port = free_port()
    config = ServeConfig(workers=workers, port=port, token=TOKEN, timeout_s=60, poll_s=1)
    setup = Setup(
        config=config, home=str(folder / "home"), work=str(folder / "work"), zone="UTC",
        bundle=str(bundle), run="r",
    )  # fmt: skip
    said = folder / "said"
    with said.open("w") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "serving.running"],
            env=os.environ | {running.VARIABLE: setup.model_dump_json()},
            stdout=out,
            stderr=subprocess.STDOUT,
        )
    try:
        yield port, process, said
    finally:
        process.kill()
        process.wait()
        # workers whose parent was killed may still make their files there
        shutil.rmtree(machine.shared(setup.folder, config.host, port), ignore_errors=True)


def connected(port, process):
    """A connection to a worker that answers."""
    for _ in range(600):
        assert process.poll() is None
        line = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        try:
            line.request("GET", "/healthz")
        except OSError:
            time.sleep(0.1)
        else:
            line.getresponse().read()
            return line
    raise AssertionError("it does not come up")


def begin(port):
    """A request whose head was read, and whose body is waited for."""
    line = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    line.putrequest("POST", "/v1/rank")
    for name, value in (("Authorization", f"Bearer {TOKEN}"), ("Expect", "100-continue")):
        line.putheader(name, value)
    line.putheader("Content-Length", str(len(BODY)))
    line.endheaders()
    assert line.sock.recv(len(b"HTTP/1.1 100 Continue\r\n\r\n")).startswith(b"HTTP/1.1 100")
    return line


@pytest.mark.parametrize("workers", [1, 2])
def test_a_request_that_is_under_way_is_answered_before_the_process_ends(chain, tmp_path, workers):
    with started(logged_bundle(chain), tmp_path, workers) as (port, process, said):
        idle = connected(port, process)
        asked = begin(port)
        process.send_signal(signal.SIGTERM)
        assert idle.sock.recv(1) == b""  # whoever is owed nothing is let go: it ends
        time.sleep(0.3)  # the other worker hears of it at its own pace
        asked.send(BODY)
        answer = asked.getresponse()
        assert (answer.status, len(json.load(answer)["items"])) == (200, 1)
        assert process.wait(30) == 0
    assert TOKEN not in said.read_text()


def status(port):
    """Of a new connection to any of the workers."""
    line = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    line.request("GET", "/readyz")
    return line.getresponse().status


def test_a_restart_replaces_no_worker_by_one_that_serves_nobody(chain, tmp_path):
    bundle = shutil.copytree(logged_bundle(chain), tmp_path / "bundle")
    with started(bundle, tmp_path, workers=2) as (port, process, said):
        connected(port, process).close()
        first = children(process, until=lambda _: said.read_text().count("is loaded") == 2)
        process.send_signal(signal.SIGHUP)
        second = children(process, until=lambda ids: len(ids - first) == 2 and len(ids) == 3)
        bundle.rename(tmp_path / "away")
        process.send_signal(signal.SIGHUP)
        children(process, until=lambda _: "is refused, nothing is served" in said.read_text())
        for _ in range(30):
            assert status(port) == 200
            time.sleep(0.1)
        assert second < children(process, until=lambda _: True)


def children(process, until):
    """Numbers of its workers, and of one of Python's own, once all is as it should be."""
    for _ in range(1200):
        ids = {one.pid for one in psutil.Process(process.pid).children()}
        if until(ids):
            return ids
        time.sleep(0.1)
    raise AssertionError("it does not become so")


def test_workers_end_with_the_process_that_started_them(tmp_path):
    with started(tmp_path / "none", tmp_path, workers=2) as (port, process, _):
        connected(port, process)
        workers = psutil.Process(process.pid).children(recursive=True)
    assert len(workers) >= 2
    _, left = psutil.wait_procs(workers, timeout=120)  # one may still be importing
    for worker in left:
        worker.kill()
    assert not left
    machine.hold_port("127.0.0.1", port).close()
