"""What a service asks of its machine: room, and a place in memory for what is mapped."""

import asyncio
import os
import socket
import stat
import subprocess
import sys
import time

import pytest

from infra.errors import ServingUnavailable, StoreError
from serving import accepting, machine, running
from serving.running import Setup
from serving.settings import ServeConfig
from tests.disks import disk, files_up_to, fill
from tests.ports import free_port

COUNTS = """
from serving import meters

for number in range(3000):
    meters.REQUESTS.labels(f"endpoint {number}", 200).inc()
print("counted")
"""


@pytest.fixture
def memory(tmp_path, monkeypatch):
    """Another disk than that of the folder."""
    place = tmp_path / "memory"
    place.mkdir()
    monkeypatch.setattr(machine, "MEMORY", place)
    return place


@pytest.mark.usefixtures("memory")
def test_a_full_disk_kills_no_process_that_counts(tmp_path):
    with disk(tmp_path / "work", "4m") as work:
        setup = Setup(config=ServeConfig(workers=2), home=str(tmp_path), work=str(work), zone="UTC")
        env = os.environ | running.environment(setup)
        fill(work)
        done = subprocess.run(
            [sys.executable, "-c", COUNTS], env=env, capture_output=True, text=True, check=False
        )
    assert (done.returncode, done.stdout) == (0, "counted\n")


def test_a_folder_is_refused_that_has_no_room_for_what_a_service_writes(tmp_path):
    machine.require_writable(tmp_path / "work")
    with files_up_to(64 << 10), pytest.raises(StoreError, match=r"set serve\.work to a folder"):
        machine.require_writable(tmp_path / "work")
    assert list((tmp_path / "work").iterdir()) == []


def test_a_folder_that_is_made_is_its_users_alone_and_one_that_was_there_stays_as_it_is(tmp_path):
    given = tmp_path / "given"
    given.mkdir(mode=0o750)
    for folder in (tmp_path / "made", given):
        machine.require_writable(folder)
    assert [stat.S_IMODE(one.stat().st_mode) for one in (tmp_path / "made", given)] == [
        0o700,
        0o750,
    ]


def test_a_service_and_what_it_starts_may_open_as_many_files_as_the_system_allows():
    lowered = (
        "import resource as r, subprocess, sys; from serving import machine\n"
        "hard = r.getrlimit(r.RLIMIT_NOFILE)[1]; r.setrlimit(r.RLIMIT_NOFILE, (99, hard))\n"
        "machine.open_files()\n"
        "subprocess.run(['sh', '-c', f'test $(ulimit -Sn) = $(ulimit -Hn)'], check=True)"
    )
    subprocess.run([sys.executable, "-c", lowered], check=True)


@pytest.mark.parametrize(
    ("host", "token", "warned"),
    [
        ("127.0.0.1", "", False),
        ("::1", "", False),
        ("localhost", "", False),
        ("0.0.0.0", "", True),
        ("::", "", True),
        ("shop.example", "", True),
        ("0.0.0.0", "secret", False),
    ],
)
def test_an_address_of_the_network_without_a_token_is_warned_of(caplog, host, token, warned):
    machine.warn_open(host, token)
    assert ("Set serve.token" in caplog.text) == warned


def test_each_folder_and_address_has_a_place_of_its_own_and_finds_it_again(memory, tmp_path):
    asked = [(tmp_path / "a", "h", 1), (tmp_path / "b", "h", 1), (tmp_path / "a", "h", 2)]
    places = [machine.shared(*one) for one in asked]
    assert len(set(places)) == 3
    assert sorted(memory.iterdir()) == sorted(places)
    assert [machine.shared(*one) for one in asked] == places


def test_where_memory_is_not_to_be_had_the_place_is_in_the_folder(memory, tmp_path, monkeypatch):
    asked = (tmp_path / "work", "h", 1)
    assert machine.shared(*asked).parent == memory
    monkeypatch.setattr(os, "getuid", lambda: memory.stat().st_uid + 1)  # somebody else's
    assert machine.shared(*asked).parent == tmp_path / "work"
    monkeypatch.undo()
    monkeypatch.setattr(machine, "MEMORY", tmp_path / "nowhere")
    assert machine.shared(*asked).parent == tmp_path / "work"


def test_where_it_listens_is_said_once_it_does(caplog):
    caplog.set_level("INFO")
    port = free_port()
    with machine.telling("127.0.0.1", port, 2):
        time.sleep(0.5)
        assert caplog.messages == []
        with socket.create_server(("127.0.0.1", port)):
            for _ in range(100):
                time.sleep(0.05)
                if caplog.messages:
                    break
    assert caplog.messages == [f"listening on http://127.0.0.1:{port} (2 processes)"]


def test_a_port_is_held_before_anybody_listens_and_no_other_service_gets_it():
    with machine.hold_port("127.0.0.1", port := free_port()):
        for host in ("127.0.0.1", "0.0.0.0"):
            with pytest.raises(ServingUnavailable, match=f"port {port} of {host} cannot be had"):
                machine.hold_port(host, port)
        with pytest.raises(ConnectionRefusedError):  # nor is anybody let in and left waiting
            socket.create_connection(("127.0.0.1", port))


def test_a_socket_that_was_bound_before_and_asks_for_reuse_does_not_take_a_held_port():
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", 0))
        with machine.hold_port(*other.getsockname()), pytest.raises(OSError, match="in use"):
            other.listen()


def test_a_service_listens_where_one_was_stopped_a_moment_ago(tmp_path):
    accepting.prepare(tmp_path / "board", 1)
    loop = accepting.Loop(accepting.Board(tmp_path / "board"))
    with socket.create_server(("127.0.0.1", 0)) as before:
        where = before.getsockname()
        with socket.create_connection(where):
            before.accept()[0].close()  # by whoever served: the kernel keeps it for a minute
    with machine.hold_port(*where) as held:
        server = loop.run_until_complete(loop.create_server(asyncio.Protocol, sock=held))
        socket.create_connection(where).close()
        server.close()
        loop.run_until_complete(server.wait_closed())
    loop.close()
