"""AdaGrad (Section 5) for dense weights and for embedding tables of millions of rows.

A table's step costs what the batch touches, never the table: gradients come sparse, and L2 falls on
the touched rows only. The arithmetic is `torch.optim.Adagrad`'s, which is kept for the dense
weights; on sparse gradients torch's detours over sparse tensors (and refuses weight decay), so the
rows are updated here in place.

Sums of squared gradients start at 0, as torch's do. Those of TensorFlow 1, on which the paper ran,
start at 0.1, so that its first steps are smaller the smaller the gradient; the paper names neither.

A part of a network may move by a rule of its own (`SelfMoving`), after the same gradients.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from training.config import TrainConfig

EPSILON = 1e-10
"""torch.optim.Adagrad's."""


class SelfMoving(nn.Module):
    """A module whose weights are no parameters: it moves them itself, by its own optimizer."""

    def move(self) -> None:
        """After a backward pass: one step by the gradients that it brought."""
        raise NotImplementedError


class SparseAdagrad:
    """AdaGrad on embedding tables whose gradients name the touched rows.

    Args:
        tables: weights with sparse gradients, by name.
        lr: learning rate.
        l2: strength of 0.5 * l2 * |row|^2 for each row that the batch touches.
    """

    def __init__(self, tables: Mapping[str, nn.Parameter], lr: float, l2: float = 0.0) -> None:
        self.tables = dict(tables)
        self.lr = lr
        self.l2 = l2
        self.sums = {name: torch.zeros_like(table) for name, table in self.tables.items()}

    @torch.no_grad()
    def step(self) -> None:
        """Move the touched rows of every table."""
        for name, table in self.tables.items():
            if table.grad is None:
                continue
            rows, gradient = _touched(table.grad)
            if self.l2:
                gradient = gradient.add(table[rows], alpha=self.l2)
            total = self.sums[name][rows].addcmul_(gradient, gradient)
            self.sums[name][rows] = total
            change = gradient.div_(total.sqrt_().add_(EPSILON)).mul_(-self.lr)
            table.index_add_(0, rows, change)

    def zero_grad(self) -> None:
        """Forget the gradients."""
        for table in self.tables.values():
            table.grad = None

    def state_dict(self) -> dict[str, Tensor]:
        """Sums of squared gradients by table name."""
        return self.sums

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Take over the sums of another run; rows that it did not have yet start at zero."""
        for name, old in state.items():
            self.sums[name][: len(old)].copy_(old)


class Optimizer:
    """Both kinds of AdaGrad behind one `step`; dense gradients are clipped together.

    Args:
        dense: weights with ordinary gradients, by name.
        sparse: embedding tables, by name.
        config: learning rates, L2 and the clipping norm.
        others: parts that move themselves.
    """

    def __init__(
        self,
        dense: Mapping[str, nn.Parameter],
        sparse: Mapping[str, nn.Parameter],
        config: TrainConfig,
        others: Sequence[SelfMoving] = (),
    ) -> None:
        self.clip_norm = config.clip_norm
        self.others = tuple(others)
        weights = list(dense.values()) or [nn.Parameter(torch.zeros(0))]  # torch refuses none
        self.dense = torch.optim.Adagrad(
            weights, lr=config.learning_rate, weight_decay=config.l2, eps=EPSILON
        )
        own = config.embedding_learning_rate
        self.sparse = SparseAdagrad(
            sparse, config.learning_rate if own is None else own, config.embedding_l2
        )

    @classmethod
    def of(cls, model: nn.Module, config: TrainConfig) -> "Optimizer":
        """One for all trainable weights of a model, told apart by their layers' `sparse`."""
        tables = {
            f"{prefix}.{name}" if prefix else name
            for prefix, module in model.named_modules()
            if getattr(module, "sparse", False)
            for name, _ in module.named_parameters(recurse=False)
        }
        weights = {name: w for name, w in model.named_parameters() if w.requires_grad}
        dense = {name: weight for name, weight in weights.items() if name not in tables}
        sparse = {name: weight for name, weight in weights.items() if name in tables}
        others = [module for module in model.modules() if isinstance(module, SelfMoving)]
        return cls(dense, sparse, config, others)

    def step(self) -> None:
        """Clip, then move every weight that has a gradient."""
        if self.clip_norm:
            nn.utils.clip_grad_norm_(self._dense_weights(), self.clip_norm)
        self.dense.step()
        self.sparse.step()
        for part in self.others:
            part.move()

    def zero_grad(self) -> None:
        """Forget all gradients."""
        self.dense.zero_grad(set_to_none=True)
        self.sparse.zero_grad()

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint keeps."""
        return {"dense": self.dense.state_dict(), "sparse": self.sparse.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue where another optimizer stopped, with the learning rates of this one."""
        rates = [group["lr"] for group in self.dense.param_groups]
        decays = [group["weight_decay"] for group in self.dense.param_groups]
        self.dense.load_state_dict(state["dense"])
        for group, lr, decay in zip(self.dense.param_groups, rates, decays, strict=True):
            group["lr"], group["weight_decay"] = lr, decay
        self.sparse.load_state_dict(state["sparse"])

    def decay(self, factor: float) -> None:
        """Forget part of the past: every sum of squared gradients is multiplied by `factor`."""
        for state in self.dense.state.values():
            state["sum"].mul_(factor)
        for total in self.sparse.sums.values():
            total.mul_(factor)

    def _dense_weights(self) -> Iterable[Tensor]:
        return [weight for group in self.dense.param_groups for weight in group["params"]]


def _touched(gradient: Tensor) -> tuple[Tensor, Tensor]:
    """Distinct rows of a sparse gradient and the sum of each one's parts."""
    whole = gradient.coalesce()
    return whole.indices()[0], whole.values()
