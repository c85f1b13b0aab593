"""Connections are shared out over the processes that listen on one socket."""

import http.client
import os
import subprocess
import sys
import time

import psutil
import pytest

from infra.services import free_port
from serving import accepting
from serving.accepting import Board

WORKERS = 2
SAYS_WHO = """
import os


async def app(scope, receive, send):
    if scope["type"] == "http":
        who = str(os.getpid()).encode()
        headers = [(b"content-length", str(len(who)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": who})
"""


def test_the_fewest_are_told_of_other_processes_that_listen(tmp_path):
    accepting.prepare(tmp_path / "board", 3)
    own = Board(tmp_path / "board")
    assert own.fewest() > 10**9  # nobody else listens
    own.tell(5)
    with (tmp_path / "board").open("r+b") as file:
        file.seek(8)
        file.write((7).to_bytes(8, "little"))
    assert own.fewest() == 7  # neither its own 5 nor the third place, where nobody is


def test_a_process_too_many_has_no_place_and_writes_over_nobodys(tmp_path):
    accepting.prepare(tmp_path / "board", 1)
    script = (
        "import sys; from pathlib import Path; from serving.accepting import Board\n"
        "board = Board(Path(sys.argv[1])); board.tell(9); print(board.fewest())"
    )
    own = Board(tmp_path / "board")
    own.tell(4)
    other = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "board")],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    assert int(other.stdout) == 4
    assert (tmp_path / "board").read_bytes() == (4).to_bytes(8, "little")


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    """Its port and its process."""
    folder = tmp_path_factory.mktemp("service")
    (folder / "says_who.py").write_text(SAYS_WHO)
    accepting.prepare(folder / "board", WORKERS)
    port = free_port(8400)
    command = [
        sys.executable, "-m", "uvicorn", "says_who:app", "--app-dir", str(folder),
        "--workers", str(WORKERS), "--port", str(port), "--loop", "serving.accepting:loop",
        "--log-level", "error",
    ]  # fmt: skip
    env = os.environ | {accepting.VARIABLE: str(folder / "board")}
    process = subprocess.Popen(command, env=env)
    try:
        wait(lambda: open_board(folder) == [0] * WORKERS)
        yield folder, port, psutil.Process(process.pid)
    finally:
        process.terminate()
        assert process.wait(30) == 0


def open_board(folder):
    content = (folder / "board").read_bytes()
    return [
        int.from_bytes(content[n : n + 8], "little", signed=True) for n in range(0, len(content), 8)
    ]


def wait(until):
    for _ in range(600):
        if until():
            return
        time.sleep(0.1)
    raise TimeoutError


def held(port, count):
    """That many connections, opened at once, and how many of them each process answers."""
    lines = [http.client.HTTPConnection("127.0.0.1", port, timeout=60) for _ in range(count)]
    for line in lines:
        line.request("GET", "/")
    who = [int(line.getresponse().read()) for line in lines]
    return lines, {one: who.count(one) for one in set(who)}


def test_connections_that_are_opened_at_once_are_shared_out_evenly(service):
    folder, port, _ = service
    for _ in range(3):
        lines, by_process = held(port, 16)
        assert sorted(by_process.values()) == [8, 8]
        assert open_board(folder) == [8, 8]
        for line in lines:
            line.close()
        wait(lambda: open_board(folder) == [0, 0])


def test_a_killed_process_is_replaced_and_takes_its_share_again(service):
    folder, port, process = service
    lines, by_process = held(port, 4)
    os.kill(min(by_process), 9)
    left, after = held(port, 4)  # answered by whoever is there, at once or when it is back
    assert sum(after.values()) == 4
    for line in (*lines, *left):
        line.close()
    wait(lambda: open_board(folder) == [0, 0])
    lines, by_process = held(port, 8)
    assert sorted(by_process.values()) == [4, 4]
    assert set(by_process) <= {one.pid for one in process.children(recursive=True)}
    for line in lines:
        line.close()
