"""How a command ends that is told to (SIGTERM): as by Ctrl-C, and from its first second on.

Left to itself SIGTERM ends a process where it stands, and process 1 of a container hears none: what
stops that container kills it, ten seconds later or thirty. Here blocks are left as by an error, so
scratch folders go and MLflow's runs are closed. Ctrl-C reaches worker processes by itself; SIGTERM
is for one process, which hands it on: a pool would wait for what its workers have under way.
"""

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

ENDED = 128 + signal.SIGTERM
"""Exit code, as shells say it of whom a signal ended."""
LEAVE_S = 8.0
"""Seconds to leave all blocks: some wait for what has ended, and Docker for ten. Then the process
ends as if killed, of which nothing half-written is seen either."""


@contextmanager
def when_told(code: int = ENDED) -> Iterator[None]:
    """A block that SIGTERM leaves, and the process with it."""
    told = False

    def end(number: int, frame: FrameType | None) -> None:
        nonlocal told
        told = True
        late = threading.Timer(LEAVE_S, os._exit, [code])
        late.daemon = True
        late.start()
        for worker in multiprocessing.active_children():
            worker.terminate()
        signal.default_int_handler(number, frame)

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
        if told:  # whatever became of it: libraries make other errors of what leaves a call
            sys.exit(code)
