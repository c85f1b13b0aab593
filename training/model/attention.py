"""Attention over the behaviours, given query, user and property (Section 4.2, equation 7).

A two-layer net scores each h_t. Its first layer acts on the concatenation (h_t, q, u, p_t), so it
is the sum of four products: those of q and u are computed once a moment instead of T times.

Shape suffixes: B moments, T behaviours, H hidden, P property, Q query, U user, A attention width.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn


class Pooled(NamedTuple):
    """rep_s, and the weight of each behaviour in it (zero on padding)."""

    rep_BH: Tensor
    attention_BT: Tensor


class AttentionDims(NamedTuple):
    """Widths of what the net sees, and of its hidden layer."""

    hidden: int
    context: int
    """Of [q; u]."""
    property: int
    """0: properties are not attended to."""
    width: int


class Attention(nn.Module):
    """Weighted sum of hidden states; a history without behaviours gives rep_s = 0."""

    def __init__(self, dims: AttentionDims, dropout: float, product: bool) -> None:
        super().__init__()
        hidden_dim, context_dim, property_dim, width = dims
        self.of_hidden = nn.Linear(hidden_dim, width, bias=False)
        self.of_context = nn.Linear(context_dim, width)  # of [q; u]
        self.of_property = nn.Linear(property_dim, width, bias=False) if property_dim else None
        self.match = nn.Linear(context_dim, hidden_dim, bias=False) if product else None
        self.dropout = nn.Dropout(dropout)
        self.score = nn.Linear(width, 1, bias=False)  # a bias would cancel in the softmax

    def forward(
        self, h_BTH: Tensor, context_BC: Tensor, p_BTP: Tensor, lengths_B: Tensor
    ) -> Pooled:
        """`context_BC` is [q; u]; positions at or right of the length get no weight."""
        hidden_BTA = self.of_hidden(h_BTH) + self.of_context(context_BC)[:, None]
        if self.of_property is not None:
            hidden_BTA = hidden_BTA + self.of_property(p_BTP)
        # one dropout mask a moment: a mask a behaviour would cost 50 ms a step in random numbers
        keep_B1A = self.dropout(torch.ones_like(hidden_BTA[:, :1]))
        score_BT = self.score(torch.relu(hidden_BTA) * keep_B1A).squeeze(-1).float()
        if self.match is not None:
            match_BH = self.match(context_BC)
            score_BT = score_BT + torch.einsum("bth,bh->bt", h_BTH, match_BH).float()
        real_BT = torch.arange(h_BTH.shape[1], device=h_BTH.device) < lengths_B[:, None]
        # -1e30, not -inf: the softmax of an empty history must stay finite, also in its gradient
        a_BT = torch.softmax(score_BT.masked_fill(~real_BT, -1e30), dim=1) * real_BT
        rep_BH = torch.einsum("bt,bth->bh", a_BT, h_BTH.float())  # (7)
        return Pooled(rep_BH, a_BT)
