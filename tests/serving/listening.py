"""A real server of an application, in a thread of the test."""

import asyncio
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn

from serving.shedding import Protocol

PATIENCE_S = 30


class Counting(Protocol):
    """The service's protocol, which tells what it has taken so far."""

    made = 0
    """Connections."""
    read = 0
    """Bytes of all of them."""
    ended = 0
    """Connections that have."""
    newest: "Counting"
    """The last connection."""

    def connection_made(self, transport):
        super().connection_made(transport)
        Counting.newest = self
        Counting.made += 1

    def data_received(self, data):
        super().data_received(data)
        Counting.read += len(data)

    def connection_lost(self, exc):
        super().connection_lost(exc)
        Counting.ended += 1


@contextmanager
def listening(app, loop=None) -> Iterator[tuple[str, int]]:
    """Its address, and the event loop's factory if it is to be another; it ends with the block."""
    config = uvicorn.Config(
        app, http=Counting, port=0, log_level="warning", timeout_keep_alive=2 * PATIENCE_S
    )
    server = uvicorn.Server(config)

    def serve() -> None:
        with asyncio.Runner(loop_factory=loop) as runner:
            runner.run(server.serve())

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield server.servers[0].sockets[0].getsockname()
    server.should_exit = True
    thread.join(10)


def wait(until):
    """Until it is so; a test that waits in vain fails here."""
    end = time.monotonic() + PATIENCE_S
    while not until():
        assert time.monotonic() < end, "it did not become so"
        time.sleep(0.002)


def say(line, data):
    """Send it, and let the server have read it before anything else happens."""
    before = Counting.read
    line.sendall(data)
    wait(lambda: Counting.read == before + len(data))


def heard(line):
    """One whole answer and what came with it, or what came before the connection ended."""
    said = b""
    while not _is_whole(said):
        more = line.recv(65536)
        if not more:
            return said
        said += more
    return said


def is_silent(line):
    """Whether nothing more comes for a tenth of a second."""
    time.sleep(0.1)
    line.setblocking(False)
    try:
        return not line.recv(1)
    except BlockingIOError:
        return True


def _is_whole(said):
    head, end, body = said.partition(b"\r\n\r\n")
    lengths = [one for one in head.lower().split(b"\r\n") if one.startswith(b"content-length:")]
    return bool(end) and all(len(body) >= int(one.split(b":")[1]) for one in lengths)
