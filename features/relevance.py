"""How well a query fits a title: the share of the query's words that stand in it (Table 1).

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
    """The catalog's titles as words: row i of `words` holds the tokens of title i, 0 padded.

    Titles are cut at MAX_WORDS, so the table is 64 bytes an item and a request gathers only the
    rows of its candidates.
    """

    words: Codes

    @classmethod
    def of(cls, titles: pa.Array, vocabulary: Vocabulary) -> "TitleIndex":
        """The words of all titles (by catalog row)."""
        tokens = Tokens.of(titles, vocabulary)
        table = np.zeros((len(titles), MAX_WORDS), np.int32)
        row = np.repeat(np.arange(len(titles)), tokens.length)
        place = np.arange(len(row)) - np.repeat(tokens.offsets[:-1], tokens.length)
        table[row, place] = tokens.values
        return cls(table)

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
