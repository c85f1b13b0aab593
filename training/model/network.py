"""What every network that answers moments has in common: the questions, their losses, its weights.

`Dupn` is one; the networks that it is compared with (`training.peers`) are others. Whoever trains,
judges or asks a network needs no more than this. Shape suffixes: see `training.batch`.
"""

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass

from torch import Tensor, nn

from training.batch import Batch, VocabularySizes
from training.config import Task
from training.model import losses

REVISION = 2
"""Goes up when the same settings make another network, so that studies fit theirs again."""


@dataclass
class Outputs:
    """Logits and scores of every question of a batch."""

    ctr_C: Tensor
    l2r_C: Tensor
    ppp_K7: Tensor
    fifp_I: Tensor
    spp_S: Tensor
    rep_BR: Tensor
    attention_BT: Tensor

    @property
    def asked(self) -> frozenset[Task]:
        """Tasks of which there is a question."""
        answers = {
            Task.CTR: self.ctr_C,
            Task.L2R: self.l2r_C,
            Task.PPP: self.ppp_K7,
            Task.FIFP: self.fifp_I,
            Task.SPP: self.spp_S,
        }
        return frozenset(task for task, said in answers.items() if len(said))


class Network(nn.Module):
    """Answers all questions of a batch; fp32, or bf16 under autocast, on any device.

    Args:
        sizes: rows of its embedding tables.
    """

    ranks_with_ctr: bool = False
    """Whether L2R weighs the CTR task's own logit."""
    by_moment: bool = True
    """Whether it answers and learns from each moment by itself, whatever else is in the batch, and
    drops units by `training.model.dropout`."""

    def __init__(self, sizes: VocabularySizes) -> None:
        super().__init__()
        self.sizes = sizes

    def learns(self, tasks: Collection[Task]) -> None:
        """Told before the first step which tasks are learnt together; most need not know."""

    def forward(self, batch: Batch) -> Outputs:
        """Every question of the batch answered."""
        raise NotImplementedError

    def each(self, batches: Iterable[Batch]) -> list[Outputs]:
        """`forward` of each; what a batch shares with the one before may be worked out once."""
        return [self(batch) for batch in batches]

    def losses(self, outputs: Outputs, batch: Batch, tasks: Iterable[Task]) -> dict[Task, Tensor]:
        """The mean loss of each of `tasks` over its questions; zero where none is asked."""
        return {task: LOSSES[task](outputs, batch) for task in tasks}


def _ctr(out: Outputs, batch: Batch) -> Tensor:
    scale_C = batch.scale(batch.cand_moment_C)
    return losses.click_loss(out.ctr_C, batch.cand_clicked_C, scale_C)


def _l2r(out: Outputs, batch: Batch) -> Tensor:
    scale_C = batch.scale(batch.cand_moment_C)
    return losses.ranking_loss(out.l2r_C, batch.cand_label_C, batch.cand_weight_C, scale_C)


def _ppp(out: Outputs, batch: Batch) -> Tensor:
    return losses.price_loss(out.ppp_K7, batch.price_level_K, batch.price_scale())


def _fifp(out: Outputs, batch: Batch) -> Tensor:
    scale_I = batch.scale(batch.icon_moment_I)
    return losses.click_loss(out.fifp_I, batch.icon_followed_I, scale_I)


def _spp(out: Outputs, batch: Batch) -> Tensor:
    scale_S = batch.scale(batch.shop_moment_S)
    return losses.click_loss(out.spp_S, batch.shop_preferred_S, scale_S)


LOSSES: dict[Task, Callable[[Outputs, Batch], Tensor]] = {
    Task.CTR: _ctr,
    Task.L2R: _l2r,
    Task.PPP: _ppp,
    Task.FIFP: _fifp,
    Task.SPP: _spp,
}
