"""Many pages at once through the disassembled network: to 1e-5 what `Ranker` says one by one.

Histories of like length are encoded together; item vectors come from the item table, ranking
features from `features.ranking`. Pages are ordered by the L2R score, which combines all the ranking
features (Section 5), the click probability among them; `Service` orders them so, too, but for items
that no catalog has, which it puts behind the others (here they have the score of unknown rows).

Shape suffixes: see `serving.moments`; R representation.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from features.schemas import PRICE_LEVELS
from features.timeline import Codes, Ints
from serving.moments import Desk, Moments, Pages
from serving.ranker import Ranker
from training.model.embedding import rows_of

Floats = NDArray[np.float32]
AT_ONCE = 512
"""Moments encoded together: enough to fill a core's vector units, few enough to be alike."""


@dataclass(frozen=True)
class Scored:
    """Answers in the order of the candidates."""

    ctr: Floats
    """(B, K): probability of a click."""
    l2r: Floats
    """(B, K): the ranking score."""
    price_preference: Floats
    """(B, 7): probabilities of the price levels, cheapest first."""

    @property
    def price_level(self) -> NDArray[np.int8]:
        """(B,): the likeliest level, 1..7."""
        return (self.price_preference.argmax(axis=1) + 1).astype(np.int8)


class PageRanker:
    """A served version's ranker for many moments at a time; nothing in it changes.

    Args:
        ranker: network, item table, and the tables that features are looked up in.
    """

    def __init__(self, ranker: Ranker) -> None:
        self.ranker = ranker
        self.desk = Desk(ranker.world, ranker.titles, ranker.model.sizes, ranker.offers)

    def rank(self, moments: Moments, candidates_BK: Codes) -> Scored:
        """Score the candidates of every moment (catalog rows; negative ones as unknown items)."""
        count, width = candidates_BK.shape
        scored = Scored(
            ctr=np.empty((count, width), np.float32),
            l2r=np.empty((count, width), np.float32),
            price_preference=np.empty((count, PRICE_LEVELS), np.float32),
        )
        order = np.argsort(moments.length, kind="stable")
        for start in range(0, count, AT_ONCE):  # blocks of moments
            rows = order[start : start + AT_ONCE]
            pages = self.desk.pages(moments.take(rows), candidates_BK[rows])
            self._answer(pages, scored, rows)
        return scored

    @torch.inference_mode()
    def _answer(self, pages: Pages, scored: Scored, rows: Ints) -> None:
        model, batch = self.ranker.model, pages.batch
        hidden_UD, e_UE = self.ranker.items.of(pages.rows)
        encoded = model.user_part(batch, e_UE)
        moment_C, item_C = batch.cand_moment_C, batch.cand_C
        part = model.click_part(encoded).of(moment_C)
        logit_C = model.ctr.of_known(part, rows_of(hidden_UD, item_C), rows_of(e_UE, item_C))
        features_CF = model.ranking_features(batch.cand_features_CF, logit_C)
        weight_CF = rows_of(model.ranking_part(encoded), moment_C)
        shape = (len(rows), -1)
        scored.ctr[rows] = torch.sigmoid(logit_C).numpy().reshape(shape)
        scored.l2r[rows] = model.l2r.of_pair(weight_CF, features_CF).numpy().reshape(shape)
        scored.price_preference[rows] = torch.softmax(model.price_levels(encoded), dim=-1).numpy()
