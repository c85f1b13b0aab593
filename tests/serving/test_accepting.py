"""Connections are shared out over the processes that listen on one socket."""

import asyncio
import http.client
import os
import resource
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from types import SimpleNamespace

import psutil
import pytest

from serving import accepting
from serving.accepting import Board
from tests.ports import free_port

WORKERS = 2
SAYS_WHO = """
import os

from serving import accepting

accepting.COURTESIES = 2000  # a worker of a busy machine may sleep for longer than 10 ms


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


def one_place(folder):
    """A board of the smallest kind: whoever holds one connection fills it."""
    (folder / "board").write_bytes((-1).to_bytes(8, "little", signed=True))
    return folder / "board"


OTHER = """
import sys
from pathlib import Path
from serving.accepting import Board

board = Board(Path(sys.argv[1]))
board.tell(9)
print(board.fewest(), flush=True)
sys.stdin.readline()
board.tell(7)
print("told", flush=True)
sys.stdin.readline()
"""


@pytest.fixture
def beside():
    """Starts another process at a board, which tells 9, and 7 when it is written to."""
    started = []

    def start(board):
        pipe = subprocess.PIPE
        command = [sys.executable, "-c", OTHER, str(board)]
        started.append(subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True))
        return started[0], int(started[0].stdout.readline())

    yield start
    for process in started:
        process.kill()
        process.communicate()


def go_on(process):
    process.stdin.write("\n")
    process.stdin.flush()
    process.stdout.readline()


def test_a_process_too_many_has_no_place_and_writes_over_nobodys(tmp_path, beside):
    own = Board(one_place(tmp_path))
    own.tell(4)
    _, seen = beside(tmp_path / "board")
    assert seen == 4
    assert open_board(tmp_path / "board") == [4]


def test_a_process_without_a_place_takes_one_when_there_is_one(tmp_path, beside):
    own = Board(one_place(tmp_path))
    process, _ = beside(tmp_path / "board")
    del own  # its file is closed, and its place free
    go_on(process)
    assert open_board(tmp_path / "board") == [7]


def test_what_a_killed_process_told_is_forgotten_by_the_next(tmp_path, beside):
    accepting.prepare(tmp_path / "board", 1)
    with (tmp_path / "board").open("r+b") as file:
        file.write((0).to_bytes(8, "little") * 2)  # of two who listened and are gone
    _, seen = beside(tmp_path / "board")
    assert seen > 10**9
    assert open_board(tmp_path / "board") == [9]


class Echo(asyncio.Protocol):
    """Says again what it hears."""

    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        self.transport.write(data)


class Slow(accepting.Loop):
    """Whoever is accepted has to wait until the loop goes on."""

    def __init__(self, board):
        super().__init__(board)
        self.begun, self.go = asyncio.Event(), asyncio.Event()

    async def connect_accepted_socket(self, *given):
        self.begun.set()
        await self.go.wait()
        return await super().connect_accepted_socket(*given)


def test_whoever_was_accepted_when_a_process_is_told_to_end_is_answered(tmp_path):
    accepting.prepare(tmp_path / "board", 1)
    loop = Slow(Board(tmp_path / "board"))

    async def answer(listening):
        server = await loop.create_server(Echo, sock=listening)
        hear, say = await asyncio.open_connection(*listening.getsockname())
        await loop.begun.wait()
        server.close()
        loop.go.set()
        say.write(b"?")
        await server.wait_closed()
        heard = await asyncio.wait_for(hear.read(1), 10)
        say.close()
        return heard

    with socket.create_server(("127.0.0.1", 0)) as listening:
        assert loop.run_until_complete(answer(listening)) == b"?"
    loop.close()


def test_a_process_that_was_told_to_end_tells_nothing_more(tmp_path):
    accepting.prepare(tmp_path / "board", 1)
    loop = Slow(Board(tmp_path / "board"))

    async def told(listening):
        server = await loop.create_server(Echo, sock=listening)
        loop.go.set()
        first, say = await asyncio.open_connection(*listening.getsockname())
        say.write(b"?")
        await first.read(1)
        loop.begun.clear()
        loop.go.clear()
        _, next_one = await asyncio.open_connection(*listening.getsockname())
        await loop.begun.wait()
        assert open_board(tmp_path / "board") == [2]
        server.close()
        say.close()  # is lost while the other is still being taken
        await asyncio.sleep(0.1)
        loop.go.set()
        await server.wait_closed()
        next_one.close()
        return open_board(tmp_path / "board")

    with socket.create_server(("127.0.0.1", 0)) as listening:
        assert loop.run_until_complete(told(listening)) == []
    loop.close()


@pytest.fixture
def few(monkeypatch):
    """A process that may hold two connections, and looks again soon."""
    monkeypatch.setattr(accepting, "most", lambda: 2)
    monkeypatch.setattr(accepting, "TROUBLE_S", 0.01)


@pytest.mark.usefixtures("few")
@pytest.mark.parametrize("own", [False, True])
def test_no_more_connections_are_held_than_may_be_and_the_next_waits(tmp_path, caplog, own):
    accepting.prepare(tmp_path / "board", 1)
    loop = accepting.Loop(Board(tmp_path / "board"))

    async def third():
        port = free_port()
        where = {"host": "127.0.0.1", "port": port}
        if not own:
            where = {"sock": socket.create_server(("127.0.0.1", port))}
        server = await loop.create_server(Echo, **where)
        lines = [await asyncio.open_connection("127.0.0.1", port) for _ in range(3)]
        for _, say in lines:
            say.write(b"?")
        waits = asyncio.ensure_future(lines[2][0].read(1))
        assert await asyncio.gather(*[hear.read(1) for hear, _ in lines[:2]]) == [b"?"] * 2
        await asyncio.sleep(0.2)
        assert open_board(tmp_path / "board") == [2]
        assert not waits.done()
        lines[0][1].close()
        heard = await asyncio.wait_for(waits, 10)
        for _, say in lines:
            say.close()
        server.close()
        await server.wait_closed()
        return heard

    assert loop.run_until_complete(third()) == b"?"
    loop.close()
    assert [one.levelname for one in caplog.records] == ["WARNING"]  # of twenty looks
    assert "2 are held, as many as open files allow" in caplog.text


def test_some_open_files_are_left_for_the_rest_of_the_process(monkeypatch):
    for files, left in ((100, 50), (1024, 768), (resource.RLIM_INFINITY, 2**62)):
        monkeypatch.setattr(resource, "getrlimit", lambda _, files=files: (files, files))
        assert accepting.most() == left


def test_trouble_is_told_once_a_minute_with_how_often_it_was(caplog):
    clock = SimpleNamespace(now=0.0)
    trouble = accepting.Trouble(lambda: clock.now)
    for clock.now in (0.0, 0.1, 59.0, 60.0, 61.0):
        trouble.tell("too many open files")
    assert [one.split(" times")[0].split()[-1] for one in caplog.messages] == ["1", "3"]


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    """Its port and its process."""
    folder = tmp_path_factory.mktemp("service")
    (folder / "says_who.py").write_text(SAYS_WHO)
    accepting.prepare(folder / "board", WORKERS)
    port = free_port()
    command = [
        sys.executable, "-m", "uvicorn", "says_who:app", "--app-dir", str(folder),
        "--workers", str(WORKERS), "--port", str(port), "--loop", "serving.accepting:loop",
        "--log-level", "error", "--timeout-worker-healthcheck", "60",
    ]  # fmt: skip
    env = os.environ | {accepting.VARIABLE: str(folder / "board")}
    process = subprocess.Popen(command, env=env)
    try:
        wait(lambda: open_board(folder / "board") == [0] * WORKERS)
        yield folder, port, psutil.Process(process.pid)
    finally:
        family = psutil.Process(process.pid).children(recursive=True)
        process.terminate()
        try:
            assert process.wait(30) == 0
        finally:
            for one in (process, *family):
                with suppress(psutil.NoSuchProcess):
                    one.kill()


def open_board(place):
    """What the processes that listen tell."""
    told = memoryview(place.read_bytes()).cast("q").tolist()
    return [held for held in told if held >= 0]


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
        assert open_board(folder / "board") == [8, 8]
        for line in lines:
            line.close()
        wait(lambda: open_board(folder / "board") == [0, 0])


def test_a_killed_process_is_replaced_and_takes_its_share_again(service):
    folder, port, process = service
    lines, by_process = held(port, 4)
    os.kill(min(by_process), 9)
    left, after = held(port, 4)  # answered by whoever is there, at once or when it is back
    assert sum(after.values()) == 4
    for line in (*lines, *left):
        line.close()
    wait(lambda: open_board(folder / "board") == [0, 0])
    lines, by_process = held(port, 8)
    assert sorted(by_process.values()) == [4, 4]
    assert set(by_process) <= {one.pid for one in process.children(recursive=True)}
    for line in lines:
        line.close()


def test_processes_that_replace_others_before_these_end_take_their_share(service):
    folder, port, process = service
    before = {one.pid for one in process.children(recursive=True)}
    process.send_signal(signal.SIGHUP)  # uvicorn: for each worker a new one first
    wait(lambda: replaced(port, before) and open_board(folder / "board") == [0, 0])
    lines, by_process = held(port, 16)
    assert sorted(by_process.values()) == [8, 8]
    assert open_board(folder / "board") == [8, 8]
    for line in lines:
        line.close()


def replaced(port, before):
    """Who ends meanwhile may close a connection that it has taken and not read."""
    with suppress(ConnectionError):
        return not before & set(served_by(port))
    return False


def served_by(port):
    """Who answers, of some connections that are closed again."""
    lines, by_process = held(port, 4)
    for line in lines:
        line.close()
    return by_process
