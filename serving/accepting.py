"""Who takes a new connection: the process that holds the fewest.

Worker processes listen on one socket. Linux wakes all of them for a connection and the quickest
takes it, mostly the one that took the last: of sixteen connections opened at once one of two
workers was seen to hold all sixteen, and to queue and shed while the other idled for as long as
they were kept alive. Here each process writes how many it holds on a board that all of them map,
and one that holds more than another lets the other go first, for some milliseconds. It is a
courtesy and no lock: a process that hangs, starts or has died keeps nobody waiting for longer.
Nor does a process take more than its open files allow: it would have none for a version or a page.
"""

import asyncio
import fcntl
import logging
import mmap
import os
import resource
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import uvloop

logger = logging.getLogger(__name__)

VARIABLE = "DUPN_SERVE_CONNECTIONS"
"""Path of the board, for worker processes."""
COURTESY_S = 0.001
"""Before a process looks at the board again."""
COURTESIES = 10
"""Looks before it takes the connection all the same."""
TROUBLE_S = 0.1
"""Before accepting is tried again when it failed, or when as many are held as may be."""
QUIET_S = 60.0
"""From one line of the log about that to the next."""
OWN_FILES = 256
"""Open files that connections leave to the rest of the process; it has some fifty."""
PLACES = 2
"""On the board for each worker: one that is replaced may end after the new one has come."""
NOT_TAKEN = (
    "connections could not be taken, %d times since this was last said: %s. Raise `ulimit -n`, or "
    "see who holds so many."
)
_ABSENT = -1
"""On the board: nobody's place, or its process does not listen yet."""
_BYTES = 8


def prepare(path: Path, workers: int) -> None:
    """An empty board, before any of the processes starts."""
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_name(f".{path.name}.{os.getpid()}")
    scratch.write_bytes(_ABSENT.to_bytes(_BYTES, "little", signed=True) * PLACES * workers)
    scratch.replace(path)  # cut short under a process that has it mapped, the old one would kill it


def most() -> int:
    """Connections that this process may hold at once: half of its open files at least."""
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return 2**62 if files == resource.RLIM_INFINITY else max(files - OWN_FILES, files // 2)


class Board:
    """How many connections each process holds; its own place is the first that nobody holds.

    Args:
        path: of a prepared file. A place is free again when its process has ended, however.
    """

    def __init__(self, path: Path) -> None:
        self._file = path.open("r+b")
        self._counts = memoryview(mmap.mmap(self._file.fileno(), 0)).cast("q")
        self._place: int | None = None
        self.tell(_ABSENT)

    def tell(self, held: int) -> None:
        """Connections that this process holds; without a place it asks for one, or tells nobody."""
        if self._place is None:
            self._place = self._claim()
        if self._place is not None:
            self._counts[self._place] = held

    def fewest(self) -> int:
        """Of the connections that the other listening processes hold; none listens: no bound."""
        others = [n for place, n in enumerate(self._counts) if place != self._place and n >= 0]
        return min(others, default=2**62)

    def _claim(self) -> int | None:
        """The first place that nobody holds; what was last told there, and on the rest, is void."""
        free = [place for place in range(len(self._counts)) if self._locks(place)]
        for place in free:
            self._counts[place] = _ABSENT
        for place in free[1:]:
            fcntl.lockf(self._file, fcntl.LOCK_UN, 1, place)
        return free[0] if free else None

    def _locks(self, place: int) -> bool:
        try:
            fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, place)
        except OSError:
            return False
        return True


class Trouble:
    """Says what goes wrong with connections, once in a while and not for each.

    Args:
        clock: tells seconds.
        sentence: with a place for how often it was, and one for why.
    """

    def __init__(self, clock: Callable[[], float], sentence: str = NOT_TAKEN) -> None:
        self._clock = clock
        self._sentence = sentence
        self._times = 0
        self._next = clock()

    def tell(self, why: str) -> None:
        """Count it, and say so if nothing was said for a while."""
        self._times += 1
        if self._clock() >= self._next:
            logger.warning(self._sentence, self._times, why)
            self._times, self._next = 0, self._clock() + QUIET_S


class Listener:
    """Takes connections of a socket that other processes listen on, too, when it is our turn.

    To uvicorn it is a server of asyncio.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        board: Board,
        factory: Callable[[], asyncio.Protocol],
        listening: socket.socket,
    ) -> None:
        self.sockets = (listening,)
        self._loop, self._board, self._factory = loop, board, factory
        self._held = 0
        self._open = True
        self._most = most()
        self._trouble = Trouble(loop.time)
        self._listening = listening
        self._task = loop.create_task(self._run())

    def close(self) -> None:
        """Take no more; what is held goes on."""
        self._open = False
        self._loop.remove_reader(self._listening)
        self._task.cancel()
        self._board.tell(_ABSENT)

    async def wait_closed(self) -> None:
        """Until nothing more is taken."""
        await asyncio.wait([self._task])

    async def _run(self) -> None:
        self._board.tell(0)
        while True:
            await self._somebody()
            while self._held >= self._most:
                self._trouble.tell(f"{self._held:,} are held, as many as open files allow")
                await asyncio.sleep(TROUBLE_S)
            for _ in range(COURTESIES):
                if self._held <= self._board.fewest():
                    break
                await asyncio.sleep(COURTESY_S)
            try:
                await self._take()
            except OSError as error:
                self._trouble.tell(str(error))
                await asyncio.sleep(TROUBLE_S)

    async def _somebody(self) -> None:
        """Until a connection waits to be taken."""
        there: asyncio.Future[None] = self._loop.create_future()
        self._loop.add_reader(self._listening, self._seen, there)
        await there

    def _seen(self, there: asyncio.Future[None]) -> None:
        self._loop.remove_reader(self._listening)  # else it is told in every turn of the loop
        if not there.done():
            there.set_result(None)

    async def _take(self) -> None:
        """The connection, unless another process was quicker."""
        try:
            line, _ = self._listening.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return
        line.setblocking(False)
        beginning = asyncio.ensure_future(self._begin(line))
        try:
            await asyncio.shield(beginning)
        except asyncio.CancelledError:  # `close`; but whoever was accepted is answered
            await asyncio.wait([beginning])
            raise

    async def _begin(self, line: socket.socket) -> None:
        self._count(+1)  # first: else its answer may go out before the board is told
        try:
            await self._loop.connect_accepted_socket(self._counted, line)
        except OSError:
            self._count(-1)
            raise

    def _counted(self) -> asyncio.Protocol:
        """A protocol whose end is counted."""
        protocol = self._factory()
        lost = protocol.connection_lost

        def ended(exc: Exception | None) -> None:
            self._count(-1)
            lost(exc)

        protocol.connection_lost = ended  # type: ignore[method-assign]  # this one's alone
        return protocol

    def _count(self, more: int) -> None:
        self._held += more
        if self._open:  # else the others would wait for one that has ended
            self._board.tell(self._held)


class Loop(uvloop.Loop):
    """An event loop whose servers on a ready-made socket share it as `Listener` does."""

    def __init__(self, board: Board) -> None:
        super().__init__()
        self._board = board

    async def create_server(self, protocol_factory: Any, *args: Any, **more: Any) -> Any:
        """As asyncio's, on a socket or on a host and a port."""
        listening = more.get("sock")
        if more.get("ssl") or (listening is None and not more.get("host")):
            return await super().create_server(protocol_factory, *args, **more)
        if listening is None:
            family = socket.AF_INET6 if ":" in more["host"] else socket.AF_INET
            listening = socket.create_server((more["host"], more["port"]), family=family)
        listening.setblocking(False)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # `machine.hold_port`
        listening.listen(more.get("backlog", 100))
        return Listener(self, self._board, protocol_factory, listening)


def loop() -> asyncio.AbstractEventLoop:
    """The event loop of a worker process (uvicorn's loop factory)."""
    return Loop(Board(Path(os.environ[VARIABLE])))
