"""Ports for tests that run side by side."""

import contextlib
import socket
from collections.abc import Iterator


def free_port() -> int:
    """One that nobody else is given soon, though nobody listens there yet."""
    with socket.socket() as some:
        some.bind(("127.0.0.1", 0))
        return int(some.getsockname()[1])


@contextlib.contextmanager
def silent_port() -> Iterator[int]:
    """One that is refused to whoever connects, and that nobody else can take meanwhile."""
    with socket.socket() as held:
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.bind(("127.0.0.1", 0))
        yield int(held.getsockname()[1])
