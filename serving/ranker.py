"""One request, answered by the disassembled network (Sections 3 and 7).

The deep part runs once a moment: history -> representation, price preference, and the moment's
share of the heads. Then every candidate costs a row of the item table, a small layer and an inner
product; L2R's weights combine its ranking features (equation 9), which are computed by the very
function that `samples` uses.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache, partial

import numpy as np
import torch
from numpy.typing import NDArray

from features import ranking
from features.property import told
from features.questions.meetings import Candidates, Pasts
from features.questions.offers import Offers
from features.questions.relevance import TitleIndex
from features.questions.world import World
from features.schemas import SEQUENCE_LENGTH, UNKNOWN_ROW
from features.timeline import Codes, Ints, Spans
from serving.items import ItemTable
from serving.pairs import Pairs
from serving.user_part import Heard, Inputs, TorchPart, UserPart
from training.collate import known
from training.model.dupn import Dupn

Floats = NDArray[np.float32]
_QUERIES = 1 << 14
"""Queries whose offers are remembered: many ask the same, and it is the same for everybody."""


@dataclass(frozen=True)
class History:
    """Behaviours strictly before a moment, oldest first, at most 100."""

    item: Codes
    """Catalog rows."""
    ts: Ints
    """UTC milliseconds."""
    type: NDArray[np.int8]
    scenario: NDArray[np.int8]


@dataclass(frozen=True)
class Moment:
    """Who asks what, when; everything as rows and numbers."""

    ts: int
    """UTC milliseconds."""
    history: History
    query: Codes
    """Token rows; empty where nothing was typed."""
    profile: Codes
    """A row a profile column."""


@dataclass(frozen=True)
class Ranked:
    """Scores in the order of the candidates."""

    ctr: Floats
    """Probability of a click."""
    l2r: Floats
    features: Floats
    """[candidates, len(ranking.NAMES)]."""


class Ranker:
    """Answers moments; safe to share between threads, since nothing in it changes.

    Args:
        model: the network, in eval mode.
        items: its item half.
        world: tables that ranking features are looked up in.
        titles: of the world's catalog.
        user_part: its deep part; None: the network itself.
    """

    def __init__(
        self,
        model: Dupn,
        items: ItemTable,
        world: World,
        titles: TitleIndex,
        user_part: UserPart | None = None,
    ) -> None:
        self.model = model
        self.items = items
        self.world = world
        self.titles = titles
        self.user_part = user_part or TorchPart(model)
        self.pairs = Pairs(model, items)
        self.offers = world.offers if model.config.price_offers else None
        self._offer = lru_cache(maxsize=_QUERIES)(partial(_on_offer, self.offers))

    @torch.inference_mode()
    def hear(self, moment: Moment) -> Heard:
        """Everything that does not depend on the candidates."""
        return self.user_part.hear(self.inputs(moment))

    @torch.inference_mode()
    def rank(self, moment: Moment, heard: Heard, candidates: Codes) -> Ranked:
        """Score candidates (catalog rows; any other is an unknown item) for a moment."""
        candidates = known(candidates, self.world.catalog.num_rows)
        logit_C = self.pairs.ctr(heard.click, candidates)
        given = self.features(moment, candidates)
        l2r_C = self.pairs.l2r(heard.weight_F, torch.from_numpy(given), logit_C)
        return Ranked(torch.sigmoid(logit_C).numpy(), l2r_C.numpy(), given)

    def features(self, moment: Moment, candidates: Codes) -> Floats:
        """Ranking features of the candidates, as `samples` has them."""
        history = moment.history
        length = len(history.item)
        pasts = Pasts(
            owner=np.zeros(length, np.int32),
            item=history.item,
            type=history.type,
            ts=history.ts,
            spans=Spans(np.zeros(1, np.int64), np.full(1, length, np.int64)),
            moment_owner=np.zeros(1, np.int32),
            moment_ts=np.full(1, moment.ts, np.int64),
        )
        asked = Candidates(
            moment=np.zeros(len(candidates), np.int64),
            item=candidates,
            relevance=self.titles.relevance(moment.query, candidates),
        )
        return ranking.features(asked, pasts, self.world.catalog, self.world.item_table)

    def inputs(self, moment: Moment) -> Inputs:
        """The moment in the network's own rows."""
        history, sizes = moment.history, self.model.sizes
        catalog_rows = self.world.catalog.num_rows
        return Inputs(
            e_TE=self.items.of(history.item)[1].numpy(),
            price_T=self.world.catalog.price_level[known(history.item, catalog_rows)],
            properties=told(
                history.type, history.scenario, history.ts, moment.ts, self.world.clock
            ),
            words_Q=known(moment.query, sizes.token),
            profile_P=_profile(moment.profile, sizes.profile),
            offer_L=self._offer(tuple(moment.query.tolist())),
        )


def _on_offer(offers: Offers | None, query: tuple[int, ...]) -> Floats | None:
    """Shares of the price levels on offer for a query's words; the same for everybody."""
    return None if offers is None else offers.levels(np.array([query], np.int32))[0]


def order_of(scores: Floats, top: int) -> Ints:
    """Positions of the `top` best scores, best first; of equal scores the earlier candidate."""
    top = min(top, len(scores))
    if top < len(scores) // 4:  # a partial sort, but with every score equal to the last one
        least = np.partition(scores, len(scores) - top)[len(scores) - top]
        chosen = np.flatnonzero(scores >= least)
        return chosen[np.argsort(-scores[chosen], kind="stable")][:top]
    return np.argsort(-scores, kind="stable")[:top]


def order_of_named(scores: Floats, top: int, named: NDArray[np.uint64]) -> Ints:
    """The same, each candidate once, where it stands first; `named` tells them apart."""
    order = order_of(scores, top)
    shown = np.sort(named[order])
    if (shown[1:] != shown[:-1]).all():  # as ever: what is not shown is not looked through
        return order
    first = np.sort(np.unique(named, return_index=True)[1])
    return first[order_of(scores[first], top)]


def newest(history: History, before_ts: int) -> History:
    """The last 100 behaviours strictly before a time, of a history in time order."""
    stop = int(np.searchsorted(history.ts, before_ts))
    keep = slice(max(0, stop - SEQUENCE_LENGTH), stop)
    return History(history.item[keep], history.ts[keep], history.type[keep], history.scenario[keep])


def _profile(rows: Codes, sizes: Sequence[int]) -> NDArray[np.int64]:
    """A row a column; of a user without a profile nothing is known, as in samples."""
    given = rows if len(rows) else np.full(len(sizes), UNKNOWN_ROW, np.int32)
    return np.where(given < np.array(sizes, np.int64), given, UNKNOWN_ROW).astype(np.int64)
