"""What is on offer for a query: the price levels of what is clicked among the items that fit it.

Somebody who types "nordvik rain jacket" can only buy what there is, and much of what there is is
hardly clicked. PPP may be told so (docs/adr/0022): for a query, item i counts

    clicks_i e^(SHARPNESS (hits_i - best)),    hits_i: words of the query that its title holds,

best: the most words that any clicked item's title holds, with the clicks of the days before; the
counts of the seven levels become shares. A pair or a triple of words says more than each word
alone, and words that no title holds ("cheap") take nothing from what the others say.

Items are found by way of the DEEP most clicked ones of each word; all words of their titles count
as hits then, so a rare word beside a common one finds the items that hold both. It is a pure
function of titles, price levels and statistics, so `samples` and serving agree. The time of a query
grows with its words times DEEP, not with the catalog; what is built grows with MOST, what is kept
with the words times DEEP.
"""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from features.catalog import CatalogArrays
from features.distinct import distinct
from features.items.counts import Counts
from features.questions.relevance import TitleIndex
from features.schemas import PRICE_LEVELS, UNKNOWN_ROW
from features.timeline import Codes, Ints, Spans, codes_of
from features.vocabulary import Vocabulary

Floats = NDArray[np.float32]

SHARPNESS = 5.0
"""Log of what a hit word multiplies a click with (docs/log.md has others)."""
EVEN = 0.2
"""Clicks that each level has to begin with: little evidence says little."""
DEEP = 1_000
"""Most clicked items of a word, by way of which items are found."""
MOST = 1_000_000
"""Most clicked items that are looked at at all; what lies behind them hardly sells."""
_AT_ONCE = 64
"""Queries answered together; bounds their meetings with items to some ten megabytes."""


@dataclass(frozen=True)
class Offers:
    """Which clicked items hold a word; see `Offers.of`."""

    item: Ints
    """Found items, by their place below; those of word w are item[starts[w] : starts[w + 1]]."""
    starts: Ints
    words: Codes
    """(words, found items): the words of their titles, 0 padded below."""
    clicks: NDArray[np.float64]
    level: Ints
    """0..6 of each found item: the paper's level minus one."""
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
        rows = rows[np.argsort(-counts.clicks[rows], kind="stable")][:MOST]
        index = TitleIndex.of(titles.take(pa.array(rows)), vocabulary)
        word, place = _distinct(index.words)  # by word, of each the most clicked first
        starts = np.searchsorted(word, np.arange(word.max(initial=UNKNOWN_ROW) + 2))
        deep = np.arange(len(word)) - starts[word] < DEEP
        found = distinct(place[deep])
        clicks = counts.clicks[rows].astype(np.float64)
        level = catalog.price_level[rows].astype(np.int64) - 1
        return cls(
            item=np.searchsorted(found, place[deep]),
            starts=np.append(0, np.cumsum(np.minimum(np.diff(starts), DEEP))),
            words=np.ascontiguousarray(index.words[found][:, : _width(index.words)].T),
            clicks=clicks[found],
            level=level[found],
            everything=np.bincount(level, clicks, PRICE_LEVELS).astype(np.float64),
        )

    def levels(self, queries: Codes) -> Floats:
        """(queries, 7): share of each price level, cheapest first; even where nothing is known.

        Args:
            queries: (queries, words), token rows, 0 padded.
        """
        found = np.zeros((len(queries), PRICE_LEVELS))
        for start in range(0, len(queries), _AT_ONCE):  # blocks of queries
            found[start : start + _AT_ONCE] = self._clicks(queries[start : start + _AT_ONCE])
        found += EVEN
        return (found / found.sum(axis=1, keepdims=True)).astype(np.float32)

    def _clicks(self, queries: Codes) -> NDArray[np.float64]:
        """(queries, 7): clicks at each level, by how well the items' titles fit."""
        count, items = len(queries), max(len(self.clicks), 1)
        word, asking = _distinct(queries)
        listed = word < len(self.starts) - 1  # later words stand in no clicked title
        word, asking = word[listed], asking[listed]
        spans = Spans(self.starts[word], self.starts[word + 1])
        cut = np.repeat(spans.length == DEEP, spans.length)
        pairs = np.repeat(asking, spans.length) * items + self.item[spans.rows()]
        marked = np.sort(2 * pairs + cut)  # a pair stands there once a word that both hold
        first = np.flatnonzero(np.diff(marked >> 1, prepend=-1))
        asking, item = np.divmod(marked[first] >> 1, items)
        hits = np.add.reduceat(1 - (marked & 1), first) if len(first) else first
        if cut.any():
            hits = hits + self._cut_hits(queries, asking, item)
        best = np.zeros(count, np.int64)
        np.maximum.at(best, asking, hits)
        base = np.exp(-SHARPNESS * best) * (best > 0)  # of a click in a title without any word
        gain = np.exp(SHARPNESS * (hits - best[asking])) - base[asking]
        slot = asking * PRICE_LEVELS + self.level[item]
        found = np.bincount(slot, self.clicks[item] * gain, count * PRICE_LEVELS)
        return found.reshape(-1, PRICE_LEVELS) + base[:, None] * self.everything

    def _cut_hits(self, queries: Codes, asking: Ints, item: Ints) -> Ints:
        """Of each pair of a query and an item, the words with DEEP items that both hold.

        The list of such a word may have been cut, so it is looked for in the titles.
        """
        long = np.append(np.diff(self.starts) == DEEP, [False])
        words = np.sort(queries, axis=1)
        words[:, 1:][words[:, 1:] == words[:, :-1]] = 0
        words[~long[np.minimum(words, len(long) - 1)]] = 0
        words = np.sort(words, axis=1)
        hits = np.zeros(len(item), np.int64)
        for word in words[:, words.any(axis=0)].T:  # at most MAX_WORDS
            mine = word[asking]
            held = np.zeros(len(item), np.bool_)
            for of_titles in self.words:  # as many
                held |= of_titles[item] == mine
            hits += held & (mine > 0)
        return hits


def column(queries: pa.Array, offers: Offers, vocabulary: Vocabulary) -> pa.Array:
    """The `price_offer` column of SAMPLES, of the moments' queries; null without a query."""
    coded = codes_of(queries)
    levels = offers.levels(TitleIndex.of(coded.values, vocabulary).words)
    typed = coded.codes >= 0
    rows = levels[coded.codes[typed]]
    offsets = np.concatenate([[0], np.cumsum(typed * PRICE_LEVELS)]).astype(np.int32)
    mask = pa.array(~typed)
    return pa.ListArray.from_arrays(pa.array(offsets), pa.array(rows.ravel()), mask=mask)


def _width(texts: Codes) -> int:
    """Words of the longest text."""
    return int((texts > 0).sum(axis=1).max(initial=0))


def _distinct(texts: Codes) -> tuple[Ints, Ints]:
    """The known words of the texts, each once a text, and their texts: by word, then by text."""
    count = max(len(texts), 1)
    text, at = np.nonzero(texts > UNKNOWN_ROW)
    return np.divmod(distinct(texts[text, at].astype(np.int64) * count + text), count)
