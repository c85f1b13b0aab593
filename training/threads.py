"""Threads that share the cores: each has some of torch's own threads, and no more."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import torch

from training import memory


def threads(name: str, each: Sequence[int]) -> list[ThreadPoolExecutor]:
    """Single threads, as `training.memory` makes them, in which torch works with some of its own.

    Asked for from a thread that has torch's usual number of them: others have it afterwards.

    Args:
        name: what theirs begin with.
        each: by thread: of torch's threads, one of which is the thread itself.
    """
    found = memory.threads(len(each), name)
    usual = torch.get_num_threads()
    try:
        for thread, count in zip(found, each, strict=True):  # in turn: torch forgets caches
            thread.submit(_work_with, count).result()
    finally:
        torch.set_num_threads(usual)  # of everybody else, and of threads that begin later
    return found


def _work_with(count: int) -> None:
    """So many of torch's threads for this one, for good: torch asks its process again but once."""
    torch.set_num_threads(count)
    torch.get_num_threads()
