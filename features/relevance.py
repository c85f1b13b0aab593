"""How well a query fits a title: the share of the query's words that stand in it (Table 1).

`relevance` answers many queries about a few titles each (samples); `TitleIndex` one query about
thousands (serving), from posting lists of the whole catalog. Both give the same numbers.
"""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from features.query import tokens_of
from features.schemas import UNKNOWN_ROW
from features.timeline import Codes, Ints
from features.vocabulary import Vocabulary


@dataclass(frozen=True)
class Tokens:
    """Token rows of several texts: text i has values[offsets[i] : offsets[i + 1]]."""

    values: Codes
    offsets: Ints

    @classmethod
    def of(cls, texts: pa.Array, vocabulary: Vocabulary) -> "Tokens":
        """The tokens of each text; none for null."""
        lists = tokens_of(texts, vocabulary)
        offsets = lists.offsets.to_numpy().astype(np.int64)
        values = lists.flatten().to_numpy().astype(np.int32)
        return cls(values, offsets - offsets[0])

    @property
    def length(self) -> Ints:
        """Tokens per text."""
        return np.diff(self.offsets)


def relevance(query: Tokens, query_of: Ints, title: Tokens, title_of: Ints) -> NDArray[np.float32]:
    """Per candidate, the share of its query's words that its title holds; 0 without a query.

    Args:
        query: tokens of the queries.
        query_of: the query of each candidate.
        title: tokens of the titles.
        title_of: the title of each candidate.
    """
    words = query.length[query_of]
    if not words.any() or not len(title.values):
        return np.zeros(len(query_of), np.float32)
    width = np.int64(max(int(title.values.max()), int(query.values.max())) + 1)
    owner = np.repeat(np.arange(len(title.length)), title.length)
    held = np.unique((owner * width + title.values)[title.values > UNKNOWN_ROW])
    candidate = np.repeat(np.arange(len(query_of)), words)
    offsets = np.cumsum(words) - words
    at = np.arange(len(candidate)) + np.repeat(query.offsets[query_of] - offsets, words)
    wanted = title_of[candidate] * width + query.values[at]
    place = np.minimum(np.searchsorted(held, wanted), max(len(held) - 1, 0))
    hit = held[place] == wanted if len(held) else np.zeros(len(wanted), bool)
    hits = np.bincount(candidate[hit], minlength=len(query_of))
    return (hits / np.maximum(words, 1)).astype(np.float32)


@dataclass(frozen=True)
class TitleIndex:
    """The catalog's titles by word: the rows that hold word w are postings[starts[w]:starts[w+1]].

    Memory grows with the words of all titles, four bytes each.
    """

    postings: Codes
    """Catalog rows, ascending within a word."""
    starts: Ints

    @classmethod
    def of(cls, titles: pa.Array, vocabulary: Vocabulary) -> "TitleIndex":
        """The index of all titles (by catalog row)."""
        tokens = Tokens.of(titles, vocabulary)
        row = np.repeat(np.arange(len(tokens.length), dtype=np.int64), tokens.length)
        known = tokens.values > UNKNOWN_ROW
        rows = np.int64(max(len(titles), 1))
        packed = np.unique(tokens.values[known] * rows + row[known])
        word = packed // rows
        width = int(word[-1]) + 1 if len(word) else 0
        starts = np.searchsorted(word, np.arange(width + 1)).astype(np.int64)
        return cls((packed % rows).astype(np.int32), starts)

    def holding(self, word: int) -> Codes:
        """Catalog rows whose title holds the word, ascending."""
        if not UNKNOWN_ROW < word < len(self.starts) - 1:
            return self.postings[:0]
        return self.postings[self.starts[word] : self.starts[word + 1]]

    def relevance(self, query: Codes, rows: Codes) -> NDArray[np.float32]:
        """Per row, the share of the query's words that its title holds; 0 without a query."""
        hits = np.zeros(len(rows), np.int64)
        for word in query:  # at most features.query.MAX_WORDS
            held = self.holding(int(word))
            if len(held):
                place = np.minimum(np.searchsorted(held, rows), len(held) - 1)
                hits += held[place] == rows
        return (hits / max(len(query), 1)).astype(np.float32)
