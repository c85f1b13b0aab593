"""Asks a network every question of some days, and measures the answers with everybody's draws.

All networks of a world answer the same questions and are measured on the same draws of users, so
that a difference of two figures has a paired interval from what each cell kept by itself.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from evaluation import metrics
from evaluation.bootstrap import Resamples
from evaluation.metrics import AnyArray, Floats
from evaluation.predict import answering
from evaluation.results import Record, finite
from evaluation.settings import EvaluateConfig
from features.schemas import CandidateOrigin
from training.batch import Batch
from training.config import Task
from training.model.network import Network, Outputs
from training.peers.held import Held

MEASURES = {
    Task.CTR: "ctr_auc",
    Task.L2R: "l2r_auc",
    Task.PPP: "ppp_precision",
    Task.FIFP: "fifp_auc",
    Task.SPP: "spp_auc",
}
"""The measure of each task, by the name that reports use."""


@dataclass(frozen=True)
class Answered:
    """A task's questions and somebody's answers, question by question."""

    score: AnyArray
    """Logit; for PPP the likeliest level, 0-based."""
    truth: AnyArray
    """Whether it happened (1 or 0); for PPP the level."""
    user: NDArray[np.uint64]
    """Hash of who was asked."""
    part: AnyArray | None = None
    """Where several networks answered, each some of the questions: which. Scores of different
    parts are not compared."""

    def only(self, keep: AnyArray) -> "Answered":
        """Some of the questions."""
        part = None if self.part is None else self.part[keep]
        return Answered(self.score[keep], self.truth[keep], self.user[keep], part)

    @classmethod
    def joined(cls, parts: "Sequence[Answered]") -> "Answered":
        """One after the other."""
        return cls(
            np.concatenate([part.score for part in parts]),
            np.concatenate([part.truth for part in parts]),
            np.concatenate([part.user for part in parts]),
        )


class Score(Record):
    """A figure and its value in every draw of users."""

    measure: str
    value: float | None
    replicates: tuple[float, ...] = ()
    """Empty: too few questions to say."""
    questions: int = 0

    @property
    def drawn(self) -> Floats:
        """The replicates as an array."""
        return np.array(self.replicates)


class Crowd:
    """Draws of a world's users that hold for every network and every task.

    Args:
        users: their hashes, in any order, repeated or not.
        config: draws and their seed.
    """

    def __init__(self, users: NDArray[np.uint64], config: EvaluateConfig) -> None:
        self.users = np.unique(users)
        self.config = config
        self.draws = Resamples.draw(len(self.users), config.replicates, config.seed, config.level)

    def score(self, task: Task, answered: Answered) -> Score:
        """The task's figure; without replicates where there are too few questions."""
        user = np.searchsorted(self.users, answered.user)
        enough = len(np.unique(user)) >= self.config.min_users
        if task.of_levels:
            hit = answered.score == answered.truth
            value = float(hit.mean()) if len(hit) else np.nan
            enough = enough and len(hit) >= self.config.min_positives
            drawn = self.draws.ratio(hit, np.ones(len(hit)), user) if enough else None
        else:
            positive = answered.truth > 0
            value = metrics.auc(answered.score, positive, part=answered.part)
            fewest = min(int(positive.sum()), int((~positive).sum()))
            enough = enough and fewest >= self.config.min_positives
            drawn = (
                self.draws.auc(answered.score, positive, user, part=answered.part)
                if enough
                else None
            )
        kept = () if drawn is None else tuple(np.round(drawn, 6).tolist())
        return Score(
            measure=MEASURES[task],
            value=finite(value),
            replicates=kept,
            questions=len(answered.truth),
        )


def ask(
    network: Network, held: Held, tasks: Sequence[Task], batch_size: int = 1024
) -> Mapping[Task, Answered]:
    """A network's answers, in published order.

    Of derived moments only the headline's candidates count (the same-day negatives).

    Args:
        network: on any device.
        held: the days, with the questions that are asked.
        tasks: which of them.
        batch_size: moments at a time.
    """
    device = str(next(iter(network.parameters()), torch.zeros(0)).device)
    parts: dict[Task, list[Answered]] = {task: [] for task in tasks}
    with answering(network):
        for batch, info in held.batches(batch_size):
            out = network(batch.to(device))
            for task in tasks:
                parts[task].append(_of(task, out, batch, info.user_hash))
    return {task: Answered.joined(found) for task, found in parts.items()}


def _of(task: Task, out: Outputs, batch: Batch, users: NDArray[np.uint64]) -> Answered:
    match task:
        case Task.CTR | Task.L2R:
            clicks = task is Task.CTR
            score = out.ctr_C if clicks else out.l2r_C
            truth = batch.cand_clicked_C if clicks else batch.cand_label_C
            found = _answered(score, truth, batch.cand_moment_C, users)
            return found.only(batch.cand_origin_C.numpy() != CandidateOrigin.SAME_CATEGORY)
        case Task.PPP:
            level = out.ppp_K7.argmax(dim=-1)
            return _answered(level, batch.price_level_K, batch.price_moment_K, users)
        case Task.FIFP:
            return _answered(out.fifp_I, batch.icon_followed_I, batch.icon_moment_I, users)
        case Task.SPP:
            return _answered(out.spp_S, batch.shop_preferred_S, batch.shop_moment_S, users)


def _answered(
    score: torch.Tensor, truth: torch.Tensor, moment: torch.Tensor, users: NDArray[np.uint64]
) -> Answered:
    return Answered(score.cpu().numpy(), truth.numpy(), users[moment.numpy()])
