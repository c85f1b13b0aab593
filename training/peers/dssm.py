"""DSSM (Huang et al., the paper's [14]): two towers, and the cosine between them.

The user and the query are encoded by hidden layers of 1024, 512 and 128, and so are items; the
preference is the cosine of both, times a scale and with a constant of the task's, since a cosine
alone could not say that most of what is shown is not clicked. Icons have a tower of their own.
There is nothing to hold a user against for L2R's weights or for price levels: Table 2 has CTR and
FIFP only, and so has `training.peers.names`; the answers to other tasks are zeros.

Shape suffixes: see `training.batch`; E item, X a moment's part, D last layer, V distinct items.
"""

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from training.batch import Batch, VocabularySizes
from training.config import ModelConfig, Task
from training.model.dropout import Dropout
from training.model.embedding import rows_of
from training.model.network import Network, Outputs
from training.peers.config import PeersConfig
from training.peers.inputs import Inputs, outputs


class Dssm(Network):
    """Towers of users, items and icons.

    Args:
        config: dimensions of the embeddings, and dropout.
        sizes: rows of the tables.
        peers: widths of the towers, and the scale of the cosine.
    """

    def __init__(self, config: ModelConfig, sizes: VocabularySizes, peers: PeersConfig) -> None:
        super().__init__(sizes)
        self.scale = peers.cosine_scale
        self.inputs = Inputs(config, sizes)
        self.user_tower = tower(self.inputs.moment_dim, peers.deep_hidden, config.dropout)
        self.item_tower = tower(config.e_dim, peers.deep_hidden, config.dropout)
        self.icon_tower = tower(config.icon_dim, peers.deep_hidden, config.dropout)
        self.ctr_constant = nn.Parameter(torch.zeros(()))
        self.fifp_constant = nn.Parameter(torch.zeros(()))

    def forward(self, batch: Batch) -> Outputs:
        """CTR and FIFP; the representation is the user's direction."""
        e_UE = self.inputs.item(batch.items)
        user_BD = self._direction(self.user_tower, self.inputs.of_moment(batch, e_UE))
        distinct_V, place_C = torch.unique(batch.cand_C, return_inverse=True)  # each item once
        item_VD = self._direction(self.item_tower, rows_of(e_UE, distinct_V))
        icon_ID = self._direction(self.icon_tower, self.inputs.icon(batch.icon_I))
        item_CD = rows_of(item_VD, place_C)
        answers = {
            Task.CTR: self._logit(user_BD, batch.cand_moment_C, item_CD) + self.ctr_constant,
            Task.FIFP: self._logit(user_BD, batch.icon_moment_I, icon_ID) + self.fifp_constant,
        }
        return outputs(batch, answers, user_BD)

    def _direction(self, layers: nn.Module, given: Tensor) -> Tensor:
        return F.normalize(layers(given).float(), dim=-1)

    def _logit(self, user_BD: Tensor, moment_N: Tensor, other_ND: Tensor) -> Tensor:
        return self.scale * (rows_of(user_BD, moment_N) * other_ND).sum(dim=-1)


def tower(dim: int, hidden: tuple[int, ...], dropout: float) -> nn.Sequential:
    """Layers with tanh after each, and dropout between them."""
    layers: list[nn.Module] = []
    for wide, narrow in pairwise((dim, *hidden)):
        layers += [nn.Linear(wide, narrow), nn.Tanh(), Dropout(dropout)]
    return nn.Sequential(*layers[:-1])
