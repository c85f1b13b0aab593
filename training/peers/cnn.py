"""CNN-max (Zheng et al., the paper's [37]): convolutions over the behaviours, the largest of each.

DUPN without behaviour properties, but for the encoder: windows of one to ten behaviours with 64
feature maps each slide over the item embeddings; of each map the largest value over time is kept,
and a fully connected layer makes rep_s of them. The paper does not say where the query goes; that
layer sees it, as the attention net of DUPN does. Heads, their interaction, user and query are
DUPN's, so that a difference between the two is the encoder's.

A window never covers padding: one that does not fit into a history has no value, and a map without
any has zero, the least that a ReLU can say.

A convolution is the sum over its offsets of a matrix product, and an item stands in a batch many
times: each offset is multiplied with the distinct items once, and the products are gathered and
added (half the time of torch's convolutions). Only the place of a map's largest value has a
gradient: the places are found without one, then their values alone are added again with it.

Shape suffixes: see `training.batch`; E item, M maps, W windows times maps, H hidden, O offsets
in a window, K offsets times maps, N rows (of an item and an offset, or of a window).
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from training.batch import Batch, VocabularySizes
from training.config import ModelConfig
from training.model.dropout import Dropout
from training.model.dupn import Dupn, Encoded
from training.model.embedding import rows_of
from training.model.network import Network
from training.peers.config import PeersConfig


class CnnMax(Dupn):
    """`Dupn` with windows in place of LSTM and attention.

    Args:
        config: dimensions; `variant` is not read.
        sizes: rows of the tables.
        peers: windows and maps.
    """

    def __init__(self, config: ModelConfig, sizes: VocabularySizes, peers: PeersConfig) -> None:
        super().__init__(config.model_copy(update={"variant": "nobp"}), sizes)
        del self.lstm, self.attention
        self.maps = MaxOverTime(config.e_dim, peers.windows, peers.maps)
        wide = peers.windows * peers.maps + config.query_dim
        self.layer = nn.Linear(wide, config.hidden_dim)
        self.dropout = Dropout(config.dropout)

    each = Network.each  # there is no past that moments with other queries would share

    def user_part(self, batch: Batch, e_UE: Tensor) -> Encoded:
        """`rep` of each moment; there is no attention."""
        u_BU = self.user(batch.profile_BP)
        found_BW = self.maps(e_UE, batch.seq_BT, batch.length_B)
        q_BQ = self.query(batch.query_BQ)
        seen = torch.cat([found_BW, q_BQ], dim=-1)
        rep_s_BH = self.dropout(torch.tanh(self.layer(seen)).float())
        no_attention_BT = torch.zeros_like(batch.seq_BT, dtype=rep_s_BH.dtype)
        rep_BR = torch.cat([rep_s_BH, u_BU], dim=-1)
        e_BTE = rows_of(e_UE, batch.seq_BT)
        remembered_B7 = self.remembered(batch, e_BTE, e_BTE[..., :0], q_BQ, u_BU)
        return Encoded(rep_BR, no_attention_BT, q_BQ, remembered_B7)


class MaxOverTime(nn.Module):
    """The largest value of every feature map over a history.

    Args:
        dim: E.
        windows: of one to this many behaviours.
        maps: of each window.
    """

    def __init__(self, dim: int, windows: int, maps: int) -> None:
        super().__init__()
        self.convolutions = nn.ModuleList(nn.Conv1d(dim, maps, k) for k in range(1, windows + 1))

    def forward(self, e_UE: Tensor, seq_BT: Tensor, length_B: Tensor) -> Tensor:
        """`found_BW`, window after window.

        Args:
            e_UE: vectors of the distinct items.
            seq_BT: which of them each behaviour was with.
            length_B: behaviours; what is right of them is not read.
        """
        missing = max(len(self.convolutions) - seq_BT.shape[1], 0)
        seq_BT = F.pad(seq_BT, (0, missing))  # the largest window has a place, if no value
        start_T = torch.arange(seq_BT.shape[1], device=seq_BT.device)
        found = []
        for size, convolution in enumerate(self.convolutions, start=1):
            assert isinstance(convolution, nn.Conv1d)
            assert convolution.bias is not None
            each_KE = convolution.weight.permute(2, 0, 1).flatten(0, 1)  # offset after offset
            of_offset_NM = (e_UE @ each_KE.T).view(len(e_UE) * size, -1)
            row_BT = seq_BT * size
            with torch.no_grad():
                places = seq_BT.shape[1] - size + 1
                offset_O = start_T[:size]
                window_NO = (row_BT.unfold(1, size, 1) + offset_O).flatten(0, 1)
                value_NM = F.embedding_bag(window_NO, of_offset_NM, mode="sum")
                value_BTM = value_NM.view(-1, places, value_NM.shape[1])
                beyond_BT = start_T[:places] + size > length_B[:, None]
                value_BTM.masked_fill_(beyond_BT[..., None], float("-inf"))
                offset_O11 = offset_O[:, None, None]
                at_OBM = value_BTM.max(dim=1).indices + offset_O11
                row_OBM = row_BT.expand(size, -1, -1).gather(2, at_OBM) + offset_O11
            largest_BM = of_offset_NM.gather(0, row_OBM.flatten(0, 1)).view_as(row_OBM).sum(dim=0)
            fitting_BM = largest_BM.masked_fill((length_B < size)[:, None], float("-inf"))
            # of shift, ReLU and maximum, the order does not matter
            found.append(torch.relu(fitting_BM + convolution.bias))
        return torch.cat(found, dim=-1)
