"""`dupn bench train`: what a training step costs, against what it could cost.

Rounds are interleaved (each contestant takes one step in turn, with a matrix product for the
machine's peak), the first ones warm up and do not count, and ratios are formed within a round, so
that other load on the machine falls on both sides. Who takes part: `training.contestants`.
"""

from collections.abc import Callable, Mapping
from statistics import median
from typing import Any

import torch

from infra.progress import track
from training import contestants
from training.baselines import deepctr
from training.config import ModelConfig
from training.contestants import (
    CANDIDATES,
    FULL,
    KEPT,
    PRECISIONS,
    QUICK,
    Contestant,
    Effort,
    Precision,
    timed,
)

Seconds = Mapping[str, float]
Measure = Callable[[Seconds], float]
Wanted = list[tuple[str, str, Measure]]
"""Name, unit, and how the figure follows from the seconds of a round."""

THEIRS = tuple(f"{kind}{rule}" for kind in deepctr.KINDS for rule in ("", KEPT))


def run(quick: bool) -> list[dict[str, Any]]:
    """Figures of `{name, value, low, high, unit, protocol}`; low and high over the rounds."""
    effort = QUICK if quick else FULL
    peaks = {precision: _Product(effort.matrix, precision) for precision in PRECISIONS}
    count = effort.warm_up + effort.rounds
    rounds = []
    with (
        contestants.all_of(effort) as everybody,
        track("bench train", total=count, unit="rounds") as progress,
    ):
        for _ in range(count):
            rounds.append(
                {name: one.seconds() for name, one in everybody.items()}
                | {f"peak.{precision}": peak.seconds() for precision, peak in peaks.items()}
            )
            progress.advance()
    wanted = _rates(everybody) + _peaks(peaks, effort) + _ratios(everybody)
    counted = rounds[effort.warm_up :]
    return [_figure(name, unit, measure, counted, effort) for name, unit, measure in wanted]


class _Product:
    """A square matrix product: what the machine can do at best."""

    def __init__(self, size: int, precision: Precision) -> None:
        dtype = torch.float32 if precision == "fp32" else torch.bfloat16
        self.left, self.right = torch.randn(2, size, size).to(dtype)
        self.flop = 2 * size**3

    def seconds(self) -> float:
        """The best of five: the peak, not the average."""
        return min(timed(lambda: self.left @ self.right) for _ in range(5))


def step_flop(config: ModelConfig, length: int) -> int:
    """Multiplications and additions of one sequence's training step in recurrence and attention.

    Forward, and twice that backward. Without the block that is held at zero, the heads and the
    embeddings, which the step also computes: the share of the peak is a lower bound.
    """
    gates = 4 * config.hidden_dim * (config.e_dim + config.hidden_dim)
    gates += 3 * config.hidden_dim * config.p_dim
    attention = config.attention_dim * (config.hidden_dim + config.p_dim + 1) + config.hidden_dim
    return 3 * 2 * length * (gates + attention)


def _rates(everybody: Mapping[str, Contestant]) -> Wanted:
    """Sequences and candidates a second; of others, candidates."""
    wanted: Wanted = []
    for name, one in everybody.items():
        if name not in THEIRS:
            wanted.append((f"{name}.sequences_per_s", "1/s", _rate(name, one.sequences)))
        wanted.append((f"{name}.candidates_per_s", "1/s", _rate(name, one.candidates)))
    return wanted


def _peaks(peaks: Mapping[Precision, _Product], effort: Effort) -> Wanted:
    """The machine's peak, and our share of it."""
    wanted: Wanted = []
    flop = step_flop(ModelConfig(), effort.length) * effort.batch
    for precision, peak in peaks.items():
        best = _rate(f"peak.{precision}", peak.flop / 1e9)
        wanted.append((f"peak.{precision}.gflop_per_s", "GFLOP/s", best))
        for candidates in CANDIDATES:
            ours = f"{precision}.c{candidates}"
            share = _ratio(_rate(ours, flop / 1e9), best)
            wanted.append((f"{ours}.share_of_peak", "share", share))
    return wanted


def _ratios(everybody: Mapping[str, Contestant]) -> Wanted:
    """Candidates a second: ours over the loop's and others', those of shards over ours."""
    wanted: Wanted = []
    for precision in PRECISIONS:
        apart, whole = f"shards.{precision}", f"{precision}.c10"
        count = everybody[whole].candidates
        wanted.append(
            (f"{apart}.over_whole", "x", _ratio(_rate(apart, count), _rate(whole, count)))
        )
        for candidates in CANDIDATES:
            ours = f"{precision}.c{candidates}"
            others = {"loop": f"loop.{precision}"} if candidates == 10 else {}
            for label, other in {**others, **{name: name for name in THEIRS}}.items():
                ratio = _ratio(
                    _rate(ours, everybody[ours].candidates),
                    _rate(other, everybody[other].candidates),
                )
                wanted.append((f"{ours}.over_{label}", "x", ratio))
    return wanted


def _rate(name: str, amount: float) -> Measure:
    return lambda seconds: amount / seconds[name]


def _ratio(ours: Measure, theirs: Measure) -> Measure:
    return lambda seconds: ours(seconds) / theirs(seconds)


def _figure(
    name: str, unit: str, measure: Measure, rounds: list[dict[str, float]], effort: Effort
) -> dict[str, Any]:
    values = [measure(seconds) for seconds in rounds]
    protocol = (
        f"training steps of {effort.batch} moments (DeepCTR-Torch: rows), histories of "
        f"{effort.length}, the paper's dimensions, {torch.get_num_threads()} threads; median and "
        f"range of {effort.rounds} interleaved rounds after {effort.warm_up} to warm up; freed "
        "memory kept by the process, but for DIN and DIEN without _kept: as they come"
    )
    numbers = {"value": median(values), "low": min(values), "high": max(values)}
    return {"name": f"train.{name}", **numbers, "unit": unit, "protocol": protocol}
