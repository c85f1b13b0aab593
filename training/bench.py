"""`dupn bench train`: what a training step costs, against what it could cost.

All work on the same made-up moments at the paper's dimensions, full-length histories, with AdaGrad:
the network in fp32 and bf16, the same network with its recurrence as a Python loop, and
DeepCTR-Torch's DIN and DIEN, which take one row a candidate. Rounds are interleaved (each takes one
step in turn, with a matrix product for the machine's peak), and ratios are formed within a round,
so that other load on the machine falls on both sides.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import median
from typing import Any, Literal

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

Seconds = dict[str, float]
Measure = Callable[[Seconds], float]


@dataclass(frozen=True)
class Effort:
    """How much to measure."""

    batch: int
    length: int
    rounds: int
    matrix: int


FULL = Effort(batch=1024, length=100, rounds=5, matrix=2048)
QUICK = Effort(batch=16, length=10, rounds=2, matrix=256)


@dataclass(frozen=True)
class Contestant:
    """One way of training, and what one step of it gets through."""

    step: Callable[[], object]
    sequences: int
    candidates: int


def run(quick: bool) -> list[dict[str, Any]]:
    """Figures of `{name, value, low, high, unit, protocol}`; low and high over the rounds."""
    effort = QUICK if quick else FULL
    keep_freed_memory()
    contestants = _contestants(effort)
    for contestant in contestants.values():
        contestant.step()
    peaks = {precision: _Product(effort.matrix, precision) for precision in PRECISIONS}
    rounds = [
        {name: _seconds(c.step) for name, c in contestants.items()}
        | {f"peak.{precision}": peak.seconds() for precision, peak in peaks.items()}
        for _ in range(effort.rounds)
    ]
    return _figures(contestants, peaks, rounds, effort)


def _contestants(effort: Effort) -> dict[str, Contestant]:
    config = ModelConfig()
    batches = {
        candidates: synthetic_batch(
            SIZES, Shape(moments=effort.batch, length=effort.length, candidates=candidates), seed=1
        )
        for candidates in (1, 10)
    }
    ours = {
        f"{precision}.c{candidates}": _dupn(config, precision, batch, loop=False)
        for precision in PRECISIONS
        for candidates, batch in batches.items()
    }
    ours |= {
        f"loop.{precision}": _dupn(config, precision, batches[10], loop=True)
        for precision in PRECISIONS
    }
    theirs = {
        kind: _deepctr(kind, config, batches[10], min(effort.batch, 1024)) for kind in deepctr.KINDS
    }
    return ours | theirs


def _dupn(config: ModelConfig, precision: Precision, batch: Batch, *, loop: bool) -> Contestant:
    """The real training step: all four tasks, clipping, L2, both optimizers."""
    learner = Learner(config, TrainConfig(precision=precision, device="cpu"), SIZES, seed=0)
    if loop:
        learner.model.lstm = LoopLSTM(config.e_dim, config.p_dim, config.hidden_dim)
        learner.optimizer = Optimizer.of(learner.model, learner.config)
    return Contestant(lambda: learner.learn(batch, 0), batch.size, len(batch.cand_C))


def _deepctr(kind: deepctr.Kind, config: ModelConfig, batch: Batch, rows: int) -> Contestant:
    """Theirs on the first `rows` candidates: forward, log loss, backward, AdaGrad."""
    model = deepctr.build(kind, config, SIZES, batch.seq_BT.shape[1])
    inputs, clicked = deepctr.rows(model, batch, rows), batch.cand_clicked_C[:rows]
    optimizer = torch.optim.Adagrad(model.parameters(), lr=1e-3)

    def step() -> None:
        optimizer.zero_grad()
        loss: Tensor = torch.nn.functional.binary_cross_entropy(model(inputs).squeeze(1), clicked)
        loss.backward()  # type: ignore[no-untyped-call]  # torch does not type it
        optimizer.step()

    return Contestant(step, rows, rows)


class _Product:
    """A square matrix product: what the machine can do at best."""

    def __init__(self, size: int, precision: Precision) -> None:
        dtype = torch.float32 if precision == "fp32" else torch.bfloat16
        self.left, self.right = torch.randn(2, size, size).to(dtype)
        self.flop = 2 * size**3

    def seconds(self) -> float:
        """The best of five: the peak, not the average."""
        return min(_seconds(lambda: self.left @ self.right) for _ in range(5))


def _seconds(step: Callable[[], object]) -> float:
    start = time.perf_counter()
    step()
    return time.perf_counter() - start


def step_flop(config: ModelConfig, length: int) -> int:
    """Multiplications and additions of one sequence's training step in recurrence and attention.

    Forward, and twice that backward. Without the block that is held at zero, the heads and the
    embeddings, which the step also computes: the share of the peak is a lower bound.
    """
    gates = 4 * config.hidden_dim * (config.e_dim + config.hidden_dim)
    gates += 3 * config.hidden_dim * config.p_dim
    attention = config.attention_dim * (config.hidden_dim + config.p_dim + 1) + config.hidden_dim
    return 3 * 2 * length * (gates + attention)


def _figures(
    contestants: Mapping[str, Contestant],
    peaks: Mapping[Precision, _Product],
    rounds: list[Seconds],
    effort: Effort,
) -> list[dict[str, Any]]:
    wanted: list[tuple[str, str, Measure]] = []
    flop = step_flop(ModelConfig(), effort.length) * effort.batch
    for name, contestant in contestants.items():
        if name not in deepctr.KINDS:
            rate = _rate(name, contestant.sequences)
            wanted.append((f"{name}.sequences_per_s", "1/s", rate))
        rate = _rate(name, contestant.candidates)
        wanted.append((f"{name}.candidates_per_s", "1/s", rate))
    for precision, peak in peaks.items():
        best, ours = _rate(f"peak.{precision}", peak.flop / 1e9), f"{precision}.c10"
        wanted.append((f"peak.{precision}.gflop_per_s", "GFLOP/s", best))
        wanted.append((f"{ours}.share_of_peak", "share", _ratio(_rate(ours, flop / 1e9), best)))
        for other in (f"loop.{precision}", *deepctr.KINDS):
            ratio = _ratio(
                _rate(ours, contestants[ours].candidates),
                _rate(other, contestants[other].candidates),
            )
            wanted.append((f"{ours}.over_{other.split('.')[0]}", "x", ratio))
    return [_figure(name, unit, measure, rounds, effort) for name, unit, measure in wanted]


def _rate(name: str, amount: float) -> Measure:
    return lambda seconds: amount / seconds[name]


def _ratio(ours: Measure, theirs: Measure) -> Measure:
    return lambda seconds: ours(seconds) / theirs(seconds)


def _figure(
    name: str, unit: str, measure: Measure, rounds: list[Seconds], effort: Effort
) -> dict[str, Any]:
    values = [measure(seconds) for seconds in rounds]
    protocol = (
        f"training steps of {effort.batch} moments (DeepCTR-Torch: rows), histories of "
        f"{effort.length}, the paper's dimensions, {torch.get_num_threads()} threads; "
        f"median and range of {effort.rounds} interleaved rounds"
    )
    numbers = {"value": median(values), "low": min(values), "high": max(values)}
    return {"name": f"train.{name}", **numbers, "unit": unit, "protocol": protocol}
