"""A few calls at once within one worker: Arrow, NumPy and zstd let go of the interpreter lock.

A local Beam runner works through a bundle on one core, and handing whole buckets to a second
process costs more than it saves on a small machine; two threads in the same process cost nothing.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, TypeVar

A = TypeVar("A")
B = TypeVar("B")


class Threads(Generic[A, B]):
    """Calls of `work`, at most `count` at a time and as many waiting; results come in order."""

    def __init__(self, work: Callable[[A], B], count: int) -> None:
        self.work, self.count = work, count
        self.pool = ThreadPoolExecutor(count) if count > 1 else None
        self.pending: deque[Future[B]] = deque()

    def put(self, item: A) -> Iterator[B]:
        """Begin with `item`; yields results that are due."""
        if self.pool is None:
            yield self.work(item)
            return
        self.pending.append(self.pool.submit(self.work, item))
        while len(self.pending) > self.count:
            yield self.pending.popleft().result()

    def rest(self) -> Iterator[B]:
        """Wait for all that were begun."""
        while self.pending:
            yield self.pending.popleft().result()

    def map(self, items: Iterable[A]) -> Iterator[B]:
        """All results of `items`, in order."""
        for item in items:
            yield from self.put(item)
        yield from self.rest()

    def close(self) -> None:
        """Give the threads back; what has not begun is dropped."""
        self.pending.clear()
        if self.pool is not None:
            self.pool.shutdown(cancel_futures=True)
            self.pool = None
