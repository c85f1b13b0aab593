"""Wide: "a linear logistic regression model widely used in large-scale search systems" (6.1).

"User profiles, item features and rich cross-product feature transformations are the model input",
learnt with FTRL. It is a part of Wide & Deep, and ranks for our predecessor online.
What it knows of somebody's past is the last few items that were clicked (`training.peers.crosses`);
counts and recencies of the whole history, which the network's ranking features hold, are not item
features, and `history` says whether they are given all the same.

A batch is that of the network, so both see the same moments.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from infra.errors import TrainingError
from training.batch import Batch, VocabularySizes
from training.config import Task
from training.model.network import Network, Outputs
from training.optim import SelfMoving
from training.peers.config import WideConfig
from training.peers.crosses import OF_TASK, of_clicks
from training.peers.ftrl import Ftrl
from training.peers.inputs import outputs
from training.peers.sheet import Coordinates


@dataclass
class Wide:
    """Probability of a click from a batch of the network."""

    config: WideConfig
    model: Ftrl

    @classmethod
    def new(cls, config: WideConfig) -> "Wide":
        """Nothing learnt yet."""
        return cls(config, Ftrl.new(1 << config.bits, config))

    @classmethod
    def load(cls, archive: bytes, config: WideConfig) -> "Wide":
        """What `saved` wrote."""
        return cls(config, Ftrl.load(archive, config))

    def saved(self) -> bytes:
        """All that is learnt."""
        return self.model.saved()

    def learn(self, batch: Batch) -> float:
        """One step on the clicks of a batch; its mean log loss before the step."""
        rows = of_clicks(batch, self.config)
        return self.model.learn(rows, batch.cand_clicked_C.numpy().astype(np.float64))

    def logits(self, batch: Batch) -> NDArray[np.float64]:
        """One a candidate."""
        return self.model.logits(of_clicks(batch, self.config))


class WidePart(SelfMoving):
    """A logistic regression inside a network: a term of its logits, learnt by FTRL.

    In training its logits are a leaf of the graph, and `move` takes their gradient. Losses are
    means over questions and FTRL adds questions up, so the gradient is multiplied by their number.

    Args:
        config: size of the table, and how it learns.
    """

    def __init__(self, config: WideConfig) -> None:
        super().__init__()
        self.config = config
        self.model = Ftrl.new(1 << config.bits, config)
        self._rows: Coordinates | None = None
        self._logit: Tensor | None = None

    def forward(self, rows: Coordinates) -> Tensor:
        """Logits of (..., features) coordinates, in the processor's memory."""
        logit = torch.from_numpy(self.model.logits(rows)).float()
        if self.training and torch.is_grad_enabled():
            self._rows, self._logit = rows, logit.requires_grad_()
        return logit

    def move(self) -> None:
        """One step by the gradient of the last logits; none if they were in no loss."""
        if self._rows is not None and self._logit is not None and self._logit.grad is not None:
            error = self._logit.grad.double().numpy() * len(self._logit)
            self.model.move(self._rows, error)
        self._rows = self._logit = None

    def get_extra_state(self) -> dict[str, Tensor]:
        """What is learnt: the coordinates that were ever met."""
        met = np.flatnonzero(self.model.n)
        z, n = self.model.z[met], self.model.n[met]
        return {name: torch.from_numpy(v) for name, v in (("met", met), ("z", z), ("n", n))}

    def set_extra_state(self, state: dict[str, Tensor]) -> None:
        """Take over what another table of the same size learnt.

        Raises:
            TrainingError: it was larger.
        """
        z, n = np.zeros((2, 1 << self.config.bits))
        met = state["met"].numpy()
        if met.max(initial=0) >= len(z):
            raise TrainingError(
                f"the wide part was learnt with more than {self.config.bits} bits. "
                "Set wide.bits to what it was."
            )
        z[met], n[met] = state["z"].numpy(), state["n"].numpy()
        self.model = Ftrl(self.config, z, n)


class WideSide(nn.Module):
    """A logistic regression a task; tasks share no weight.

    Args:
        config: of each.
        tasks: that it answers.
    """

    def __init__(self, config: WideConfig, tasks: Sequence[Task]) -> None:
        super().__init__()
        self.config = config
        self.parts = nn.ModuleDict({task.value: WidePart(config) for task in tasks})

    def forward(self, batch: Batch) -> dict[Task, Tensor]:
        """Logits of every question of its tasks, wherever the batch is."""
        here, device = batch.to("cpu"), batch.length_B.device
        found = {}
        for name, part in self.parts.items():
            rows = OF_TASK[Task(name)](here, self.config)
            found[Task(name)] = part(rows).to(device)
        return found


class WideOnly(Network):
    """Wide for every task: its weights are no parameters, so there is nothing for AdaGrad.

    Args:
        sizes: of the batches.
        config: of the regressions.
        tasks: that it answers; the answers to others are zeros.
    """

    def __init__(
        self, sizes: VocabularySizes, config: WideConfig, tasks: Sequence[Task] = tuple(Task)
    ) -> None:
        super().__init__(sizes)
        self.wide = WideSide(config, tasks)

    def forward(self, batch: Batch) -> Outputs:
        """Every question of its tasks; there is no representation."""
        return outputs(batch, self.wide(batch))
