"""What PPP remembers of prices: of the behaviours that match the moment, and of the words typed.

Equation (10) reads the price level to be bought from rep alone, which has it by way of the items'
tags and after an LSTM. With `model.price_memory` it is told more directly (docs/adr/0018):

- the price levels of the history, as shares under several weights: by what a behaviour was, how
  long ago, and how well its item matches what is looked for now;
- for each word of the query, a score a level: what people who typed it went for;
- with `model.price_offers`, what is on offer for the whole query (`features.questions.offers`).

The memory reads vectors that the other tasks learn, and teaches them nothing: its inputs are cut
off from the gradient, so that a lesson of prices does not pull at what items are matched with.

Shape suffixes: see `training.batch`; E item, P property, U user, W query vector, H ways of
weighing, L = 7 price levels.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from features.schemas import PRICE_LEVELS
from training.model.embedding import sparse_table

MATCHES = (0.0, 2.0)
"""What the match is multiplied with in each way of weighing a history, to begin with: one takes
all there is, one what matches. Four ways are no better (docs/log.md)."""
WAYS = len(MATCHES)
FLOOR = 0.03
"""Added to a share before its logarithm: a level that no behaviour had is not excluded."""
STRIDE = 4.0
"""A step of AdaGrad is as long as the learning rate, whatever the loss; shares and words move the
scores this many times as far, since one passage over the data meets a word a few dozen times."""


class MemoryDims(NamedTuple):
    """Widths of what the memory reads."""

    item: int
    property: int
    """0: behaviours have no properties."""
    query: int
    user: int
    offers: bool
    """Whether what is on offer is heard."""


class Seen(NamedTuple):
    """What there is to remember of each moment."""

    e_BTE: Tensor
    p_BTP: Tensor
    level_BT: Tensor
    """1..7 of each behaviour's item; 0: not known, or right of the history."""
    words_BQ: Tensor
    q_BW: Tensor
    u_BU: Tensor
    wish_BE: Tensor | None
    """What the CTR head matches items with for the query's sake, where it does."""
    offer_BL: Tensor | None
    """Shares of the levels on offer for the query; None: not known."""

    def detached(self) -> "Seen":
        """The same, cut off from the gradient."""
        rest = {name: x.detach() for name, x in self._asdict().items() if x is not None}
        return Seen(**{"wish_BE": None, "offer_BL": None, **rest})


class PriceMemory(nn.Module):
    """Scores of the price levels, to be added to those of the representation.

    Args:
        dims: widths.
        tokens: rows of the table of words.
    """

    def __init__(self, dims: MemoryDims, tokens: int) -> None:
        super().__init__()
        self.of_property = nn.Linear(dims.property, WAYS, bias=False) if dims.property else None
        self.of_match = nn.Parameter(torch.tensor(MATCHES))
        self.match = nn.Linear(dims.query + dims.user, dims.item, bias=False)
        self.of_shares = nn.Linear(2 * WAYS * PRICE_LEVELS, PRICE_LEVELS)
        self.words = sparse_table(tokens, PRICE_LEVELS, 0.0)
        nn.init.zeros_(self.of_shares.weight)  # it says nothing before it has learnt something
        nn.init.zeros_(self.of_shares.bias)
        self.of_offers: nn.Linear | None = None
        if dims.offers:
            self.of_offers = nn.Linear(PRICE_LEVELS, PRICE_LEVELS, bias=False)
            nn.init.zeros_(self.of_offers.weight)

    def forward(self, seen: Seen) -> Tensor:
        """`z_BL`."""
        shares_BHL = self.shares(seen.detached())
        against_even_BHL = torch.log(PRICE_LEVELS * (shares_BHL + FLOOR))
        both_BX = torch.cat([STRIDE * shares_BHL, against_even_BHL], dim=1).flatten(1)
        z_BL: Tensor = self.of_shares(both_BX) + self.of_words(seen.words_BQ)
        if self.of_offers is not None and seen.offer_BL is not None:
            z_BL = z_BL + self.of_offers(torch.log(PRICE_LEVELS * seen.offer_BL))
        return z_BL.float()

    def of_words(self, words_BQ: Tensor) -> Tensor:
        """`z_BL` of token rows, 0 padded: the words' scores, added as log odds are."""
        scores_BL: Tensor = STRIDE * self.words(words_BQ).sum(dim=1)
        return scores_BL

    def shares(self, seen: Seen) -> Tensor:
        """`shares_BHL`: of each level among the behaviours whose price is known; zeros without."""
        wanted_BE = self.match(torch.cat([seen.q_BW, seen.u_BU], dim=-1))
        if seen.wish_BE is not None:
            wanted_BE = wanted_BE + seen.wish_BE
        match_BT = torch.bmm(seen.e_BTE, wanted_BE[:, :, None])[:, :, 0]
        score_BHT = self.of_match[:, None] * match_BT[:, None]
        if self.of_property is not None:
            score_BHT = score_BHT + self.of_property(seen.p_BTP).transpose(1, 2)
        known_B1T = (seen.level_BT > 0)[:, None]
        # -1e30, not -inf: the softmax of a history without prices must stay finite
        weight_BHT = torch.softmax(score_BHT.float().masked_fill(~known_B1T, -1e30), dim=2)
        # a behaviour without a price is of no level: what weight it has counts nowhere
        is_BTL = F.one_hot(seen.level_BT, PRICE_LEVELS + 1)[:, :, 1:].float()
        return torch.bmm(weight_BHT, is_BTL)
