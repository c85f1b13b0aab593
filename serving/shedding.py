"""Turning away at the price of reading: what a full queue answers before HTTP is parsed.

Under five times its capacity a service says no four times for each yes. uvicorn and ASGI take a
third of a millisecond to read a request and to say no to it, a tenth of what an answer costs: the
noes would eat a core. Here a request that came whole, in one piece, while the queue is full, is
answered with a prepared 503. Whatever is not that plain (bodies in several pieces, pipelining,
other methods) goes the usual way, where `serving.guard` turns it away.

Who would rather speak another protocol, as Java's client asks with its first request, is answered
in this one: the wish is taken out of the head, for the parser skips the body after such a head.

Nor is anybody waited for who has stopped in the middle of a request, or never began one: a caller
who is gone and could not say so would hold what it has sent, up to a whole body, or a place among
the open files, for as long as the process lives.
"""

import re
from asyncio import TimerHandle, Transport

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from serving import meters
from serving.guard import FULL, LATE, LONG, written
from serving.http_contracts import Problem

STATE = "turns"
"""Name of this process's queue in the application's lifespan state."""
WHOLE_S = 30.0
"""Seconds that a request may take to come whole, and a new connection to begin one."""
HEAD = 65_536
"""Bytes of a head that may follow those with which it began to come (256 KiB at most)."""

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d{1,9})(?=\r\n)", re.IGNORECASE)
_SPECIAL = re.compile(
    rb"\r\n(transfer-encoding|content-length|expect|upgrade|connection(?!: *keep-alive\r\n)) *:",
    re.IGNORECASE,
)
_UPGRADE = re.compile(rb"\r\nupgrade:[^\r\n]*(?=\r\n)", re.IGNORECASE)
_ENDS = (b"\r", b"\n")
"""How a piece begins that may hold the rest of a head's end, and then a body."""
_FIRST_LINE = re.compile(rb"POST /v1/[\w/]+ HTTP/1\.1\r\n")


class Protocol(HttpToolsProtocol):
    """uvicorn's protocol of one connection, with a short way to no."""

    _inside = False
    """Whether a part of a request was read."""
    _late: TimerHandle | None = None
    """Runs while one, or the rest of one, is waited for; between two uvicorn's own clock does."""
    _head: int | None = None
    """Bytes of its head that came after those with which it began; None: the head is known."""

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]  # as uvicorn's
        """Somebody is there."""
        super().connection_made(transport)
        self._wait()

    def data_received(self, data: bytes) -> None:
        """Bytes of the caller."""
        turns = self.app_state.get(STATE)
        if turns is not None and turns.full and self._between() and is_whole(data):
            self._wait_no_longer()
            self._unset_keepalive_if_required()
            self.transport.write(_ANSWER)
            self.timeout_keep_alive_task = self.loop.call_later(
                self.timeout_keep_alive, self.timeout_keep_alive_handler
            )
            _SHED.inc()
            _REQUESTS.inc()
            return
        if self._head is not None:
            self._head += len(data)
        if not self._inside or (self._head is not None and not data.startswith(_ENDS)):
            data = plain(data)
        super().data_received(data)
        if self._head is not None and self._head > HEAD:
            self._end(_LONG)
        if self._late is None and (self._inside or self._is_unwatched()):
            self._wait()

    def on_message_begin(self) -> None:
        """The parser has met a request."""
        self._wait_no_longer()  # for one to begin: it has its own time to come whole
        self._inside, self._head = True, 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """The parser has met the end of the head."""
        self._head = None
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """The parser has met its end."""
        self._inside = False
        self._wait_no_longer()
        super().on_message_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection has ended."""
        self._wait_no_longer()
        super().connection_lost(exc)

    def _wait(self) -> None:
        self._late = self.loop.call_later(WHOLE_S, self._give_up)

    def _wait_no_longer(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None

    def _give_up(self) -> None:
        """The request has not come whole in time; who began none has nothing to be told."""
        if self._inside:
            self._end(_LATE)
        else:
            self.transport.close()

    def _end(self, why: bytes) -> None:
        """End the connection of half a request, and say why if it is its turn.

        Somebody may be owed another answer, or have had the one to this request already.
        """
        of_this = self.cycle is not None and self.cycle.scope is self.scope  # its head was read
        spoken = self.cycle.response_started or self.pipeline if of_this else not self._is_quiet()
        if not spoken:
            self.transport.write(why)
        self.transport.close()

    def _unsupported_upgrade_warning(self) -> None:
        """A wish for another protocol was overlooked, and the parser reads no more after its head.

        So this answer must be the last here, or the next request would wait for ever. It is
        overlooked where a piece ends in its line or right before it, and behind another request.
        """
        self.cycle.keep_alive = False

    def _between(self) -> bool:
        """Whether the next byte begins a request and nothing is owed."""
        return not self._inside and self._is_quiet()

    def _is_unwatched(self) -> bool:
        """Whether bytes that began no request (an end of line) have stopped uvicorn's clock."""
        return self._is_quiet() and self.timeout_keep_alive_task is None

    def _is_quiet(self) -> bool:
        return self.cycle is None or self.cycle.response_complete


def plain(data: bytes) -> bytes:
    """A head, or a piece of one, and what follows: without the wish for another protocol.

    A server may ignore it (RFC 9110, 7.8).
    """
    end = data.find(b"\r\n\r\n")
    end = len(data) if end < 0 else end + 2
    if _UPGRADE.search(data, 0, end) is None:
        return data
    return _UPGRADE.sub(b"", data[:end]) + data[end:]


def is_whole(data: bytes) -> bool:
    """Whether these bytes are one plain request to the interface, no more and no less."""
    end = data.find(b"\r\n\r\n")
    if end < 0 or not _FIRST_LINE.match(data):
        return False
    special = _SPECIAL.findall(data, 0, end + 2)
    length = _LENGTH.search(data, 0, end + 2)
    return (
        length is not None
        and [name.lower() for name in special] == [b"content-length"]
        and len(data) == end + 4 + int(length[1])
    )


def _answer(problem: Problem, *more: bytes) -> bytes:
    headers, body = written(problem)
    first = f"HTTP/1.1 {problem.status} {problem.title}".encode()
    lines = [first, *(name + b": " + value for name, value in headers), *more]
    return b"\r\n".join([*lines, b"", body])


_ANSWER = _answer(FULL)
_LATE = _answer(LATE, b"connection: close")
_LONG = _answer(LONG, b"connection: close")
_SHED = meters.SHED.labels("queue")
_REQUESTS = meters.REQUESTS.labels("refused", 503)
