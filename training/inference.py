"""Asking a network batch after batch: no dropout, no gradients, on a CPU several at a time.

Two threads of torch's on one batch meet at every time step of the recurrence and mostly wait to be
woken; two batches in a thread each never meet (1.2 to 1.5 times as fast on two cores). What a batch
frees stays with the process, where the next one takes it (`training.memory`: 1.4 to 1.6 times).
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from typing import TypeVar

import torch

from training.memory import keep_freed_memory
from training.model.network import Network
from training.threads import threads

T = TypeVar("T")
R = TypeVar("R")

AT_ONCE = 4
"""Batches that are worked on at a time, at most; memory grows with them, not with the cores."""


def answered(model: Network, ask: Callable[[T], R], given: Iterable[T]) -> Iterator[tuple[T, R]]:
    """What is given, each with its answer, in the order in which it is given.

    One more than is worked on is read ahead. An error of `given` or of an answer is raised here.

    Args:
        model: who is asked; it does not learn meanwhile, and is left in the mode that it was in.
        ask: from any thread, and from several at a time; it may read the model and what it is
            given, and change nothing that another call sees.
        given: batches, or whatever `ask` takes; read in the thread that iterates.
    """
    keep_freed_memory()
    cores, on_cpu = torch.get_num_threads(), next(model.parameters()).device.type == "cpu"
    count = min(AT_ONCE, cores) if on_cpu else 1
    crew = threads(count, "dupn-answers", cores // count)
    under_way: deque[tuple[T, Future[R]]] = deque()
    mode = model.training
    model.eval()
    try:
        for place, one in enumerate(given):
            under_way.append((one, crew[place % count].submit(_without_gradients, ask, one)))
            if len(under_way) > count:
                yield _told(under_way)
        while under_way:
            yield _told(under_way)
    finally:
        for thread in crew:
            thread.shutdown(cancel_futures=True)
        model.train(mode)


def _without_gradients(ask: Callable[[T], R], one: T) -> R:
    with torch.inference_mode():
        return ask(one)


def _told(under_way: deque[tuple[T, "Future[R]"]]) -> tuple[T, R]:
    one, answer = under_way.popleft()
    return one, answer.result()
