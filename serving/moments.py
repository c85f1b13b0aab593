"""Many moments with their pages as one batch: what `Ranker` builds for one, side by side.

A closed loop ranks thousands of pages at a time, so nothing here loops over them. The batch is the
one that training reads (without labels), so that any model over `training.batch` can answer it; the
ranking features are those of `samples` and of the service, by the same function.

Shape suffixes: B moments, K candidates of each, Q query words, P profile columns.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray

from features import ranking
from features.property import told
from features.query import tokens_of
from features.questions.meetings import Candidates, Pasts
from features.questions.offers import Offers
from features.questions.relevance import TitleIndex
from features.questions.world import World
from features.schemas import UNKNOWN_ROW
from features.timeline import Codes, Ints, Spans
from features.vocabulary import Vocabulary
from serving.items import vocabulary_rows
from training.batch import Batch, VocabularySizes
from training.collate import known

Floats = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class Moments:
    """Who asks what, when: `serving.ranker.Moment`, many of them."""

    ts: Ints
    """(B,), UTC milliseconds."""
    length: Ints
    """(B,): behaviours of each history. The next four hold all histories, one after the other,
    each of at most 100 behaviours strictly before its moment, oldest first."""
    item: Codes
    """Catalog rows."""
    behaved: Ints
    """UTC milliseconds."""
    type: NDArray[np.int8]
    scenario: NDArray[np.int8]
    query: Codes
    """(B, Q): token rows, 0 padded; Q may be 0."""
    profile: Codes
    """(B, P): a row a profile column; zeros for somebody without a profile."""

    def __len__(self) -> int:
        return len(self.ts)

    @property
    def spans(self) -> Spans:
        """Rows of each history."""
        stop = np.cumsum(self.length)
        return Spans(stop - self.length, stop)

    def take(self, rows: Ints) -> "Moments":
        """Some moments, in the order asked."""
        spans = self.spans
        behaviours = Spans(spans.start[rows], spans.stop[rows]).rows()
        return Moments(
            ts=self.ts[rows],
            length=self.length[rows],
            item=self.item[behaviours],
            behaved=self.behaved[behaviours],
            type=self.type[behaviours],
            scenario=self.scenario[behaviours],
            query=self.query[rows],
            profile=self.profile[rows],
        )


@dataclass(frozen=True)
class Pages:
    """Moments with their candidates, as a model reads them."""

    batch: Batch
    """Candidate k of moment b is number b * K + k."""
    rows: Codes
    """Catalog row of each of `batch.items`; the first is padding."""
    features: Floats
    """(B * K, len(ranking.NAMES))."""


@dataclass(frozen=True)
class Desk:
    """The tables that pages are built from.

    Args:
        world: catalog, item figures, clock.
        titles: of its catalog.
        sizes: of the vocabularies that the model knows; later rows are unknown to it.
        offers: of the world, for a model that asks what is on offer.
    """

    world: World
    titles: TitleIndex
    sizes: VocabularySizes
    offers: Offers | None = None

    def pages(self, moments: Moments, candidates_BK: Codes) -> Pages:
        """The batch of some moments and the catalog rows to be ranked at each."""
        candidates_BK = np.where(candidates_BK < 0, UNKNOWN_ROW, candidates_BK)
        candidates_BK = known(candidates_BK, self.world.catalog.num_rows).astype(np.int32)
        given = self._features(moments, candidates_BK)
        rows, places = _distinct(np.concatenate([moments.item, candidates_BK.ravel()]))
        count, width = candidates_BK.size, candidates_BK.shape[1]
        none, nothing = torch.empty(0, dtype=torch.long), torch.empty(0)
        labels = {f"cand_{name}_C": nothing for name in ("clicked", "label", "weight")}
        questions = {
            f"{name}_{axis}": none
            for axis, names in (
                ("K", ("price_moment", "price_level")),
                ("I", ("icon_moment", "icon")),
                ("S", ("shop_moment", "shop")),
            )
            for name in names
        }
        batch = Batch(
            items=vocabulary_rows(self.world.catalog, self.sizes, rows),
            **self._sequences(moments, places[: len(moments.item)]),
            length_B=torch.from_numpy(moments.length),
            query_BQ=_long(known(moments.query, self.sizes.token)),
            profile_BP=_long(self._profile(moments)),
            offer_BL=self._offers(moments),
            cand_C=torch.from_numpy(places[len(moments.item) :]),
            cand_moment_C=torch.from_numpy(np.arange(count) // max(width, 1)),
            cand_features_CF=torch.from_numpy(given),
            cand_origin_C=none,
            icon_followed_I=nothing,
            shop_preferred_S=nothing,
            **labels,
            **questions,
        )
        return Pages(batch, rows, given)

    def _sequences(self, moments: Moments, places: Ints) -> dict[str, torch.Tensor]:
        """Padded on the right to the longest history."""
        owner = np.repeat(np.arange(len(moments)), moments.length)
        within = np.arange(len(owner)) - np.repeat(moments.spans.start, moments.length)
        until, clock = moments.ts[owner], self.world.clock
        columns: dict[str, NDArray[np.integer[Any]]] = {
            "seq": places,
            **told(moments.type, moments.scenario, moments.behaved, until, clock),
        }
        shape = (len(moments), int(moments.length.max(initial=0)))
        padded = {}
        for name, values in columns.items():
            table = np.zeros(shape, np.int64)
            table[owner, within] = values
            padded[f"{name}_BT"] = torch.from_numpy(table)
        return padded

    def _offers(self, moments: Moments) -> torch.Tensor | None:
        if self.offers is None:
            return None
        return torch.from_numpy(self.offers.levels(moments.query))

    def _profile(self, moments: Moments) -> NDArray[np.generic]:
        sizes = np.array(self.sizes.profile, np.int64)
        if moments.profile.shape[1] != len(sizes):  # nobody has a profile
            return np.full((len(moments), len(sizes)), UNKNOWN_ROW, np.int64)
        return np.where(moments.profile < sizes, moments.profile, UNKNOWN_ROW)

    def _features(self, moments: Moments, candidates_BK: Codes) -> Floats:
        count = len(moments)
        pasts = Pasts(
            owner=np.repeat(np.arange(count, dtype=np.int32), moments.length),
            item=moments.item,
            type=moments.type,
            ts=moments.behaved,
            spans=moments.spans,
            moment_owner=np.arange(count, dtype=np.int32),
            moment_ts=moments.ts,
        )
        asked = Candidates(
            moment=np.repeat(np.arange(count), candidates_BK.shape[1]),
            item=candidates_BK.ravel(),
            relevance=self.titles.of_pages(moments.query, candidates_BK).ravel(),
        )
        return ranking.features(asked, pasts, self.world.catalog, self.world.item_table)


def query_tokens(texts: pa.Array, vocabulary: Vocabulary) -> Codes:
    """(B, Q): token rows of many queries, 0 padded; a null has none."""
    lists = tokens_of(texts, vocabulary)
    length = lists.value_lengths().to_numpy().astype(np.int64)
    table = np.zeros((len(length), int(length.max(initial=0))), np.int32)
    owner = np.repeat(np.arange(len(length)), length)
    within = np.arange(len(owner)) - np.repeat(np.cumsum(length) - length, length)
    table[owner, within] = lists.flatten().to_numpy()
    return table


def _distinct(rows: Codes) -> tuple[Codes, Ints]:
    """Padding and the distinct rows, and the place of each row among them."""
    found = np.zeros(int(rows.max(initial=0)) + 1, bool)
    found[rows] = True
    found[0] = True
    return np.flatnonzero(found).astype(np.int32), (np.cumsum(found) - 1)[rows]


def _long(values: NDArray[np.generic]) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(values, np.int64))
