"""How well a query fits a title, which may be long."""

import numpy as np
import pyarrow as pa

from features.buckets import hash_ids
from features.catalog import FIRST_ROW
from features.relevance import TitleIndex, Tokens, relevance
from features.vocabulary import Vocabulary

WORDS = [*(f"word{i}" for i in range(40)), "leather"]
TITLES = pa.array([None, None, " ".join(WORDS), "leather shoes"])


def vocabulary():
    hashes = hash_ids(pa.array(WORDS))
    order = np.argsort(hashes)
    rows = (FIRST_ROW + order).astype(np.int32)
    return Vocabulary(feature="token", hashes=hashes[order], rows=rows)


def test_a_word_at_the_end_of_a_long_title_is_held():
    token = vocabulary()
    query = Tokens.of(pa.array(["leather word3"]), token)
    rows = np.array([0, 2, 3], np.int32)
    index = TitleIndex.of(TITLES, token)
    told = relevance(query, np.zeros(3, np.int64), Tokens.of_titles(TITLES, token), rows)
    assert told.tolist() == [0.0, 1.0, 0.5]
    assert index.relevance(query.values, rows).tolist() == [0.0, 1.0, 0.5]
    assert index.of_pages(query.padded(), rows[None, :]).tolist() == [[0.0, 1.0, 0.5]]


def test_the_index_is_as_wide_as_the_longest_title():
    token = vocabulary()
    assert TitleIndex.of(TITLES, token).words.shape == (4, 41)
    assert TitleIndex.of(TITLES[3:], token).words.shape == (1, 2)
    assert TitleIndex.of(pa.nulls(2, pa.string()), token).words.shape == (2, 0)
