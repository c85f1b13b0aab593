"""Turning away at the price of reading: what a full queue answers before HTTP is parsed.

Under five times its capacity a service says no four times for each yes. uvicorn and ASGI take a
third of a millisecond to read a request and to say no to it, a tenth of what an answer costs: the
noes would eat a core. Here a request that came whole, in one piece, while the queue is full, is
answered with a prepared 503. Whatever is not that plain (bodies in several pieces, pipelining,
other methods) goes the usual way, where `serving.guard` turns it away.

Who would rather speak another protocol, as Java's client asks with its first request, is answered
in this one: the wish is taken out of the head, for the parser skips the body after such a head.

Nor is anybody waited for who has stopped in the middle of a request, or never began one, or reads
nothing of an answer: a caller who is gone and could not say so would hold what it has sent, up to a
whole body, or what it is owed, or a place among the open files, for as long as the process lives.
"""

import fcntl
import re
import struct
import termios
import time
from asyncio import TimerHandle, Transport
from contextlib import suppress

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from serving import meters
from serving.accepting import Trouble
from serving.guard import BAD, FULL, LATE, LONG, TOLD, written
from serving.http_contracts import Problem

STATE = "turns"
"""Name of this process's queue in the application's lifespan state."""
WHOLE_S = 30.0
"""Seconds that a request may take to come whole, and a new connection to begin one."""
READ_S = 30.0
"""Seconds between two looks at an answer; if nothing of it was read meanwhile, it is dropped."""
HEAD = 65_536
"""Bytes of a head that may follow those with which it began to come (256 KiB at most).

As many may come in one go around a body, as trailers and extensions of its chunks.
"""

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
    _in_head = False
    """Whether its head is not known yet."""
    _beside = 0
    """Bytes that came since it began, its head ended, or anything of its body came."""
    _unread: TimerHandle | None = None
    """Runs from an answer until a look finds that all of it was taken by the other end."""
    _left: int | None = None
    """Bytes of answers that the last look found not taken; None: another was given since."""

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]  # as uvicorn's
        """Somebody is there."""
        super().connection_made(transport)
        self._wait()

    def data_received(self, data: bytes) -> None:
        """Bytes of the caller."""
        turns = self.app_state.get(STATE)
        if turns is not None and turns.full and self._may_shed() and is_whole(data):
            self._wait_no_longer()
            self._unset_keepalive_if_required()
            self.transport.write(_ANSWER)
            self.timeout_keep_alive_task = self.loop.call_later(
                self.timeout_keep_alive, self.timeout_keep_alive_handler
            )
            self._watch()
            _SHED.inc()
            _REQUESTS.inc()
            return
        self._beside += len(data)
        if not self._inside or (self._in_head and not data.startswith(_ENDS)):
            data = plain(data)
        self._unset_keepalive_if_required()
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._unsupported_upgrade_warning()
        except httptools.HttpParserError as error:  # uvicorn would tell the log of each
            _BAD_ONES.tell(str(error))
            self._end(BAD)
        if self._inside and self._beside > HEAD:
            self._end(LONG)
        if self._late is None and (self._inside or self._is_unwatched()):
            self._wait()

    def on_message_begin(self) -> None:
        """The parser has met a request."""
        self._wait_no_longer()  # for one to begin: it has its own time to come whole
        self._inside, self._in_head, self._beside = True, True, 0
        super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        """A field of the head; one behind the body (a trailer) is read by nobody, nor kept."""
        if self._in_head:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """The parser has met the end of the head."""
        self._in_head, self._beside = False, 0
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """A piece of the body, which is bounded where it is read."""
        self._beside = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The parser has met its end."""
        self._inside = False
        self._wait_no_longer()
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """An answer was written, as far as the other end takes it."""
        self._watch()
        super().on_response_complete()

    def pause_writing(self) -> None:
        """Much of what was written is not taken."""
        self._watch()
        super().pause_writing()

    def eof_received(self) -> bool:  # type: ignore[override]  # asyncio's, and uvicorn's has no word
        """The caller sends no more; whether the connection stays, for what he is owed."""
        owed = not self._inside and not self._is_quiet()
        if owed:
            self.cycle.keep_alive = False  # of the last request: it ends with that answer
        return owed

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection has ended."""
        self._wait_no_longer()
        if self._unread is not None:
            self._unread.cancel()
        super().connection_lost(exc)

    def _watch(self) -> None:
        """See to it that what was written is read."""
        self._left = None
        if self._unread is None:
            self._unread = self.loop.call_later(READ_S, self._look)

    def _look(self) -> None:
        """Go on while the caller reads; to close would wait for him for ever."""
        left = self.transport.get_write_buffer_size()
        if not left:
            self._unread = None
            return
        left += _queued(self.transport)
        if self._left is not None and left >= self._left:
            self.transport.abort()
            return
        self._left = left
        self._unread = self.loop.call_later(READ_S, self._look)

    def _wait(self) -> None:
        self._late = self.loop.call_later(WHOLE_S, self._give_up)

    def _wait_no_longer(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None

    def _give_up(self) -> None:
        """The request has not come whole in time; who began none has nothing to be told."""
        if self._inside:
            self._end(LATE)
        else:
            self.transport.close()

    def _end(self, why: Problem) -> None:
        """End the connection of half a request, and say why if it is its turn.

        Somebody may be owed another answer, or have had the one to this request already.
        """
        if self.transport.is_closing():
            return
        of_this = self.cycle is not None and self.cycle.scope is self.scope  # its head was read
        spoken = self.cycle.response_started or self.pipeline if of_this else not self._is_quiet()
        if not spoken:
            self.transport.write(_answer(why, b"connection: close"))
            self._watch()
            if of_this:
                self.scope[TOLD] = why.status  # type: ignore[literal-required]  # ours
            else:
                meters.REQUESTS.labels("refused", why.status).inc()
        self.transport.close()

    def _unsupported_upgrade_warning(self) -> None:
        """A wish for another protocol was overlooked, and the parser reads no more after its head.

        So this answer must be the last here, or the next request would wait for ever. It is
        overlooked where a piece ends in its line or right before it, and behind another request.
        """
        self.cycle.keep_alive = False

    def _may_shed(self) -> bool:
        """Whether the next byte begins a request, nothing is owed, and answers are read."""
        return not self._inside and self._is_quiet() and not self.flow.write_paused

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


def _queued(transport: Transport) -> int:
    """Bytes that the system has taken and the other end has not; 0 where that cannot be asked.

    They are up to megabytes, and only when a third of them is gone does it take more: somebody who
    reads slowly would seem not to read at all.
    """
    with suppress(OSError):
        line = transport.get_extra_info("socket")
        return int(struct.unpack("i", fcntl.ioctl(line.fileno(), termios.TIOCOUTQ, bytes(4)))[0])
    return 0


_ANSWER = _answer(FULL)
_BAD_ONES = Trouble(
    time.monotonic, "callers sent what is no HTTP, %d times since this was last said: %s"
)
_SHED = meters.SHED.labels("queue")
_REQUESTS = meters.REQUESTS.labels("refused", 503)
