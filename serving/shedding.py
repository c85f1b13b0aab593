"""Turning away at the price of reading: what a full queue answers before HTTP is parsed.

Under five times its capacity a service says no four times for each yes. uvicorn and ASGI take a
third of a millisecond to read a request and to say no to it, a tenth of what an answer costs: the
noes would eat a core. Here a request that came whole, in one piece, while the queue is full, is
answered with a prepared 503. Whatever is not that plain (bodies in several pieces, pipelining,
other methods) goes the usual way, where `serving.guard` turns it away.
"""

import re
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from serving import meters
from serving.guard import turned_away

STATE = "turns"
"""Name of this process's queue in the application's lifespan state."""

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d{1,9})(?=\r\n)", re.IGNORECASE)
_SPECIAL = re.compile(
    rb"\r\n(transfer-encoding|content-length|expect|upgrade|connection(?!: *keep-alive\r\n)) *:",
    re.IGNORECASE,
)
_FIRST_LINE = re.compile(rb"POST /v1/[\w/]+ HTTP/1\.1\r\n")


class Protocol(HttpToolsProtocol):
    """uvicorn's protocol of one connection, with a short way to no."""

    _inside = False
    """Whether a part of a request was read."""

    def data_received(self, data: bytes) -> None:
        """Bytes of the caller."""
        turns = self.app_state.get(STATE)
        if turns is not None and turns.full and self._between() and is_whole(data):
            self._unset_keepalive_if_required()
            self.transport.write(_ANSWER)
            self.timeout_keep_alive_task = self.loop.call_later(
                self.timeout_keep_alive, self.timeout_keep_alive_handler
            )
            _SHED.inc()
            _REQUESTS.inc()
            return
        super().data_received(data)

    def on_message_begin(self) -> None:
        """The parser has met a request."""
        self._inside = True
        super().on_message_begin()

    def on_message_complete(self) -> None:
        """The parser has met its end."""
        self._inside = False
        super().on_message_complete()

    def _between(self) -> bool:
        """Whether the next byte begins a request and nothing is owed."""
        return not self._inside and (self.cycle is None or self.cycle.response_complete)


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


def _answer() -> bytes:
    headers, body = turned_away()
    lines: list[Any] = [b"HTTP/1.1 503 Service Unavailable"]
    lines += [name + b": " + value for name, value in headers]
    return b"\r\n".join([*lines, b"", body])


_ANSWER = _answer()
_SHED = meters.SHED.labels("queue")
_REQUESTS = meters.REQUESTS.labels("refused", 503)
