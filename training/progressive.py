"""How well each task is answered while it is learnt: predict first, then train on the answer.

In the first epoch no moment has been trained on before it is scored, so the AUC is an honest, if
early, estimate (with dropout on, which costs it a little). It is computed from two histograms of
the scores: memory does not grow with the stream, and a resumed run goes on counting. Moments that
an update replays are known already: they are learnt from, and not counted here.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from training.batch import Batch
from training.config import Task
from training.model.network import Outputs

BINS = 8192
LARGEST = 16.0
"""Scores are logits; beyond +-16 they are ties."""


@dataclass
class Meter:
    """Loss and quality of one task over the questions so far."""

    questions: int = 0
    loss_sum: float = 0.0
    right: int = 0
    no: NDArray[np.int64] = field(default_factory=lambda: np.zeros(BINS, np.int64))
    yes: NDArray[np.int64] = field(default_factory=lambda: np.zeros(BINS, np.int64))

    @property
    def loss(self) -> float:
        """Mean over the questions."""
        return self.loss_sum / max(self.questions, 1)

    @property
    def auc(self) -> float | None:
        """Share of (yes, no) pairs in the right order, ties half; None without both."""
        pairs = int(self.yes.sum()) * int(self.no.sum())
        if not pairs:
            return None
        below = np.cumsum(self.no) - self.no
        return float((self.yes * (below + self.no / 2)).sum() / pairs)

    def score(self, logits: Tensor, yes: Tensor) -> None:
        """Count answers of a yes-or-no task."""
        share = (logits.clamp(-LARGEST, LARGEST) + LARGEST) / (2 * LARGEST)
        place = (share * (BINS - 1)).round().long()
        happened = yes > 0
        self.yes += torch.bincount(place[happened], minlength=BINS).numpy()
        self.no += torch.bincount(place[~happened], minlength=BINS).numpy()


class Meters:
    """One meter a task."""

    def __init__(self, tasks: tuple[Task, ...]) -> None:
        self.of = {task: Meter() for task in tasks}

    def add(self, out: Outputs, batch: Batch, losses: Mapping[Task, float]) -> None:
        """Count one batch's answers, given before the batch is learnt.

        Args:
            out: of the network, on any device.
            batch: as the reader gave it, on the CPU.
            losses: the batch's mean by task, replayed moments included.
        """
        for task, meter in self.of.items():
            logits, truth, moment = _answers(task, out, batch)
            logits = logits.detach().float().cpu()
            if batch.known_B is not None:
                fresh = ~batch.known_B[moment]
                logits, truth = logits[fresh], truth[fresh]
            asked = len(truth)
            if not asked:
                continue
            meter.questions += asked
            meter.loss_sum += losses[task] * asked
            if task.of_levels:
                meter.right += int((logits.argmax(dim=-1) == truth).sum())
            else:
                meter.score(logits, truth)

    def figures(self, prefix: str) -> dict[str, float]:
        """`<prefix>_ctr_auc`, `<prefix>_ctr_loss`, ... of the tasks that were asked."""
        found: dict[str, float] = {}
        for task, meter in self.of.items():
            if not meter.questions:
                continue
            found[f"{prefix}_{task}_loss"] = meter.loss
            if task.of_levels:
                found[f"{prefix}_{task}_precision"] = meter.right / meter.questions
            elif meter.auc is not None:
                found[f"{prefix}_{task}_auc"] = meter.auc
        return found

    def state_dict(self) -> dict[str, Any]:
        """For a checkpoint."""
        return {
            task.value: {
                "questions": meter.questions,
                "loss_sum": meter.loss_sum,
                "right": meter.right,
                "no": torch.from_numpy(meter.no.copy()),
                "yes": torch.from_numpy(meter.yes.copy()),
            }
            for task, meter in self.of.items()
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on counting."""
        for name, kept in state.items():
            arrays = {"no": kept["no"].numpy().copy(), "yes": kept["yes"].numpy().copy()}
            self.of[Task(name)] = Meter(**{**kept, **arrays})


class _Answers(NamedTuple):
    """Scores of a task's questions, what happened, and whose moment it was."""

    logits: Tensor
    truth: Tensor
    moment: Tensor


def _answers(task: Task, out: Outputs, batch: Batch) -> _Answers:
    match task:
        case Task.CTR:
            return _Answers(out.ctr_C, batch.cand_clicked_C, batch.cand_moment_C)
        case Task.L2R:
            return _Answers(out.l2r_C, batch.cand_label_C, batch.cand_moment_C)
        case Task.PPP:
            return _Answers(out.ppp_K7, batch.price_level_K, batch.price_moment_K)
        case Task.FIFP:
            return _Answers(out.fifp_I, batch.icon_followed_I, batch.icon_moment_I)
        case Task.SPP:
            return _Answers(out.spp_S, batch.shop_preferred_S, batch.shop_moment_S)
