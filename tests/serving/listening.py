"""A real server of an application, in a thread of the test."""

import asyncio
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn

from serving.shedding import Protocol


@contextmanager
def listening(app) -> Iterator[tuple[str, int]]:
    """Its address; it ends with the block."""
    config = uvicorn.Config(app, http=Protocol, port=0, log_level="warning")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=lambda: asyncio.run(server.serve()), daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield server.servers[0].sockets[0].getsockname()
    server.should_exit = True
    thread.join(10)
