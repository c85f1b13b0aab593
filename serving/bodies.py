"""Bodies of requests as they come in: each is bounded, and so are all that have come only in part.

Whole bodies wait in the queue, which is bounded. One that comes in pieces is held before that until
its last piece, and any number of callers may send pieces at once: so the bytes of unfinished bodies
are counted over all connections of the process. What comes in one piece is never among them.
"""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from starlette.requests import ClientDisconnect

from infra.errors import ServingUnavailable
from serving import meters
from serving.settings import ServeConfig

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]


class TooLong(Exception):
    """A body has more bytes than one may have; says so."""


class Bodies:
    """Reads the bodies of one process."""

    def __init__(self, config: ServeConfig) -> None:
        self.each = config.max_body_bytes
        self.together = (config.queue + 1) * config.max_body_bytes
        """As many bytes as the whole ones may have that wait or are answered."""
        self.held = 0
        """Bytes of those that have not come whole."""

    async def read(self, receive: Receive) -> bytes:
        """The next body, whole.

        Raises:
            TooLong: it has more bytes than the setting allows; the rest is not read.
            ServingUnavailable: the unfinished ones have too many together; this one is dropped.
            ClientDisconnect: the caller is gone.
        """
        parts: list[bytes] = []
        size = mine = 0
        try:
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise ClientDisconnect
                parts.append(message.get("body", b""))
                size += len(parts[-1])
                if size > self.each:
                    raise TooLong(f"a body may have {self.each:,} bytes (serve.max_body_bytes).")
                if not message.get("more_body", False):
                    return b"".join(parts)
                self.held += size - mine
                mine = size
                if self.held > self.together:
                    meters.SHED.labels("bodies").inc()
                    raise ServingUnavailable(
                        "too many bodies come in at once, in pieces. Ask again in a second."
                    )
        finally:
            self.held -= mine
