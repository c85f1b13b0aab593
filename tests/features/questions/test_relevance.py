"""Words of titles: each is split once, whoever asks, and what was not asked for is not split."""

import numpy as np
import pyarrow as pa
import pytest

from features.questions import relevance
from features.questions.relevance import Titles, word_table
from features.schemas import VOCABULARY
from features.vocabulary import Vocabulary, of_table

TEXTS = pa.array([None, None, "red shoe", "blue hat", "red hat", None, "green"])


@pytest.fixture
def words() -> Vocabulary:
    columns = {"id": ["red", "shoe", "blue", "hat"], "row": [2, 3, 4, 5], "count": [9] * 4}
    return of_table("token", pa.table(columns, schema=VOCABULARY))


def test_a_title_is_split_once_and_only_when_asked_for(words, monkeypatch):
    split = []

    def seen(texts, vocabulary):
        split.extend(texts.to_pylist())
        return word_table(texts, vocabulary)

    monkeypatch.setattr(relevance, "word_table", seen)
    titles = Titles(TEXTS, words)
    for rows in ([2, 4, 2], [4, 3], [3, 2, 4], []):
        expected = word_table(TEXTS.take(pa.array(rows, pa.int32())), words)
        np.testing.assert_array_equal(titles.words(np.array(rows, np.int32)), expected)
    assert sorted(split) == ["blue hat", "red hat", "red shoe"]
