"""Asking a network batch after batch: no dropout, no gradients, on a CPU several at a time.

Two threads of torch's on one batch meet at every time step of the recurrence and mostly wait to be
woken; two batches in a thread each never meet (1.2 to 1.5 times as fast on two cores). What a batch
frees stays with the process, where the next one takes it (`training.memory`: 1.4 to 1.6 times), as
far as threads can be had that draw from there.
"""

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future
from itertools import chain, cycle, islice
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

    On a CPU one more than is worked on is read ahead. A GPU is asked one by one from the thread
    that iterates, as is a single batch and on a single core; otherwise threads ask, which take
    nothing over of that thread's own (autocast). An error of `given` or of an answer is raised
    here.

    Args:
        model: who is asked; it does not learn meanwhile, and is left in the mode that it was in.
        ask: from any thread, and from several at a time; it may read the model and what it is
            given, and change nothing that another call sees.
        given: batches, or whatever `ask` takes; read in the thread that iterates. A generator is
            closed in the end, read to its own or not.
    """
    keep_freed_memory()
    on_cpu = next(model.parameters()).device.type == "cpu"

    def without_gradients(one: T) -> R:
        with torch.inference_mode():
            return ask(one)

    left = iter(given)
    mode = model.training
    model.eval()
    try:
        first = list(islice(left, min(AT_ONCE, torch.get_num_threads()) if on_cpu else 1))
        count, left = len(first), chain(iter(first), left)  # a chain holds a list, read or not
        del first  # and this frame would hold the batches until the last one is told
        found = _side_by_side if count > 1 else _one_by_one
        yield from found(without_gradients, count, left)
    finally:
        model.train(mode)
        if isinstance(given, Generator):
            given.close()


def _one_by_one(ask: Callable[[T], R], _: int, given: Iterable[T]) -> Iterator[tuple[T, R]]:
    for one in given:
        yield one, ask(one)


def _side_by_side(ask: Callable[[T], R], count: int, given: Iterable[T]) -> Iterator[tuple[T, R]]:
    cores = torch.get_num_threads()
    crew = threads("dupn-answers", [(cores + place) // count for place in range(count)])
    under_way: deque[tuple[T, Future[R]]] = deque()
    try:
        for thread, one in zip(cycle(crew), given, strict=False):
            under_way.append((one, thread.submit(ask, one)))
            if len(under_way) > count:
                yield _told(under_way)
        while under_way:
            yield _told(under_way)
    finally:
        for thread in crew:
            thread.shutdown(cancel_futures=True)


def _told(under_way: deque[tuple[T, Future[R]]]) -> tuple[T, R]:
    one, answer = under_way.popleft()
    try:
        return one, answer.result()
    finally:
        del answer  # its error would hold this frame, and the frame the error: a ring of batches
