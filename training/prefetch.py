"""Reading ahead in a thread, so that reading overlaps computing.

A thread, not a process: nothing is forked behind the back of torch's own threads, and Arrow and
NumPy release the interpreter lock where the time goes.
"""

import queue
import threading
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class _End:
    """The last thing in the queue: the source is exhausted, or it failed."""

    error: BaseException | None = None


class _Reader(threading.Thread, Generic[T]):
    def __init__(self, source: Iterator[T], depth: int) -> None:
        super().__init__(name="dupn-reader", daemon=True)
        self.source = source
        self.ready: queue.Queue[T | _End] = queue.Queue(depth)
        self.stopped = threading.Event()

    def run(self) -> None:
        try:
            for item in self.source:
                self.put(item)
                if self.stopped.is_set():
                    return
            self.put(_End())
        except BaseException as error:  # handed over and raised by the one who waits
            self.put(_End(error))

    def put(self, item: T | _End) -> None:
        """Wait for room, but not for a consumer that has left."""
        while not self.stopped.is_set():
            try:
                self.ready.put(item, timeout=0.1)
            except queue.Full:
                continue
            return


def prefetched(source: Iterator[T], depth: int) -> Generator[T]:
    """`source`, run by a thread that stays at most `depth` ahead; its errors are raised here."""
    reader = _Reader(source, depth)
    reader.start()
    try:
        while not isinstance(item := reader.ready.get(), _End):
            yield item
        if item.error is not None:
            raise item.error
    finally:
        reader.stopped.set()
        reader.join()
