"""What is on offer for a query: the price levels of what is clicked among the items that fit it.

Somebody who types "nordvik rain jacket" can only buy what there is, and much of what there is is
hardly clicked. PPP may be told so (docs/adr/0022): for a query, item i counts

    clicks_i e^(SHARPNESS (hits_i - best)),    hits_i: words of the query that its title holds,

best: the most words that any clicked item's title holds, with the clicks of the days before; the
counts of the seven levels become shares. A pair or a triple of words says more than each word
alone, and words that no title holds ("cheap") take nothing from what the others say.

It is a pure function of titles, price levels and statistics, so `samples` and serving agree. Time
and memory grow with the words of a query times DEEP, not with the catalog; what is kept grows
with the items that were ever clicked, at most DEEP for each word.
"""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from features.catalog import CatalogArrays
from features.counts import Counts
from features.distinct import distinct
from features.relevance import Tokens
from features.schemas import PRICE_LEVELS, UNKNOWN_ROW
from features.timeline import Codes, Ints, Spans, codes_of
from features.vocabulary import Vocabulary

Floats = NDArray[np.float32]

SHARPNESS = 5.0
"""Log of what a hit word multiplies a click with. 3.5 and 8 are a little worse (docs/log.md)."""
EVEN = 0.2
"""Clicks that each level has to begin with: little evidence says little."""
DEEP = 1_000
"""Most clicked items of a word; what lies behind them hardly sells."""
_AT_ONCE = 512
"""Queries answered together; bounds their meetings with items to some ten megabytes."""


@dataclass(frozen=True)
class Offers:
    """Which clicked items hold a word; see `Offers.of`."""

    item: Ints
    """Clicked items, by their place below; those of word w are item[starts[w] : starts[w + 1]]."""
    starts: Ints
    clicks: NDArray[np.float64]
    level: Ints
    """0..6 of each clicked item: the paper's level minus one."""
    everything: NDArray[np.float64]
    """(7,): all clicks at each level."""

    @classmethod
    def of(
        cls, titles: pa.Array, vocabulary: Vocabulary, catalog: CatalogArrays, counts: Counts
    ) -> "Offers":
        """The offers of a day.

        Args:
            titles: by catalog row.
            vocabulary: of the titles' words.
            catalog: of that day; items without a price level are left out.
            counts: by catalog row, of the days before.
        """
        rows = np.flatnonzero((counts.clicks > 0) & (catalog.price_level > 0))
        rows = rows[np.argsort(-counts.clicks[rows], kind="stable")]
        title = Tokens.of(titles.take(pa.array(rows)), vocabulary)
        word, place = _distinct(title)  # by word, of each the most clicked first
        starts = np.searchsorted(word, np.arange(word.max(initial=UNKNOWN_ROW) + 2))
        deep = np.arange(len(word)) - starts[word] < DEEP
        clicks = counts.clicks[rows].astype(np.float64)
        level = catalog.price_level[rows].astype(np.int64) - 1
        return cls(
            item=place[deep],
            starts=np.append(0, np.cumsum(np.minimum(np.diff(starts), DEEP))),
            clicks=clicks,
            level=level,
            everything=np.bincount(level, clicks, PRICE_LEVELS).astype(np.float64),
        )

    def levels(self, query: Tokens) -> Floats:
        """(queries, 7): share of each price level, cheapest first; even where nothing is known."""
        count = len(query.length)
        found = np.zeros((count, PRICE_LEVELS))
        for start in range(0, count, _AT_ONCE):  # blocks of queries
            offsets = query.offsets[start : start + _AT_ONCE + 1]
            values = query.values[offsets[0] : offsets[-1]]
            block = Tokens(values, offsets - offsets[0])
            found[start : start + _AT_ONCE] = self._clicks(block)
        found += EVEN
        return (found / found.sum(axis=1, keepdims=True)).astype(np.float32)

    def _clicks(self, query: Tokens) -> NDArray[np.float64]:
        """(queries, 7): clicks at each level, by how well the items' titles fit."""
        count, items = len(query.length), max(len(self.clicks), 1)
        word, owner = _distinct(query)
        known = word < len(self.starts) - 1  # later words stand in no clicked title
        word, owner = word[known], owner[known]
        spans = Spans(self.starts[word], self.starts[word + 1])
        pairs = np.repeat(owner, spans.length) * items + self.item[spans.rows()]
        pairs, hits = np.unique(pairs, return_counts=True)
        asking, item = np.divmod(pairs, items)
        best = np.zeros(count, np.int64)
        np.maximum.at(best, asking, hits)
        none = np.exp(-SHARPNESS * best) * (best > 0)  # of a click in a title without any word
        more = np.exp(SHARPNESS * (hits - best[asking])) - none[asking]
        slot = asking * PRICE_LEVELS + self.level[item]
        found = np.bincount(slot, self.clicks[item] * more, count * PRICE_LEVELS)
        return found.reshape(-1, PRICE_LEVELS) + none[:, None] * self.everything


def column(queries: pa.Array, offers: Offers, vocabulary: Vocabulary) -> pa.Array:
    """The `price_offer` column of SAMPLES, of the moments' queries; null without a query."""
    coded = codes_of(queries)
    levels = offers.levels(Tokens.of(coded.values, vocabulary))
    typed = coded.codes >= 0
    rows = levels[coded.codes[typed]]
    offsets = np.concatenate([[0], np.cumsum(typed * PRICE_LEVELS)]).astype(np.int32)
    mask = pa.array(~typed)
    return pa.ListArray.from_arrays(pa.array(offsets), pa.array(rows.ravel()), mask=mask)


def of_rows(queries: Codes, offers: Offers) -> Floats:
    """(B, 7) of (B, Q) token rows, 0 padded."""
    typed = queries > 0
    offsets = np.concatenate([[0], np.cumsum(typed.sum(axis=1))])
    return offers.levels(Tokens(queries[typed], offsets.astype(np.int64)))


def _distinct(texts: Tokens) -> tuple[Ints, Ints]:
    """The known words of the texts, each once a text, and their texts: by word, then by text."""
    owner = np.repeat(np.arange(len(texts.length)), texts.length)
    known = texts.values > UNKNOWN_ROW
    count = max(len(texts.length), 1)
    pairs = distinct(texts.values[known].astype(np.int64) * count + owner[known])
    word, text = np.divmod(pairs, count)
    return word, text
