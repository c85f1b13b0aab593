import pyarrow as pa
import pytest

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
