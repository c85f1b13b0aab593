"""The two halves of the disassembled network as plain modules, so that any runtime can take them.

`UserPart` is what `Ranker.hear` computes and `ItemPart` what `Pairs.ctr` computes, with tensors in
and tensors out and shapes that never change: histories padded to 100 on the right (where padding
cannot matter), queries to 8 words, candidates to a whole list. The recurrence's weights are put
together once, not at every call.

Shape suffixes: B moments (1 here), T behaviours, E item vector, Q query words, P profile columns,
C candidates, N items of the catalog, W = D + E the width of the item table, R representation.
"""

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from features.catalog import CatalogArrays
from features.property import CODES
from features.schemas import SEQUENCE_LENGTH
from serving.items import AT_ONCE, vocabulary_rows
from training.batch import PROPERTIES_BT, Batch
from training.collate import known
from training.model.dupn import Dupn
from training.model.lstm import GATES, PropertyGatedLSTM

WORDS = 8
"""Query words that a fixed shape has room for; later ones are left out."""
Inputs = tuple[Tensor, ...]


class UserPart(nn.Module):
    """Everything that is computed once a moment: `rep_BR` and the price levels' logits."""

    def __init__(self, model: Dupn) -> None:
        super().__init__()
        assert model.property is not None, "the bench measures the network with properties"
        assert model.price_memory is None, "the bench measures the network without its memory"
        self.property, self.query, self.user = model.property.tables, model.query, model.user
        self.attention, self.ppp, self.budget = model.attention, model.ppp, model.budget
        self.lstm = fused(model.lstm)

    def forward(
        self, e_BTE: Tensor, properties_5BT: Tensor, length_B: Tensor, words_BQ: Tensor,
        profile_BP: Tensor,
    ) -> tuple[Tensor, Tensor]:  # fmt: skip
        """`rep_BR` and `z_B7`."""
        tables = zip(self.property, properties_5BT.unbind(0), strict=True)
        p_BTP = torch.cat([table(column) for table, column in tables], dim=-1)
        u_BU = self.user(profile_BP)
        q_BQ = self.query(words_BQ)
        context_BC = torch.cat([q_BQ, u_BU], dim=-1)
        h_BTH = self.lstm(torch.cat([e_BTE.to(p_BTP.dtype), p_BTP], dim=-1))[0]
        real_BT = torch.arange(h_BTH.shape[1]) < length_B[:, None]
        rep_s_BH, _ = self.attention(h_BTH * real_BT[:, :, None], context_BC, p_BTP, length_B)
        rep_BR = torch.cat([rep_s_BH.to(u_BU.dtype), u_BU], dim=-1)
        z_B7 = self.ppp(rep_BR)
        return rep_BR, z_B7 if self.budget is None else z_B7 + self.budget(q_BQ)


class ItemPart(nn.Module):
    """Everything that is computed once a candidate: the CTR logit, from rows of the item table."""

    like: Tensor

    def __init__(self, model: Dupn) -> None:
        super().__init__()
        assert model.ctr.match is not None, "the bench measures interaction = product"
        self.rest = model.ctr.rest
        self.register_buffer("like", torch.zeros(()))  # has the precision of the weights
        self.width = model.ctr.first_of_other.out_features

    def forward(
        self, table_NW: Tensor, rows_C: Tensor, hidden_1D: Tensor, match_1E: Tensor
    ) -> Tensor:
        """`logit_C`."""
        known_CW = F.embedding(rows_C, table_NW)
        hidden_CD = torch.relu(hidden_1D + known_CW[:, : self.width])
        logit_C: Tensor = self.rest(hidden_CD.to(self.like.dtype)).squeeze(-1)
        return logit_C.float() + known_CW[:, self.width :] @ match_1E[0]


@dataclass(frozen=True)
class Asked:
    """Moments as both halves read them, and what was clicked."""

    users: list[Inputs]
    """Of `UserPart`, a moment each."""
    rows: list[NDArray[np.int64]]
    """Catalog rows of each moment's candidates."""
    clicked: NDArray[np.bool_]
    """Of all candidates, moment after moment."""


def fused(lstm: PropertyGatedLSTM) -> nn.LSTM:
    """The property gated LSTM as torch's own over [e; p], W_pc being zero."""
    paper = lstm.paper_weights() | {"W_pc": torch.zeros(lstm.hidden_dim, lstm.property_dim)}
    of_inputs = [torch.cat([paper[f"W_e{gate}"], paper[f"W_p{gate}"]], dim=1) for gate in GATES]
    bias = torch.cat([paper[f"b_{gate}"] for gate in GATES])
    made = nn.LSTM(lstm.item_dim + lstm.property_dim, lstm.hidden_dim, batch_first=True)
    of_hidden = torch.cat([paper[f"W_h{gate}"] for gate in GATES])
    weights = (torch.cat(of_inputs), of_hidden, bias, torch.zeros_like(bias))
    with torch.no_grad():
        for mine, theirs in zip(made.parameters(), weights, strict=True):
            mine.copy_(theirs)
    return made


def table_of(model: Dupn, catalog: CatalogArrays, count: int) -> NDArray[np.float32]:
    """The item table of a catalog, [W_i e_i, e_i], repeated until it has `count` rows."""
    parts = []
    with torch.inference_mode():
        for start in range(0, catalog.num_rows, AT_ONCE):  # blocks of items
            e_UE = model.item_part(
                vocabulary_rows(catalog, model.sizes, slice(start, start + AT_ONCE))
            )
            parts.append(torch.cat([model.ctr.first_of_other(e_UE), e_UE], dim=1).numpy())
    table = np.concatenate(parts)
    return np.ascontiguousarray(np.resize(table, (max(count, len(table)), table.shape[1])))


def full(model: Dupn, table: NDArray[np.float32]) -> Inputs:
    """A moment with a full history; what stands in it costs nothing and says nothing."""
    rng = np.random.default_rng(3)
    e_TE = table[rng.integers(2, len(table), SEQUENCE_LENGTH), -model.config.e_dim :]
    columns = [rng.integers(1, count + 1, (1, SEQUENCE_LENGTH)) for count in CODES.values()]
    words = np.zeros((1, WORDS), np.int64)
    words[0, :2] = rng.integers(2, model.sizes.token, 2)
    profile = np.array([[size - 1 for size in model.sizes.profile]], np.int64)
    return (
        torch.from_numpy(np.ascontiguousarray(e_TE))[None],
        torch.from_numpy(np.stack(columns)),
        torch.tensor([SEQUENCE_LENGTH]),
        torch.from_numpy(words),
        torch.from_numpy(profile.reshape(1, -1)),
    )


def of_batch(batch: Batch, items: NDArray[np.int32], table: NDArray[np.float32], e: int) -> Inputs:
    """A batch of one moment as `UserPart` reads it.

    Args:
        batch: of one moment.
        items: catalog rows of its history.
        table: the item table.
        e: width of an item's vector, the last columns of the table.
    """
    room = SEQUENCE_LENGTH - len(items)
    e_TE = np.pad(table[known(items, len(table)), -e:], ((0, room), (0, 0)))
    stacked = torch.stack([getattr(batch, name) for name in PROPERTIES_BT])
    words = batch.query_BQ[:, :WORDS]
    return (
        torch.from_numpy(e_TE)[None],
        F.pad(stacked, (0, room)),
        batch.length_B,
        F.pad(words, (0, WORDS - words.shape[1])),
        batch.profile_BP,
    )
