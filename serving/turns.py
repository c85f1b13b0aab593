"""Whose turn it is: a bounded queue in front of the network, which sheds rather than collapses.

Each process computes one request at a time (a second one would only share the core). A request that
finds the queue full, or has waited too long, is turned away at once: those that are accepted keep
their latency, and the memory of waiting requests is bounded. Nor is anything computed, or logged as
shown, for a caller whose connection was reset meanwhile.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from starlette.requests import ClientDisconnect

from infra.errors import ServingUnavailable
from serving import meters

T = TypeVar("T")


class Turns:
    """One computing thread and a queue before it.

    Args:
        queue: requests that may wait.
        timeout_s: longest wait.
    """

    def __init__(self, queue: int, timeout_s: float) -> None:
        self.queue = queue
        self.timeout_s = timeout_s
        self.waiting = 0
        self._turn = asyncio.Semaphore(1)
        self._pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="network")

    @property
    def full(self) -> bool:
        """Whether the next request would be turned away."""
        return self.waiting >= self.queue

    async def take(self, work: Callable[[], T], is_gone: Callable[[], Awaitable[bool]]) -> T:
        """Compute when it is our turn.

        Args:
            work: done in the computing thread.
            is_gone: whether nobody is there any more; asked of those who have waited.

        Raises:
            ServingUnavailable: too many wait, or we waited too long.
            ClientDisconnect: nobody is there any more.
        """
        begin = time.perf_counter()
        waited = self._turn.locked()
        if waited:
            await self._wait()
        else:
            await self._turn.acquire()
        turn = time.perf_counter()
        meters.WAIT.observe(turn - begin)
        try:
            if waited and await is_gone():
                raise ClientDisconnect
            return await asyncio.get_running_loop().run_in_executor(self._pool, work)
        finally:
            self._turn.release()
            meters.WORK.observe(time.perf_counter() - turn)

    async def _wait(self) -> None:
        if self.full:
            meters.SHED.labels("queue").inc()
            raise ServingUnavailable(
                f"{self.waiting} requests wait already. Ask again in a second."
            )
        self.waiting += 1
        try:
            await asyncio.wait_for(self._turn.acquire(), self.timeout_s)
        except TimeoutError:
            meters.SHED.labels("timeout").inc()
            raise ServingUnavailable(
                f"it was not this request's turn within {self.timeout_s:g} s. Ask again."
            ) from None
        finally:
            self.waiting -= 1

    def close(self) -> None:
        """Let what runs end."""
        self._pool.shutdown(wait=True)
