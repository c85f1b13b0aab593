from datetime import date
from pathlib import Path

import pyarrow as pa

from features.rejects import REASONS, SENTENCES, row_texts

DOCS = Path(__file__).resolve().parents[2] / "docs" / "datasets.md"


def test_every_reason_has_a_sentence_and_is_documented():
    assert set(SENTENCES) == set(REASONS)
    text = DOCS.read_text(encoding="utf-8")
    assert [reason for reason in REASONS if f"`{reason}`" not in text] == []


def test_a_row_is_told_as_json_also_where_json_has_no_word_for_its_values():
    row = {"a": pa.array([b"caf\xe9"]), "b": pa.array([date(2026, 11, 1)])}
    told = row_texts(pa.table({**row, "_text": pa.nulls(1, pa.string())}), json=True)
    assert told.to_pylist() == ['{"a": "caf\ufffd", "b": "2026-11-01"}']
