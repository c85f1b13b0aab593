"""How well a query fits a title: the share of the query's words that stand in it (Section 3).

`relevance` answers many queries about a few titles each (samples); `TitleIndex` one query about
thousands (serving). Both give the same numbers.
"""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from features.query import MAX_WORDS, tokens_of
from features.schemas import UNKNOWN_ROW
from features.timeline import Codes, Ints
from features.vocabulary import Vocabulary


class Titles:
    """The words of a catalog's titles, each split when it is first asked for; threads share it.

    Every bucket of a day asks about much the same items. What is kept grows with the items that
    were asked for (64 bytes each), and with a byte for every item of the catalog.

    Args:
        titles: by catalog row.
        vocabulary: of their words.
    """

    def __init__(self, titles: pa.Array, vocabulary: Vocabulary) -> None:
        self._titles, self._vocabulary = titles, vocabulary
        self._words = np.zeros((len(titles), MAX_WORDS), np.int32)  # pages come when written
        self._split = np.zeros(len(titles), np.bool_)

    def words(self, rows: Codes) -> Codes:
        """(rows, MAX_WORDS): token rows of each title, 0 padded."""
        new = np.unique(rows[~self._split[rows]])
        if len(new):
            self._words[new] = word_table(self._titles.take(pa.array(new)), self._vocabulary)
            self._split[new] = True  # last: another thread may split them too, never miss them
        return self._words[rows]


def word_table(texts: pa.Array, vocabulary: Vocabulary) -> Codes:
    """(texts, MAX_WORDS): token rows of each text, 0 padded; nothing for null."""
    lists = tokens_of(texts, vocabulary)
    offsets = lists.offsets.to_numpy().astype(np.int64)
    table = np.zeros((len(texts), MAX_WORDS), np.int32)
    length = np.diff(offsets)
    row = np.repeat(np.arange(len(texts)), length)
    table[row, np.arange(len(row)) - np.repeat(offsets[:-1] - offsets[0], length)] = lists.flatten()
    return table


def relevance(queries: Codes, query_of: Ints, held: Codes) -> NDArray[np.float32]:
    """Per candidate, the share of its query's words that its title holds; 0 without a query.

    Args:
        queries: (queries, words), 0 padded on the right.
        query_of: the query of each candidate.
        held: (candidates, words) of its title, 0 padded.
    """
    words = (queries > 0).sum(axis=1)
    asked = queries[query_of, : words.max(initial=0)]
    hits = np.zeros(len(query_of), np.float32)
    for word in asked.T:  # at most MAX_WORDS
        hits += (held == word[:, None]).any(axis=1) & (word > UNKNOWN_ROW)
    return hits / np.maximum(words, 1).astype(np.float32)[query_of]


@dataclass(frozen=True)
class TitleIndex:
    """The catalog's titles as words: row i of `words` holds the tokens of title i, 0 padded.

    Titles are cut at MAX_WORDS, so the table is 64 bytes an item and a request gathers only the
    rows of its candidates.
    """

    words: Codes

    @classmethod
    def of(cls, titles: pa.Array, vocabulary: Vocabulary) -> "TitleIndex":
        """The words of all titles (by catalog row)."""
        return cls(word_table(titles, vocabulary))

    def relevance(self, query: Codes, rows: Codes) -> NDArray[np.float32]:
        """Per row, the share of the query's words that its title holds; 0 without a query."""
        hits = np.zeros(len(rows), np.float32)
        known = query[query > UNKNOWN_ROW]
        if len(known):
            held = self.words[np.where(rows < len(self.words), rows, UNKNOWN_ROW)]
            for word in known:  # at most MAX_WORDS
                hits += (held == word).any(axis=1)
        return (hits / np.float32(max(len(query), 1))).astype(np.float32)

    def of_pages(self, queries: Codes, rows: Codes) -> NDArray[np.float32]:
        """`relevance` of many pages.

        Args:
            queries: (pages, words), 0 padded on the right.
            rows: (pages, candidates).
        """
        hits = np.zeros(rows.shape, np.float32)
        if queries.shape[1]:
            held = self.words[np.where(rows < len(self.words), rows, UNKNOWN_ROW)]
            for word in queries.T:  # at most MAX_WORDS
                known = (word > UNKNOWN_ROW)[:, None]
                hits += (held == word[:, None, None]).any(axis=2) & known
        words = np.maximum((queries > 0).sum(axis=1), 1).astype(np.float32)
        return hits / words[:, None]
