"""The shallow second part of the network over thousands of candidates (Section 7).

What `PairHead.of_known` and `RankingHead.of_pair` compute, arranged for one moment: a block of
candidates at a time goes from the item table through all layers while it lies in the core's cache,
in memory that is used again. Whole-list tensors would be written to fresh pages and read back
between any two operations, which takes longer than the arithmetic.

Shape suffixes: C candidates, D first hidden layer, E item vector, F ranking features.
"""

import torch
from torch import Tensor, nn

from features.timeline import Codes
from serving.items import ItemTable
from training.model.dupn import Dupn
from training.model.heads import MomentPart

AT_ONCE = 512
"""Candidates of a block: half a megabyte of item table, a quarter of a core's L2."""


class Pairs:
    """CTR logit and L2R score of one moment's candidates; shared by threads, never changed.

    Args:
        model: in eval mode.
        items: its item half.
        at_once: candidates of a block.
    """

    def __init__(self, model: Dupn, items: ItemTable, at_once: int = AT_ONCE) -> None:
        self.model = model
        self.at_once = at_once
        self.items = items
        *hidden, last = [layer for layer in model.ctr.rest if isinstance(layer, nn.Linear)]
        self._hidden = [(layer.weight.t().contiguous(), layer.bias) for layer in hidden]
        self._last = (last.weight[0], last.bias)

    def ctr(self, part: MomentPart, candidates: Codes) -> Tensor:
        """`logit_C` of catalog rows; `part` is one moment's."""
        logit_C = torch.empty(len(candidates))
        match_E = None if part.match_BE is None else part.match_BE[0]
        weight, bias = self._last
        for start in range(0, len(candidates), self.at_once):  # blocks of candidates
            block = slice(start, start + self.at_once)
            known_CD, e_CE = self.items.of(candidates[block])
            hidden = known_CD.add_(part.hidden_BD).relu_()
            for matrix, shift in self._hidden:
                hidden = torch.addmm(shift, hidden, matrix).relu_()
            out = torch.mv(hidden, weight, out=logit_C[block])
            if match_E is not None:
                out.addmv_(e_CE, match_E)
        return logit_C.add_(bias)

    def l2r(self, weight_F: Tensor, given_CF: Tensor, logit_C: Tensor) -> Tensor:
        """`score_C` of equation (9), `weight_F` being one moment's; the constant's is the last."""
        count = given_CF.shape[1]
        score_C = torch.mv(given_CF, weight_F[:count]).add_(weight_F[-1])
        if self.model.config.ranks_with_ctr:
            score_C.addcmul_(logit_C, weight_F[count])
        return score_C
