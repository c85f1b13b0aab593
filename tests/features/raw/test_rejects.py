import itertools
from datetime import date
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from features.raw.rejects import REASONS, SENTENCES, mark, row_texts

DOCS = Path(__file__).resolve().parents[3] / "docs" / "datasets.md"


def test_every_reason_has_a_sentence_and_is_documented():
    assert set(SENTENCES) == set(REASONS)
    text = DOCS.read_text(encoding="utf-8")
    assert [reason for reason in REASONS if f"`{reason}`" not in text] == []


def test_the_documentation_lists_the_reasons_in_their_order():
    text = DOCS.read_text(encoding="utf-8").rsplit("| reason |", 1)[1]
    places = [text.index(f"`{reason}`") for reason in REASONS]
    assert places == sorted(places)


@pytest.mark.parametrize("reasons", itertools.permutations(REASONS[4:8], 2))
def test_of_several_reasons_the_first_one_listed_is_given_whichever_was_found_first(reasons):
    codes = np.zeros(3, np.int8)
    for reason in reasons:
        mark(codes, np.array([True, False, True]), reason)
    first = 1 + min(REASONS.index(reason) for reason in reasons)
    assert codes.tolist() == [first, 0, first]


def test_a_row_is_told_as_json_also_where_json_has_no_word_for_its_values():
    row = {"a": pa.array([b"caf\xe9"]), "b": pa.array([date(2026, 11, 1)])}
    told = row_texts(pa.table({**row, "_text": pa.nulls(1, pa.string())}), json=True)
    assert told.to_pylist() == ['{"a": "caf\ufffd", "b": "2026-11-01"}']
