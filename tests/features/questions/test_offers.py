"""What is on offer for a query: `features.questions.offers` against its formula, word by word."""

import math
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from features.buckets import hash_ids
from features.catalog import FIRST_ROW, CatalogArrays
from features.items.counts import Counts
from features.query import words
from features.questions import offers
from features.questions.offers import DEEP, EVEN, SHARPNESS, Offers
from features.vocabulary import Vocabulary

WORDS = ("rain", "jacket", "shoe", "nordvik", "red", "cheap")
TITLES = [
    "Nordvik rain jacket",
    "red rain jacket",
    "jacket",
    "red shoe, a red one",
    "nordvik shoe",
    "premium",
    None,
]
LEVEL = [7, 2, 3, 0, 1, 4, 6]
CLICKS = [10.0, 4.0, 0.5, 30.0, 0.0, 2.0, 3.0]
EVENLY = [1 / 7] * 7


@pytest.fixture(scope="module")
def vocabulary():
    hashes = hash_ids(pa.array(WORDS))
    order = np.argsort(hashes)
    return Vocabulary(
        feature="token",
        hashes=hashes[order],
        rows=(FIRST_ROW + order).astype(np.int32),
    )


def on_offer(vocabulary, titles=TITLES, level=LEVEL, clicks=CLICKS):
    """Rows 0 and 1 of a catalog are padding and the unknown item."""
    rows = len(titles) + 2
    codes = np.zeros(rows, np.int32)
    catalog = CatalogArrays(
        item=codes,
        brand=codes,
        shop=codes,
        category=codes,
        tags=np.zeros((rows, 8), np.int32),
        price=np.ones(rows, np.float32),
        price_level=np.array([0, 0, *level], np.int8),
        hashes=np.empty(0, np.uint64),
        rows=np.empty(0, np.int32),
    )
    counts = replace(Counts.zeros(rows), clicks=np.array([0, 0, *clicks], np.float32))
    return Offers.of(pa.array([None, None, *titles], pa.string()), vocabulary, catalog, counts)


def by_hand(query, titles=TITLES, level=LEVEL, clicks=CLICKS):
    """The formula of the module, for one query, item by item."""
    asked = {word for word in words(query) if word in WORDS}
    items = [
        (len(asked & set(words(title or ""))), its_level, clicked)
        for title, its_level, clicked in zip(titles, level, clicks, strict=True)
        if its_level and clicked
    ]
    best = max(hits for hits, _, _ in items)
    found = [EVEN] * 7
    for hits, its_level, clicked in items:
        if best:
            found[its_level - 1] += clicked * math.exp(SHARPNESS * (hits - best))
    return [share / sum(found) for share in found]


def shares(queries, vocabulary, of):
    return offers.column(pa.array(queries, pa.string()), of, vocabulary).to_pylist()


@pytest.mark.parametrize(
    "query",
    [
        "rain jacket",
        "nordvik rain jacket",
        "red",
        "red red jacket",
        "nordvik red",
        "nordvik red shoe",
        "cheap",
        "cheap rain",
    ],
)
def test_shares_are_those_of_the_formula(query, vocabulary):
    [found] = shares([query], vocabulary, on_offer(vocabulary))
    assert found == pytest.approx(by_hand(query), rel=1e-5)


def test_a_query_whose_words_stand_together_is_told_from_each_word_alone(vocabulary):
    of = on_offer(vocabulary)
    both, brand, jacket = shares(["nordvik jacket", "nordvik", "jacket"], vocabulary, of)
    assert both[6] > max(brand[6], jacket[6])


def test_a_word_that_no_title_holds_takes_nothing_from_the_others(vocabulary):
    of = on_offer(vocabulary)
    plain, cheap, new = shares(
        ["rain jacket", "cheap rain jacket", "rain xyz jacket"], vocabulary, of
    )
    assert plain == cheap == new


@pytest.mark.parametrize("query", ["", "unheard-of", "?!", "cheap"])
def test_without_a_known_word_every_level_is_alike(query, vocabulary):
    [found] = shares([query], vocabulary, on_offer(vocabulary))
    assert found == pytest.approx(EVENLY)


def test_without_a_query_there_is_no_offer(vocabulary):
    found = shares([None, "jacket", None], vocabulary, on_offer(vocabulary))
    assert [one is None for one in found] == [True, False, True]


@pytest.mark.parametrize("clicks", [[0.0] * 7, [0, 0, 0, 30.0, 0, 0, 0]])
def test_before_anything_priced_was_clicked_every_level_is_alike(clicks, vocabulary):
    [found] = shares(["rain jacket"], vocabulary, on_offer(vocabulary, clicks=clicks))
    assert found == pytest.approx(EVENLY)


def test_a_log_without_titles_has_nothing_on_offer_for_words(vocabulary):
    bare = on_offer(vocabulary, titles=[None] * 7)
    [found] = shares(["jacket"], vocabulary, bare)
    assert found == pytest.approx(EVENLY)


def test_queries_are_answered_the_same_alone_and_among_many(vocabulary, monkeypatch):
    of = on_offer(vocabulary)
    many = [f"{one} {other}" for one in WORDS for other in WORDS]
    together = shares(many, vocabulary, of)
    assert together == [shares([query], vocabulary, of)[0] for query in many]
    monkeypatch.setattr(offers, "_AT_ONCE", 5)
    assert shares(many, vocabulary, of) == together


def test_rows_of_tokens_and_texts_have_the_same_offers(vocabulary):
    of = on_offer(vocabulary)
    texts = ["red rain jacket", "shoe", "unheard-of shoe"]
    row = {word: int(vocabulary.rows_of(pa.array([word]))[0]) for word in (*WORDS, "unheard")}
    rows = [
        [row["red"], row["rain"], row["jacket"]],
        [row["shoe"], 0, 0],
        [row["unheard"], row["shoe"], 0],
    ]
    assert of.levels(np.array(rows, np.int32)).tolist() == shares(texts, vocabulary, of)
    nothing = of.levels(np.zeros((2, 0), np.int32))
    np.testing.assert_allclose(nothing, 1 / 7, rtol=1e-6)


def test_a_rare_word_beside_a_common_one_finds_the_items_that_hold_both(vocabulary):
    """Also where they are not among the most clicked of the common one."""
    titles = ["jacket"] * (DEEP + 200) + ["nordvik jacket"] * 20 + ["nordvik shoe"] * 20
    level = [1] * (DEEP + 200) + [7] * 20 + [4] * 20
    clicks = [20.0] * (DEEP + 200) + [15.0] * 40
    of = on_offer(vocabulary, titles, level, clicks)
    [found] = shares(["nordvik jacket"], vocabulary, of)
    expected = by_hand("nordvik jacket", titles, level, clicks)
    assert expected[6] > 0.6
    # of the common word alone a sixth of the items is not found, and counts as if it held none
    assert found == pytest.approx(expected, abs=0.06)


def test_of_a_word_only_the_most_clicked_items_are_kept(vocabulary):
    count = DEEP + 500
    rng = np.random.default_rng(0)
    clicks = rng.permutation(np.arange(1, count + 1)).astype(float)
    level = rng.integers(1, 8, count)
    of = on_offer(vocabulary, ["jacket"] * count, level, clicks)
    assert len(of.item) == of.words.shape[1] == DEEP
    assert sorted(of.clicks[of.item]) == list(range(501, count + 1))
    assert of.everything.sum() == clicks.sum()


def by_lists(query, titles, level, clicks):
    """`by_hand` where items are found by the DEEP most clicked of each word, and else hold none."""
    found = set()
    for word in words(query):
        holding = [i for i, title in enumerate(titles) if word in words(title)]
        found |= set(sorted(holding, key=lambda i: -clicks[i])[: offers.DEEP])
    known = [title if i in found else None for i, title in enumerate(titles)]
    return by_hand(query, known, level, clicks)


@pytest.mark.parametrize(
    "query",
    ["jacket", "nordvik jacket", "rain rain jacket", "cheap red rain", "shoe jacket rain nordvik"],
)
def test_of_words_whose_lists_are_cut_shares_are_those_of_the_formula(
    query, vocabulary, monkeypatch
):
    monkeypatch.setattr(offers, "DEEP", 3)
    rng = np.random.default_rng(4)
    titles = [" ".join(rng.choice(WORDS[:4], size=rng.integers(1, 4))) for _ in range(40)]
    level, clicks = rng.integers(1, 8, 40).tolist(), (rng.permutation(40) / 8 + 1).tolist()
    of = on_offer(vocabulary, titles, level, clicks)
    [found] = shares([query], vocabulary, of)
    assert found == pytest.approx(by_lists(query, titles, level, clicks), rel=1e-5)


def test_only_the_most_clicked_items_are_looked_at(vocabulary, monkeypatch):
    monkeypatch.setattr(offers, "MOST", 2)
    [found] = shares(["jacket"], vocabulary, on_offer(vocabulary))
    assert found == pytest.approx(by_hand("jacket", TITLES[:2], LEVEL[:2], CLICKS[:2]), rel=1e-5)
