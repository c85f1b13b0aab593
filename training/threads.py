"""Threads that share the cores: each has some of torch's own threads, and no more."""

from concurrent.futures import ThreadPoolExecutor

import torch

from training import memory


def threads(count: int, name: str, each: int = 1) -> list[ThreadPoolExecutor]:
    """Single threads, as `training.memory` makes them, in which torch works with `each` threads.

    Args:
        count: of them.
        name: what theirs begin with.
        each: of torch's threads, one of which is the thread itself.
    """
    found = memory.threads(count, name)
    usual = torch.get_num_threads()
    for thread in found:  # one after the other: torch forgets caches as it is told
        thread.submit(_work_with, each).result()
    torch.set_num_threads(usual)  # of everybody else, and of threads that begin later
    return found


def _work_with(count: int) -> None:
    """So many of torch's threads for this one, for good: torch asks its process again but once."""
    torch.set_num_threads(count)
    torch.get_num_threads()
