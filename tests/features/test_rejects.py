from pathlib import Path

from features.rejects import REASONS, SENTENCES

DOCS = Path(__file__).resolve().parents[2] / "docs" / "datasets.md"


def test_every_reason_has_a_sentence_and_is_documented():
    assert set(SENTENCES) == set(REASONS)
    text = DOCS.read_text(encoding="utf-8")
    assert [reason for reason in REASONS if f"`{reason}`" not in text] == []
