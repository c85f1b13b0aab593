"""A batch on several cores: shards of it, each forward and backward in a thread of its own.

A step is some hundreds of operators, most of them small. Threads of OpenMP meet at each of them;
they sleep while they wait, since spinning takes cores from everybody else, and being woken costs a
good part of what the second core saves. Shards meet once a step.

What is learnt is the same, of a network that answers each moment by itself. Losses are means over
the questions of the whole batch, so a shard's count by its share of those, and gradients add up,
always in the same order. But dropout draws otherwise (every shard from a generator of its own,
which is seeded at each step from torch's) and sums are rounded otherwise: the number of shards is
part of a recipe, the number of cores is not.

Axes are the first letters of shape suffixes, see `training.batch`.
"""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import wait
from dataclasses import dataclass, fields
from typing import TypeVar

import torch
from torch import Tensor

from training.batch import Batch, Items
from training.config import Task
from training.model.dropout import drawing_from
from training.model.network import Outputs
from training.threads import threads

T = TypeVar("T")

MOMENTS = {"C": "cand_moment_C", "K": "price_moment_K", "I": "icon_moment_I", "S": "shop_moment_S"}
"""By axis of questions: the column that says to which moment each belongs."""
ASKED = {Task.CTR: "C", Task.L2R: "C", Task.PPP: "K", Task.FIFP: "I", Task.SPP: "S"}
"""The axis of a task's questions."""


@dataclass(frozen=True)
class Shard:
    """Some moments of a batch with all their questions, and where those stand in it."""

    batch: Batch
    rows: Mapping[str, Tensor]
    """By axis: places in the whole batch."""
    shares: Mapping[Task, float]
    """Of each task's questions; what the mean loss of the shard counts by."""


class Shards:
    """Threads that each work on a shard, with one thread of torch's.

    Args:
        count: of them; 2 or more.
    """

    def __init__(self, count: int) -> None:
        self.count = count
        self._threads = threads("dupn-shard", [1] * count)

    def each(self, work: Callable[[Shard], T], batch: Batch) -> list[tuple[Shard, T]]:
        """`work` done on every shard of a batch, in their order; an error of one is raised."""
        shards = split(batch, self.count)
        seeds = torch.randint(1 << 62, (len(shards),)).tolist()

        def seeded(shard: Shard, seed: int) -> T:
            with drawing_from(torch.Generator().manual_seed(seed)):
                return work(shard)

        told = zip(self._threads, shards, seeds, strict=False)  # a shard is a moment at least
        under_way = [thread.submit(seeded, shard, seed) for thread, shard, seed in told]
        wait(under_way)
        return [(shard, one.result()) for shard, one in zip(shards, under_way, strict=True)]


def split(batch: Batch, count: int) -> list[Shard]:
    """Shards of nearly equal numbers of moments, in order; at most one a moment."""
    bounds = torch.arange(batch.size).tensor_split(max(1, min(count, batch.size)))
    return [_shard(batch, moments_B) for moments_B in bounds]


def _shard(batch: Batch, moments_B: Tensor) -> Shard:
    first, past = int(moments_B[0]), int(moments_B[-1]) + 1
    rows = {"B": moments_B}
    for axis, name in MOMENTS.items():
        moment_N = getattr(batch, name)
        rows[axis] = torch.nonzero((moment_N >= first) & (moment_N < past)).squeeze(1)
    found = {
        f.name: value[rows[axis_of(f.name)]]
        for f in fields(batch)
        if isinstance(value := getattr(batch, f.name), Tensor)
    }
    for name in MOMENTS.values():
        found[name] -= first
    items, place_U = _met(batch.items, found["seq_BT"], found["cand_C"])
    found |= {name: place_U[found[name]] for name in ("seq_BT", "cand_C")}
    whole = {axis: max(len(getattr(batch, name)), 1) for axis, name in MOMENTS.items()}
    shares = {task: len(rows[axis]) / whole[axis] for task, axis in ASKED.items()}
    return Shard(Batch(items=items, **found), rows, shares)


def axis_of(name: str) -> str:
    """Of the rows of a tensor, by its name."""
    return name.rsplit("_", 1)[1][0]


def _met(items: Items, *places: Tensor) -> tuple[Items, Tensor]:
    """The items at these places, and padding; and where each of all items stands among them."""
    met_U = torch.zeros(len(items.item_U), dtype=torch.bool)
    met_U[0] = True
    for place in places:
        met_U[place] = True
    kept = {f.name: getattr(items, f.name)[met_U] for f in fields(Items)}
    return Items(**kept), met_U.cumsum(0) - 1


def joined(said: Sequence[tuple[Shard, Outputs]]) -> Outputs:
    """The answers to a whole batch from those to its shards, without their graphs."""
    found = {}
    for name in (f.name for f in fields(Outputs)):
        order = torch.cat([shard.rows[axis_of(name)] for shard, _ in said])
        answers = torch.cat([getattr(outputs, name).detach() for _, outputs in said])
        found[name] = torch.empty_like(answers).index_copy_(0, order, answers)
    return Outputs(**found)
