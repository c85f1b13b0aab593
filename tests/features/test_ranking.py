import math
from dataclasses import replace
from datetime import date

import numpy as np
import pytest

from features import ranking
from features.catalog import CatalogArrays
from features.items import statistics
from features.items.counts import COUNTED, Counts, Overall
from features.questions import meetings
from features.questions.meetings import Candidates, Pasts
from features.timeline import Spans

ROWS = 30


@pytest.fixture(scope="module")
def catalog():
    rng = np.random.default_rng(0)
    level = rng.integers(1, 8, ROWS).astype(np.int8)
    level[:2] = 0
    codes = {
        name: np.concatenate([[0, 1], rng.integers(1, 6, ROWS - 2)]).astype(np.int32)
        for name in ("brand", "shop", "category")
    }
    return CatalogArrays(
        item=np.arange(ROWS, dtype=np.int32),
        **codes,
        tags=np.zeros((ROWS, 8), np.int32),
        price=np.ones(ROWS, np.float32),
        price_level=level,
        hashes=np.empty(0, np.uint64),
        rows=np.empty(0, np.int32),
    )


def asked(users=6, seed=1):
    """Many moments over shared histories, 5 candidates each."""
    rng = np.random.default_rng(seed)
    owner = np.sort(rng.integers(0, users, 200)).astype(np.int32)
    offsets = np.searchsorted(owner, np.arange(users + 1))
    ts = np.concatenate([np.sort(rng.integers(0, 10**9, n)) for n in np.diff(offsets)])
    who = np.repeat(np.arange(users), 4).astype(np.int32)
    stop = rng.integers(offsets[who], offsets[who + 1] + 1)
    start = np.maximum(stop - 9, offsets[who])
    pasts = Pasts(
        owner=owner,
        item=rng.integers(0, ROWS, 200).astype(np.int32),
        type=rng.integers(1, 5, 200).astype(np.int8),
        ts=ts,
        spans=Spans(start, stop),
        moment_owner=who,
        moment_ts=np.full(len(who), 10**9 + 5),
    )
    moment = np.repeat(np.arange(len(who)), 5)
    item = rng.integers(0, ROWS, len(moment)).astype(np.int32)
    return Candidates(moment=moment, item=item, relevance=np.zeros(len(item), np.float32)), pasts


def alone(candidates, pasts, moment):
    """The same question as serving asks it: one user, one moment, plain arrays."""
    rows = np.arange(pasts.spans.start[moment], pasts.spans.stop[moment])
    here = candidates.moment == moment
    one = np.zeros(1, np.int32)
    return (
        Candidates(
            moment=np.zeros(here.sum(), np.int64),
            item=candidates.item[here],
            relevance=candidates.relevance[here],
        ),
        Pasts(
            owner=np.zeros(len(rows), np.int32),
            item=pasts.item[rows],
            type=pasts.type[rows],
            ts=pasts.ts[rows],
            spans=Spans(np.zeros(1, np.int64), np.array([len(rows)])),
            moment_owner=one,
            moment_ts=pasts.moment_ts[[moment]],
        ),
    )


def test_serving_one_moment_gives_what_samples_gave(catalog):
    table = ranking.item_features(catalog, statistics.empty(catalog))
    candidates, pasts = asked()
    whole = ranking.features(candidates, pasts, catalog, table)
    for moment in range(len(pasts.moment_ts)):
        found = ranking.features(*alone(candidates, pasts, moment), catalog, table)
        assert np.array_equal(found, whole[candidates.moment == moment])


def test_rows_that_agree_in_their_last_bits_are_told_apart():
    far = 1 << 16
    _, pasts = asked(users=1)
    wanted = np.array([5, 5 + far, 5 + 2 * far, 6, 1, 0], np.int32)
    one = Candidates(moment=np.zeros(6, np.int64), item=wanted, relevance=np.zeros(6, np.float32))
    history = np.array([5 + far, 1, 6 + far, 5 + far, 0, 5], np.int32)
    span = Spans(np.zeros(1, np.int64), np.array([6]))
    met = meetings.find(None, one, replace(pasts, item=history, spans=span, moment_ts=np.ones(1)))
    found = zip(met.who, met.each(met.count), met.each(met.last), strict=True)
    assert list(found) == [(0, 1, 5), (1, 2, 3)]


def market(catalog):
    """Figures of which no two are alike."""
    rng = np.random.default_rng(4)

    def figures():
        return Counts(**{name: rng.random(ROWS).astype(np.float32) * 40 for name in COUNTED})

    groups = {name: figures() for name in ("item", "shop", "brand", "category")}
    return replace(
        statistics.empty(catalog),
        **groups,
        day=date(1970, 3, 1),
        first_day=np.arange(ROWS, dtype=np.int32) % 50,
        lr_ctr=rng.random(ROWS).astype(np.float32),
        overall=Overall(ctr=0.04, cvr=0.1),
    )


def test_every_feature_of_an_item_is_the_figure_that_its_name_says(catalog):
    known = market(catalog)
    found = ranking.item_features(catalog, known)

    def volume(counts, name):
        return math.log1p(getattr(counts, name)[row]) / 5

    def rate(part, whole, market):
        return around((part + 20 * market) / (whole + 20))

    def around(share):
        return math.log((min(share, 1) + 0.0005) / 0.0105) / 4

    def ctr(counts):
        return rate(counts.page_clicks[row], counts.impressions[row], 0.04)

    def conversion(counts):
        return rate(counts.purchases[row], counts.clicks[row], 0.1)

    for row in range(2, ROWS):
        item, first = known.item, row % 50
        names = {
            "bias": 1,
            "sales_volume": volume(item, "sales"),
            "popularity": volume(item, "clicks"),
            "bookmarks": volume(item, "bookmarks"),
            "carts": volume(item, "carts"),
            "item_ctr": ctr(item),
            "item_conversion": conversion(item),
            "shop_popularity": volume(known.shop, "clicks"),
            "shop_ctr": ctr(known.shop),
            "shop_conversion": conversion(known.shop),
            "brand_popularity": volume(known.brand, "clicks"),
            "brand_ctr": ctr(known.brand),
            "category_popularity": volume(known.category, "clicks"),
            "category_ctr": ctr(known.category),
            "category_conversion": conversion(known.category),
            "lr_ctr": around(known.lr_ctr[row]),
            "price_level": (int(catalog.price_level[row]) - 4) / 3,
            "freshness": 1 / (1 + 59 - first),
            "unseen_item": 0,
        }
        assert list(names) == list(ranking.ITEM_NAMES)
        assert found[row, : len(names)] == pytest.approx(list(names.values()), abs=1e-5)
        assert not found[row, len(names) :].any()


def test_an_item_that_never_was_seen_says_so_and_padding_says_nothing(catalog):
    known = replace(market(catalog), first_day=np.zeros(ROWS, np.int32))
    found = ranking.item_features(catalog, known)
    column = {name: found[1:, i] for i, name in enumerate(ranking.NAMES)}
    assert (column["unseen_item"] == 1).all()
    assert not column["freshness"].any()
    assert found[0].sum() == 1  # the bias


def test_an_item_that_nobody_knows_is_told_as_one_that_nobody_has_met(catalog):
    nothing = statistics.empty(catalog)
    known = replace(nothing, overall=Overall(ctr=0.04, cvr=0.1))
    found = ranking.item_features(catalog, known)
    own = ranking.ITEM_NAMES.index("price_level")  # the others are of counts
    np.testing.assert_array_equal(np.delete(found[1], own), np.delete(found[2], own))
    assert found[1, own] == 0


def test_recency_is_the_time_since_the_last_meeting_and_nothing_after_sixty_days(catalog):
    table = ranking.item_features(catalog, statistics.empty(catalog))
    candidates, pasts = asked(seed=5)
    minutes = (60 * 24 * 60) * np.linspace(1.2, 0, len(pasts.ts)) ** 3
    ts = (minutes[-1] - minutes) * 60_000
    pasts = replace(pasts, ts=ts.astype(np.int64), moment_ts=np.zeros(len(pasts.moment_ts), int))
    candidates = replace(candidates, relevance=np.arange(len(candidates.item)) / 1000)
    found = ranking.features(candidates, pasts, catalog, table)
    column = {name: found[:, i] for i, name in enumerate(ranking.NAMES)}
    met = []
    for i, (moment, item) in enumerate(zip(candidates.moment, candidates.item, strict=True)):
        span = range(pasts.spans.start[moment], pasts.spans.stop[moment])
        for name in ("item", "category"):
            of = catalog.category if name == "category" else np.arange(ROWS)
            rows = [r for r in span if of[pasts.item[r]] == of[item] >= 2]
            share = math.log1p(minutes[rows[-1]]) / math.log1p(60 * 24 * 60) if rows else 1
            assert column[f"{name}_recency"][i] == pytest.approx(max(1 - share, 0), abs=1e-5)
            met += [share] if rows else []
        assert column["history_length"][i] == pytest.approx(len(span) / 100)
    assert min(met) < 0.5 < 1 < max(met)
    assert column["query_relevance"] == pytest.approx(candidates.relevance)


def test_every_feature_of_a_user_is_the_figure_that_its_name_says(catalog):
    table = ranking.item_features(catalog, statistics.empty(catalog))
    candidates, pasts = asked(seed=3)
    candidates = replace(candidates, relevance=np.arange(len(candidates.item)) / 1000)
    found = ranking.features(candidates, pasts, catalog, table)
    level = catalog.price_level

    for i, (moment, item) in enumerate(zip(candidates.moment, candidates.item, strict=True)):
        span = range(pasts.spans.start[moment], pasts.spans.stop[moment])
        levels = [int(level[pasts.item[r]]) for r in span if level[pasts.item[r]]]
        off = abs(int(level[item]) - sum(levels) / max(len(levels), 1))

        def same(of, span=span, item=item):
            return [r for r in span if of[pasts.item[r]] == of[item] >= 2]

        def count(of):
            return math.log1p(len(same(of))) / 5

        def recency(of, moment=moment):
            ago = [(pasts.moment_ts[moment] - pasts.ts[r]) / 60_000 for r in same(of)[-1:]]
            return max(1 - math.log1p(ago[0]) / math.log1p(60 * 24 * 60), 0) if ago else 0

        rows = np.arange(ROWS)
        names = {
            "price_match": 1 - off / 3 if levels and level[item] else 0,
            "item_count": count(rows),
            "item_recency": recency(rows),
            "item_last_type": pasts.type[same(rows)[-1]] / 4 if same(rows) else 0,
            "shop_count": count(catalog.shop),
            "shop_recency": recency(catalog.shop),
            "brand_count": count(catalog.brand),
            "brand_recency": recency(catalog.brand),
            "category_count": count(catalog.category),
            "category_share": len(same(catalog.category)) / max(len(span), 1),
            "category_recency": recency(catalog.category),
            "history_length": len(span) / 100,
            "query_relevance": i / 1000,
        }
        assert list(names) == list(ranking.USER_NAMES)
        own = found[i, len(ranking.ITEM_NAMES) :]
        assert own == pytest.approx(list(names.values()), abs=1e-5)


def test_names_are_many_and_told_apart():
    assert len(ranking.NAMES) >= 20
    assert len(set(ranking.NAMES)) == len(ranking.NAMES)


def test_features_are_of_order_one(catalog):
    table = ranking.item_features(catalog, statistics.empty(catalog))
    found = ranking.features(*asked(), catalog, table)
    assert np.isfinite(found).all()
    assert np.abs(found).max() < 2
