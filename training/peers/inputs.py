"""What Wide & Deep and DSSM read of a moment: profile, query, and what the history was about.

Neither knows an order of behaviours: a history is the mean of its items' embeddings, which is the
multi-hot feature of its ids. Shape suffixes: see `training.batch`; E item, X a moment's part,
R representation.
"""

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from features.schemas import PRICE_LEVELS
from training.batch import Batch, VocabularySizes
from training.config import ModelConfig, Task
from training.model.embedding import ItemEmbedding, QueryEmbedding, sparse_table
from training.model.network import Outputs


class Inputs(nn.Module):
    """Embedding tables: of items, icons, query words and profile fields."""

    def __init__(self, config: ModelConfig, sizes: VocabularySizes) -> None:
        super().__init__()
        self.item = ItemEmbedding(config, sizes)
        self.icon = sparse_table(sizes.icon, config.icon_dim, config.general_std)
        self.query = QueryEmbedding(sizes.token, config.query_dim)
        self.profile = nn.ModuleList(
            sparse_table(rows, config.profile_dim) for rows in sizes.profile
        )
        self.moment_dim = len(sizes.profile) * config.profile_dim + config.query_dim + config.e_dim

    def of_moment(self, batch: Batch, e_UE: Tensor) -> Tensor:
        """`x_BX`: profile fields, the query and the history side by side.

        Args:
            batch: the moments.
            e_UE: vectors of `batch.items`.
        """
        fields = [table(batch.profile_BP[:, k]) for k, table in enumerate(self.profile)]
        history_BE = pooled(batch.seq_BT, e_UE)
        return torch.cat([*fields, self.query(batch.query_BQ), history_BE], dim=-1)


def pooled(seq_BT: Tensor, e_UE: Tensor) -> Tensor:
    """The mean of each history's vectors; zeros where it is empty."""
    if seq_BT.shape[1] == 0:
        return e_UE.new_zeros(len(seq_BT), e_UE.shape[1])
    return F.embedding_bag(seq_BT, e_UE, mode="mean", padding_idx=0)


def outputs(batch: Batch, answers: Mapping[Task, Tensor], rep_BR: Tensor | None = None) -> Outputs:
    """The answers of some tasks; of the others zeros, and of attention, too.

    Args:
        batch: the questions.
        answers: logits by task.
        rep_BR: of the moments; none has no columns.
    """
    device = batch.length_B.device

    def of(task: Task, *shape: int) -> Tensor:
        found = answers.get(task)
        return torch.zeros(shape, device=device) if found is None else found

    no_rep_B0 = torch.zeros(batch.size, 0, device=device)
    return Outputs(
        ctr_C=of(Task.CTR, len(batch.cand_C)),
        l2r_C=of(Task.L2R, len(batch.cand_C)),
        ppp_K7=of(Task.PPP, len(batch.price_moment_K), PRICE_LEVELS),
        fifp_I=of(Task.FIFP, len(batch.icon_I)),
        spp_S=of(Task.SPP, len(batch.shop_S)),
        rep_BR=no_rep_B0 if rep_BR is None else rep_BR,
        attention_BT=torch.zeros(batch.seq_BT.shape, device=device),
    )
