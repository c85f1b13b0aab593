"""Attention over the behaviours, given query, user and property (Section 4.2, equation 7).

A two-layer net scores each h_t. Its first layer acts on the concatenation (h_t, q, u, p_t), so it
is the sum of four products: those of q and u are computed once a moment instead of T times.

Shape suffixes: B moments, T behaviours, H hidden, P property, Q query, U user, A attention width.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from training.model.dropout import Dropout


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
        self.dropout = Dropout(dropout)
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
        real_BT = torch.arange(h_BTH.shape[1], device=h_BTH.device) < lengths_B[:, None]
        match_BH = None if self.match is None else self.match(context_BC)
        if torch.is_grad_enabled():
            return Pooled(*_pool_and_gradient(score_BT, match_BH, h_BTH, real_BT))
        return _pool(score_BT, match_BH, h_BTH, real_BT)


def _pool(score_BT: Tensor, match_BH: Tensor | None, h_BTH: Tensor, real_BT: Tensor) -> Pooled:
    """Scores, and the match of each h_t where there is one, to weights and their sum of h_t."""
    if match_BH is not None:
        match_B1H = match_BH.to(h_BTH.dtype)[:, None]
        score_BT = score_BT + torch.bmm(match_B1H, h_BTH.transpose(1, 2))[:, 0].float()
    # -1e30, not -inf: the softmax of an empty history must stay finite
    a_BT = torch.softmax(score_BT.masked_fill(~real_BT, -1e30), dim=1) * real_BT
    rep_BH = torch.bmm(a_BT.to(h_BTH.dtype)[:, None], h_BTH)[:, 0].float()  # (7)
    return Pooled(rep_BH, a_BT)


class _Pool(torch.autograd.Function):
    """`_pool` with its gradient by hand: autograd's reads and writes h_BTH four times as often.

    h_t stands in its own match and in the sum; both gradients are one product here, of
    [a_t, ds_t] and [drep; match].
    """

    @staticmethod
    def forward(
        ctx: Any, score_BT: Tensor, match_BH: Tensor | None, h_BTH: Tensor, real_BT: Tensor
    ) -> tuple[Tensor, Tensor]:
        rep_BH, a_BT = _pool(score_BT, match_BH, h_BTH, real_BT)
        ctx.save_for_backward(a_BT, match_BH, h_BTH)
        return rep_BH, a_BT

    @staticmethod
    @once_differentiable
    def backward(
        ctx: Any, drep_BH: Tensor, da_BT: Tensor
    ) -> tuple[Tensor, Tensor | None, Tensor, None]:
        a_BT, match_BH, h_BTH = ctx.saved_tensors
        kind = h_BTH.dtype
        drep_B1H = drep_BH.to(kind)[:, None]
        da_BT = da_BT + torch.bmm(drep_B1H, h_BTH.transpose(1, 2))[:, 0].float()
        ds_BT = a_BT * (da_BT - (a_BT * da_BT).sum(dim=1, keepdim=True))  # zero on padding
        ways_BT, reached_BH, dmatch_BH = [a_BT], [drep_B1H], None
        if match_BH is not None:
            ways_BT.append(ds_BT)
            reached_BH.append(match_BH.to(kind)[:, None])
            dmatch_BH = torch.bmm(ds_BT.to(kind)[:, None], h_BTH)[:, 0].to(match_BH.dtype)
        dh_BTH = torch.bmm(torch.stack(ways_BT, dim=2).to(kind), torch.cat(reached_BH, dim=1))
        return ds_BT, dmatch_BH, dh_BTH, None


_pool_and_gradient: Callable[..., tuple[Tensor, Tensor]] = _Pool.apply
"""Said here once, since releases of torch differ in whether they type `apply`."""
