"""One step of learning: losses of all tasks, one gradient, one move (Section 4.3, multi-task)."""

import functools
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any, NamedTuple

import torch
from torch import Tensor

from infra.errors import TrainingError
from training.batch import Batch, VocabularySizes
from training.config import ModelConfig, Task, TrainConfig
from training.memory import keep_freed_memory
from training.model import click_prices, first_sight
from training.model.dupn import Dupn
from training.model.network import Network, Outputs
from training.optim import Optimizer
from training.shards import Shard, Shards, joined


class Step(NamedTuple):
    """What the network said before it learnt from the batch, of purchases alone in PPP.

    The losses are means over its questions, whatever its moments weigh in learning.
    """

    outputs: Outputs
    losses: Mapping[Task, float]


class _Pull(NamedTuple):
    """What a shard says, and what it adds."""

    outputs: Outputs
    losses: Mapping[Task, Tensor]
    gradients: Sequence[Tensor | None]


class Learner:
    """Network and optimizer, fresh from a seed.

    Args:
        model_config: dimensions.
        train_config: tasks, rates, precision.
        sizes: rows of the embedding tables.
        seed: of the first weights and of dropout.
        build: makes the network.
    """

    def __init__(
        self,
        model_config: ModelConfig,
        train_config: TrainConfig,
        sizes: VocabularySizes,
        seed: int,
        build: Callable[[ModelConfig, VocabularySizes], Network] = Dupn,
    ) -> None:
        if train_config.threads is not None:
            torch.set_num_threads(train_config.threads)
        keep_freed_memory()
        torch.manual_seed(seed)
        self.config = train_config
        self.left_out: frozenset[Task] = frozenset()
        """Tasks that no batch will ask: they move nothing, and do not judge."""
        self.asked: set[Task] = set()
        """Tasks that were learnt, because a batch asked them."""
        self.device = pick_device(train_config)
        self.model = build(model_config, sizes).to(self.device)
        self.model.learns(train_config.tasks)
        self.ranks_unseen = first_sight.matters(self.model, train_config)
        self.optimizer = Optimizer.of(self.model, train_config)
        self.shards = self._shards(train_config.shards)

    def begin_with(
        self, weights: Mapping[str, Tensor], optimizer: Mapping[str, Any], decay: float
    ) -> None:
        """Take over another run's weights and sums of squared gradients, the sums times `decay`."""
        self.model.load_state_dict(weights)
        self.optimizer.load_state_dict(optimizer)
        self.optimizer.decay(decay)

    def learn(self, batch: Batch, step: int, *, seen: bool = False) -> Step:
        """Move the weights by one batch.

        Args:
            batch: what to learn from.
            step: number of the step, for errors.
            seen: this run learnt from the batch's moments before.

        Raises:
            TrainingError: a loss is not a number; the weights are left as they were.
        """
        self.model.train()
        moved = batch.to(self.device)
        with self.autocast():
            asked = self._as_learnt(moved, seen)
        pulled = self._pulled if self.shards is None else self._pulled_apart
        outputs, values = pulled(asked, f"at step {step}")
        self.optimizer.step()
        self.asked |= outputs.asked & (values.keys() - self.left_out)
        return self._told(outputs, moved, asked, values)

    def _pulled(self, batch: Batch, where: str) -> tuple[Outputs, dict[Task, float]]:
        """Answers, losses, and a gradient at every weight."""
        outputs, losses = self._answered(batch)
        values = _finite(losses, where)
        self.optimizer.zero_grad()
        self._total(losses).backward()
        return outputs, values

    def _pulled_apart(self, batch: Batch, where: str) -> tuple[Outputs, dict[Task, float]]:
        """The same by shards of the batch."""
        assert self.shards is not None
        said = self.shards.each(self._of_shard, batch)
        found = [one for _, one in said]
        losses = {
            task: torch.stack([one.losses[task] for one in found]).sum() for task in found[0].losses
        }
        values = _finite(losses, where)
        self.optimizer.zero_grad()
        for weight, *parts in zip(self._weights(), *(one.gradients for one in found), strict=True):
            given = [part for part in parts if part is not None]
            weight.grad = functools.reduce(torch.add, given) if given else None
        return joined([(shard, one.outputs) for shard, one in said]), values

    def _of_shard(self, shard: Shard) -> "_Pull":
        """What a shard adds to losses and gradients of its batch."""
        outputs, means = self._answered(shard.batch)
        losses = {task: loss * shard.shares[task] for task, loss in means.items()}
        total, weights = self._total(losses), self._weights()
        gradients = torch.autograd.grad(total, weights, allow_unused=True)
        return _Pull(outputs, {task: loss.detach() for task, loss in losses.items()}, gradients)

    def _answered(self, batch: Batch) -> tuple[Outputs, dict[Task, Tensor]]:
        with self.autocast():
            outputs = self.model(batch)
            return outputs, self.model.losses(outputs, batch, self.config.tasks)

    def _total(self, losses: Mapping[Task, Tensor]) -> Tensor:
        """What is learnt from: the tasks' losses as the settings weigh them."""
        kept = {task: loss for task, loss in losses.items() if task not in self.left_out}
        weighed = [self.config.weights.get(task, 1.0) * loss for task, loss in kept.items()]
        return torch.stack(weighed).sum()

    def _weights(self) -> list[Tensor]:
        return [weight for weight in self.model.parameters() if weight.requires_grad]

    def _shards(self, count: int) -> Shards | None:
        """None where a batch is learnt from as a whole.

        A GPU is faster so, what moves itself hears of gradients as they come, not of a sum, and
        what looks at all moments of a batch together would learn something else.
        """
        apart = self.device == "cpu" and not self.optimizer.others and self.model.by_moment
        return Shards(count) if apart and count > 1 else None

    @torch.inference_mode()
    def judge(self, batch: Batch, of: str = "the moments that judge") -> Step:
        """Answers and losses without learning or dropout.

        Args:
            batch: to be answered.
            of: what it belongs to, for errors.

        Raises:
            TrainingError: a loss is not a number.
        """
        self.model.eval()
        moved = replace(batch.to(self.device), weight_B=None)
        with self.autocast():
            outputs = self.model(moved)
            losses = self.model.losses(outputs, moved, self.config.tasks)
        return Step(outputs, _finite(losses, f"on {of}"))

    def autocast(self) -> AbstractContextManager[None]:
        """Matrix products in bf16 where the setting says so; losses stay in fp32.

        What is cast is not kept where shards work: they would share it, by who comes first.
        """
        wanted, kept = self.config.precision == "bf16", self.shards is None
        return torch.autocast(self.device, torch.bfloat16, enabled=wanted, cache_enabled=kept)

    def _as_learnt(self, batch: Batch, seen: bool) -> Batch:
        """The batch as it is learnt from: PPP may be asked more, L2R less."""
        if self.ranks_unseen:
            batch = first_sight.weigh(batch, seen)
        if Task.PPP not in self.config.tasks:
            return batch
        return click_prices.ask(batch, self.config.click_prices)

    @torch.no_grad()
    def _told(
        self, outputs: Outputs, batch: Batch, asked: Batch, losses: Mapping[Task, float]
    ) -> Step:
        """What is told of a step: the batch's own questions, as validation asks them.

        A day of less weight moves the weights less; it is answered no better for that.
        """
        weighed = batch.weight_B is not None
        otherwise = {
            Task.L2R: asked.cand_weight_C is not batch.cand_weight_C,
            Task.PPP: asked.price_level_K is not batch.price_level_K,
        }
        tasks = [task for task in losses if weighed or otherwise.get(task, False)]
        told = click_prices.without(outputs, batch)
        with self.autocast():
            own = self.model.losses(told, replace(batch, weight_B=None), tasks)
        return Step(told, {**losses, **{task: float(loss) for task, loss in own.items()}})


def _finite(losses: Mapping[Task, Tensor], where: str) -> dict[Task, float]:
    found = torch.stack([loss.detach().float() for loss in losses.values()]).tolist()
    values = dict(zip(losses, found, strict=True))
    broken = [task for task, value in values.items() if not abs(value) < float("inf")]
    if broken:
        raise TrainingError(
            f"the {broken[0]} loss is {values[broken[0]]} {where}. "
            "Lower train.learning_rate, or look for broken features in the samples."
        )
    return values


def pick_device(config: TrainConfig) -> str:
    """`cuda` or `cpu`.

    Raises:
        TrainingError: CUDA is asked for and absent.
    """
    present = torch.cuda.is_available()
    if config.device == "cuda" and not present:
        raise TrainingError(
            "train.device is cuda, but torch sees no GPU. Set train.device=cpu, or mend the driver."
        )
    return "cuda" if present and config.device != "cpu" else "cpu"
