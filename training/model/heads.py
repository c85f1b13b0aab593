"""The tasks' shallow networks over the representation (Section 4.3, Figure 5).

Every head splits where Section 7 ("network disassembly") wants it: `of_moment` is computed once a
moment and may be kept; the rest runs per candidate. A pair head's first layer over (rep, e) is the
sum W_u rep + W_i e, which is the same layer, cut in two.

Shape suffixes: B moments, R representation, C pairs (moment, other), E the other's vector, D first
hidden layer, F ranking features, K price questions, of 7 levels each.
"""

from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor, nn

from training.model.dropout import Dropout
from training.model.embedding import rows_of


class MomentPart(NamedTuple):
    """What a pair head needs to know of a moment; rows are chosen by a pair's moment."""

    hidden_BD: Tensor
    match_BE: Tensor | None  # None: interaction "concat"

    def of(self, moment_C: Tensor) -> "MomentPart":
        """The part of each pair's moment."""
        match = None if self.match_BE is None else rows_of(self.match_BE, moment_C)
        return MomentPart(rows_of(self.hidden_BD, moment_C), match)


class PairHead(nn.Module):
    """Logit of (rep, other): CTR over items, FIFP over icons, SPP over shops."""

    def __init__(
        self, rep_dim: int, other_dim: int, hidden: tuple[int, ...], dropout: float, product: bool
    ) -> None:
        super().__init__()
        self.first_of_rep = nn.Linear(rep_dim, hidden[0])
        self.first_of_other = nn.Linear(other_dim, hidden[0], bias=False)
        self.match = nn.Linear(rep_dim, other_dim) if product else None
        self.rest = mlp((*hidden, 1), dropout)
        self.dropout = Dropout(dropout)

    def of_moment(self, rep_BR: Tensor, wish_BE: Tensor | None = None) -> MomentPart:
        """The part that candidates share; `wish_BE` is added to what they are matched with."""
        match = None if self.match is None else self.match(rep_BR)
        if match is not None and wish_BE is not None:
            match = match + wish_BE
        return MomentPart(self.first_of_rep(rep_BR), match)

    def of_pair(self, part: MomentPart, other_CE: Tensor) -> Tensor:
        """`logit_C`; `part` is already one row a pair, or one row for all."""
        return self.of_known(part, self.first_of_other(other_CE), other_CE)

    def of_known(self, part: MomentPart, first_CD: Tensor, other_CE: Tensor) -> Tensor:
        """`of_pair` where W_i e_i was computed before."""
        hidden_CD = torch.relu(part.hidden_BD + first_CD)
        logit_C: Tensor = self.rest(self.dropout(hidden_CD)).squeeze(-1)
        if part.match_BE is not None:
            logit_C = logit_C + (part.match_BE * other_CE).sum(dim=-1)
        return logit_C.float()

    def forward(self, rep_BR: Tensor, other_CE: Tensor, moment_C: Tensor) -> Tensor:
        """`logit_C` of each other vector at its moment."""
        return self.of_pair(self.of_moment(rep_BR).of(moment_C), other_CE)


class RankingHead(nn.Module):
    """L2R: the weight of each ranking feature, and of a constant, from the representation.

    Equation (9) has no constant: with the feature `bias`, always 1, the term stands there twice.
    It orders no candidates of a moment otherwise (docs/adr/0007).
    """

    def __init__(self, rep_dim: int, features: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.weight = mlp((rep_dim, hidden, features + 1), dropout)

    def of_moment(self, rep_BR: Tensor) -> Tensor:
        """`weight(rep; theta)` of equation (9), the constant's last."""
        weights: Tensor = self.weight(rep_BR)
        return weights.float()

    def of_pair(self, weight_CF: Tensor, features_CF: Tensor) -> Tensor:
        """`weight(rep)^T r`: the score of each candidate."""
        return (weight_CF[..., :-1] * features_CF).sum(dim=-1) + weight_CF[..., -1]


class PriceHead(nn.Module):
    """PPP: `predict(rep, i; gamma)` of equation (10) for each of the price levels."""

    def __init__(self, rep_dim: int, levels: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.predict = mlp((rep_dim, hidden, levels), dropout)

    def forward(self, rep_KR: Tensor) -> Tensor:
        """`z_K7`."""
        z_K7: Tensor = self.predict(rep_KR)
        return z_K7.float()


def mlp(widths: tuple[int, ...], dropout: float) -> nn.Sequential:
    """Linear layers with ReLU and dropout between them, none of either after the last."""
    layers: list[nn.Module] = []
    for wide, narrow in pairwise(widths):
        layers += [nn.Linear(wide, narrow), nn.ReLU(), Dropout(dropout)]
    return nn.Sequential(*layers[:-2])
