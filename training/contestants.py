"""Who takes part in `dupn bench train`, and how one training step of each is timed.

All work on the same made-up moments at the paper's dimensions, full-length histories, with AdaGrad:
the network in fp32 and bf16, the same by a shard a core (`training.shards`), with its recurrence as
a Python loop, and DeepCTR-Torch's DIN and DIEN, which take one row a candidate. The two models of
others run twice: beside ours, with freed memory kept (`training.memory`, of which they gain more
than we do), and as they come, in a process of their own, because what is freed under one rule
cannot be had back under the other.
"""

import multiprocessing
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Literal

import torch
from torch import Tensor

from training.baselines import deepctr
from training.baselines.loop import LoopLSTM
from training.baselines.synthetic import Shape, synthetic_batch
from training.batch import Batch, VocabularySizes
from training.config import ModelConfig, TrainConfig
from training.learner import Learner
from training.memory import keep_freed_memory
from training.optim import Optimizer

Precision = Literal["fp32", "bf16"]
PRECISIONS: tuple[Precision, Precision] = ("fp32", "bf16")
CANDIDATES = (1, 10)
SIZES = VocabularySizes(
    item=100_000,
    brand=10_000,
    shop=20_000,
    category=1_000,
    tag=5_000,
    token=3_000,
    icon=300,
    profile=(10, 10, 10, 10),
    ranking_features=24,
)
"""Small: DeepCTR-Torch's tables have dense gradients, and large ones would only slow it down."""
KEPT = "_kept"
"""Ends the name of a model of others that runs with freed memory kept."""


@dataclass(frozen=True)
class Effort:
    """How much to measure."""

    batch: int
    length: int
    rounds: int
    matrix: int
    warm_up: int = 2
    """Rounds before those that count."""


FULL = Effort(batch=1024, length=100, rounds=5, matrix=2048)
QUICK = Effort(batch=16, length=10, rounds=2, matrix=256, warm_up=1)


@dataclass(frozen=True)
class Contestant:
    """One way of training, and what one step of it gets through."""

    seconds: Callable[[], float]
    sequences: int
    candidates: int


@contextmanager
def all_of(effort: Effort) -> Iterator[Mapping[str, Contestant]]:
    """Everybody by name; the process of those that run as they come ends with the block."""
    keep_freed_memory()
    config = ModelConfig()
    batches = {candidates: _batch(effort, candidates) for candidates in CANDIDATES}
    found = {
        f"{precision}.c{candidates}": _dupn(config, precision, batch)
        for precision in PRECISIONS
        for candidates, batch in batches.items()
    }
    for precision in PRECISIONS:
        found[f"loop.{precision}"] = _dupn(config, precision, batches[10], loop=True)
        cores = max(2, torch.get_num_threads())
        found[f"shards.{precision}"] = _dupn(config, precision, batches[10], shards=cores)
    theirs = _theirs(effort)
    found |= {name + KEPT: one for name, one in theirs.items()}
    with _elsewhere(effort) as ask:
        for name, one in theirs.items():
            found[name] = Contestant(ask(name), one.sequences, one.candidates)
        yield found


def timed(step: Callable[[], object]) -> float:
    """Seconds on the clock."""
    start = time.perf_counter()
    step()
    return time.perf_counter() - start


def _batch(effort: Effort, candidates: int) -> Batch:
    shape = Shape(moments=effort.batch, length=effort.length, candidates=candidates)
    return synthetic_batch(SIZES, shape, seed=1)


def _dupn(
    config: ModelConfig,
    precision: Precision,
    batch: Batch,
    *,
    loop: bool = False,
    shards: int = 1,
) -> Contestant:
    """The real training step: all four tasks, clipping, L2, both optimizers."""
    train = TrainConfig(precision=precision, device="cpu", shards=shards)
    learner = Learner(config, train, SIZES, seed=0)
    if loop:
        learner.model.lstm = LoopLSTM(config.e_dim, config.p_dim, config.hidden_dim)
        learner.optimizer = Optimizer.of(learner.model, learner.config)
    return Contestant(lambda: timed(lambda: learner.learn(batch, 0)), batch.size, len(batch.cand_C))


def _theirs(effort: Effort) -> dict[str, Contestant]:
    """DIN and DIEN on as many candidates as we have moments."""
    batch, config = _batch(effort, 10), ModelConfig()
    return {kind: _deepctr(kind, config, batch, effort.batch) for kind in deepctr.KINDS}


def _deepctr(kind: deepctr.Kind, config: ModelConfig, batch: Batch, rows: int) -> Contestant:
    """Forward, log loss, backward, AdaGrad."""
    model = deepctr.build(kind, config, SIZES, batch.seq_BT.shape[1])
    inputs, clicked = deepctr.rows(model, batch, rows), batch.cand_clicked_C[:rows]
    optimizer = torch.optim.Adagrad(model.parameters(), lr=1e-3)

    def step() -> None:
        optimizer.zero_grad()
        loss: Tensor = torch.nn.functional.binary_cross_entropy(model(inputs).squeeze(1), clicked)
        loss.backward()
        optimizer.step()

    return Contestant(lambda: timed(step), rows, rows)


@contextmanager
def _elsewhere(effort: Effort) -> Iterator[Callable[[str], Callable[[], float]]]:
    """A process that takes their steps when asked, under the C library's own rules."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=_serve, args=(there, effort), daemon=True)
    process.start()
    there.close()

    def ask(name: str) -> Callable[[], float]:
        def seconds() -> float:
            here.send(name)
            taken: float = here.recv()
            return taken

        return seconds

    try:
        yield ask
    finally:
        here.close()
        process.join()


def _serve(asked: Connection, effort: Effort) -> None:
    contestants = _theirs(effort)
    while True:
        try:
            name = asked.recv()
        except EOFError:
            return
        asked.send(contestants[name].seconds())
