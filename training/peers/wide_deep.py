"""Wide & Deep (Cheng et al., the paper's [7]): a regression and a deep network, one logit.

The wide side is that of Wide, moved by FTRL; the deep side has hidden layers of 1024, 512 and 128
over embeddings of profile, query, history and what is asked about, moved by AdaGrad. The logit is
their sum and the loss is one, so each side learns what the other leaves.

Shape suffixes: see `training.batch`; E item, X a moment's part, N questions, O what is asked about,
D first hidden layer.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from features.schemas import PRICE_LEVELS
from training.batch import Batch, VocabularySizes
from training.config import ModelConfig, Task
from training.model.dropout import Dropout
from training.model.embedding import rows_of
from training.model.heads import mlp
from training.model.network import Network, Outputs
from training.peers.config import PeersConfig, WideConfig
from training.peers.inputs import Inputs, outputs
from training.peers.wide import WideSide


class Deep(nn.Module):
    """Hidden layers over (a moment, what is asked about), or over a moment alone.

    The first layer is the sum of a part that a moment's questions share and a part of their own,
    which is one layer over both.

    Args:
        moment_dim: X.
        other_dim: O; 0 where nothing is asked about.
        widths: hidden layers and outputs.
        dropout: after hidden layers.
    """

    def __init__(
        self, moment_dim: int, other_dim: int, widths: tuple[int, ...], dropout: float
    ) -> None:
        super().__init__()
        self.first_of_moment = nn.Linear(moment_dim, widths[0])
        self.first_of_other = nn.Linear(other_dim, widths[0], bias=False) if other_dim else None
        self.dropout = Dropout(dropout)
        self.rest = mlp(widths, dropout)

    def forward(self, x_BX: Tensor, moment_N: Tensor, other_NO: Tensor) -> Tensor:
        """One row a question."""
        hidden_ND = rows_of(self.first_of_moment(x_BX), moment_N)
        if self.first_of_other is not None:
            hidden_ND = hidden_ND + self.first_of_other(other_NO)
        answer: Tensor = self.rest(self.dropout(torch.relu(hidden_ND)))
        return answer.float()


class WideDeep(Network):
    """Both sides for some tasks, a deep network and a regression each.

    Args:
        config: dimensions of the embeddings, and dropout.
        sizes: rows of the tables.
        peers: widths of the deep side.
        wide: the wide side.
        tasks: that it answers; the answers to others are zeros.
    """

    def __init__(
        self,
        config: ModelConfig,
        sizes: VocabularySizes,
        peers: PeersConfig,
        wide: WideConfig,
        tasks: Sequence[Task] = tuple(Task),
    ) -> None:
        super().__init__(sizes)
        self.tasks = tuple(tasks)
        self.inputs = Inputs(config, sizes)
        self.wide = WideSide(wide, tasks)
        other = {
            Task.CTR: config.e_dim,
            Task.L2R: config.e_dim + sizes.ranking_features,
            Task.PPP: 0,
            Task.FIFP: config.icon_dim,
            Task.SPP: config.shop_dim,
        }
        self.deep = nn.ModuleDict()
        for task in tasks:
            last = PRICE_LEVELS if task.of_levels else 1
            widths = (*peers.deep_hidden, last)
            dim = self.inputs.moment_dim
            self.deep[task.value] = Deep(dim, other[task], widths, config.dropout)

    def forward(self, batch: Batch) -> Outputs:
        """The sum of both sides for every question of its tasks."""
        e_UE = self.inputs.item(batch.items)
        x_BX = self.inputs.of_moment(batch, e_UE)
        found = self.wide(batch)
        for task in self.tasks:
            moment_N, other_NO = self._asked(task, batch, e_UE)
            answer = self.deep[task.value](x_BX, moment_N, other_NO)
            found[task] = found[task] + answer.view(found[task].shape)
        return outputs(batch, found)

    def _asked(self, task: Task, batch: Batch, e_UE: Tensor) -> tuple[Tensor, Tensor]:
        """Each question's moment, and what it is about."""
        match task:
            case Task.CTR:
                return batch.cand_moment_C, rows_of(e_UE, batch.cand_C)
            case Task.L2R:
                e_CE = rows_of(e_UE, batch.cand_C)
                return batch.cand_moment_C, torch.cat([e_CE, batch.cand_features_CF], dim=-1)
            case Task.PPP:
                return batch.price_moment_K, e_UE[:0]
            case Task.FIFP:
                return batch.icon_moment_I, self.inputs.icon(batch.icon_I)
            case Task.SPP:
                return batch.shop_moment_S, self.inputs.item.shop(batch.shop_S)
