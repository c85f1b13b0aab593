import tracemalloc

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features import query, vocabulary


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Red  SHOES, size-42!", ["red", "shoes", "size", "42"]),
        ("\u624b\u673a\u58f3", ["\u624b\u673a", "\u673a\u58f3"]),
        ("\u9774", ["\u9774"]),
        ("iphone15\u624b\u673a case", ["iphone15", "\u624b\u673a", "case"]),
        ("\u00c9t\u00e9 na\u00efve", ["\u00e9t\u00e9", "na\u00efve"]),
        ("cafe\u0301s Noe\u0308l", ["caf\u00e9s", "no\u00ebl"]),  # accents written apart
        (
            "\u0939\u093f\u0928\u094d\u0926\u0940 \u0b9a\u0bc7\u0bb2\u0bc8",
            ["\u0939\u093f\u0928\u094d\u0926\u0940", "\u0b9a\u0bc7\u0bb2\u0bc8"],
        ),
        (
            "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",
            ["\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645"],
        ),
        ("\u0130stanbul", ["i\u0307stanbul"]),
        ("snake_case", ["snake", "case"]),
        ("... !!", []),
        ("", []),
    ],
)
def test_words(text, expected):
    assert list(query.words(text)) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Red SHOES, size-42!", ["red", "shoes", "size", "42"]),
        ("\uff49\uff30\uff48\uff4f\uff4e\uff45\uff11\uff12", ["iphone12"]),  # full width
        (
            "\uff98\uff93\uff7a\uff9d",
            ["\u30ea\u30e2", "\u30e2\u30b3", "\u30b3\u30f3"],
        ),  # half width
        ("\uff8b\uff9e\u30eb", ["\u30d3\u30eb"]),  # the voiced mark has a width of its own
        ("\u0130PHONE S\u0130YAH", ["iphone", "siyah"]),
        ("Stra\u00dfe STRASSE", ["strasse", "strasse"]),
        ("cafe\u0301 CAF\u00c9", ["caf\u00e9", "caf\u00e9"]),
        (
            "\u039f\u0394\u039f\u03a3 \u03bf\u03b4\u03cc\u03c2",
            ["\u03bf\u03b4\u03bf\u03c3", "\u03bf\u03b4\u03cc\u03c3"],
        ),
        ("Lego\u2122 5\u338f \u21167", ["lego", "5", "7"]),  # signs of letters are no letters
        ("\u0939\u093f\u0928\u094d\u0926\u0940", ["\u0939\u093f\u0928\u094d\u0926\u0940"]),
    ],
)
def test_a_search_has_one_writing_for_each_word(text, expected):
    assert list(query.search_words(text)) == expected


@given(st.text(max_size=30))
def test_words_of_a_search_are_words_of_a_search(text):
    for word in query.search_words(text):
        assert query.search_words(word) == (word,)


def test_a_long_query_keeps_its_first_words():
    assert len(query.words(" ".join(f"w{i}" for i in range(50)))) == query.MAX_WORDS


def test_more_words_are_kept_of_a_title_than_of_a_query():
    title = pa.array([" ".join(f"w{i}" for i in range(100)), None])
    assert query.words_of(title, query.MAX_TITLE_WORDS).value_lengths().to_pylist() == [64, 0]


def test_tokens_are_rows_of_the_vocabulary():
    state = vocabulary.merge(
        vocabulary.initial("token"), [vocabulary.counted(pa.array(["red", "shoes"]))]
    )
    known = vocabulary.of_table("token", vocabulary.admit(state, 1, 2).select(["id", "row"]))
    texts = pa.array(["red shoes", None, "blue shoes", "", "red shoes"])
    row = dict(
        zip(["red", "shoes"], known.rows_of(pa.array(["red", "shoes"])).tolist(), strict=True)
    )
    expected = [[row["red"], row["shoes"]], [], [1, row["shoes"]], [], [row["red"], row["shoes"]]]
    for form in (texts, texts.dictionary_encode(), pa.chunked_array([texts[:2], texts[2:]])):
        tokens = query.tokens_of(form, known)
        assert tokens.to_pylist() == expected
        assert tokens.type == pa.list_(pa.int32())
    assert query.tokens_of(texts[:0], known).to_pylist() == []


def test_no_text_is_kept_once_its_words_are_told():
    titles = pa.array([f"title number {i} of many" for i in range(2000)])
    query.words_of(titles[:1])
    tracemalloc.start()
    try:
        query.words_of(titles)
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept < 500_000  # bytes: Python lays tuples that are free by for the next
