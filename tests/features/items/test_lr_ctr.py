import math
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from sklearn.linear_model import LogisticRegression

from features.buckets import hash_ids
from features.items import lr_ctr, lr_sample
from features.items.counts import COUNTED, Counts, Overall


@pytest.fixture
def data():
    rng = np.random.default_rng(3)
    x = np.column_stack([np.ones(800), rng.normal(size=(800, 4))])
    shown = rng.integers(1, 9, 800).astype(float)
    truth = np.array([-1.5, 0.8, -0.4, 0.0, 1.2])
    clicked = rng.binomial(shown.astype(int), 1 / (1 + np.exp(-x @ truth))).astype(float)
    return x, clicked, shown


def test_weights_are_those_of_scikit_learn(data):
    x, clicked, shown = data
    ours = lr_ctr.fit(x, clicked, shown, np.zeros(5), l2=2.0)
    both = np.vstack([x, x])
    label = np.repeat([1, 0], len(x))
    theirs = LogisticRegression(C=1 / 2.0, fit_intercept=False, tol=1e-10, max_iter=1000)
    theirs.fit(both, label, sample_weight=np.concatenate([clicked, shown - clicked]))
    assert ours == pytest.approx(theirs.coef_[0], abs=1e-4)


def test_a_strong_prior_keeps_yesterdays_weights_and_no_data_changes_nothing(data):
    x, clicked, shown = data
    prior = np.array([0.3, -0.2, 0.1, 0.0, 0.5])
    assert lr_ctr.fit(x, clicked, shown, prior, l2=1e9) == pytest.approx(prior, abs=1e-4)
    assert lr_ctr.fit(x[:0], clicked[:0], shown[:0], prior, l2=1.0) == pytest.approx(prior)


@pytest.mark.parametrize("clicks", [0.005, 0.02, 0.2])
def test_the_first_night_with_pages_says_how_often_is_clicked(clicks):
    """It learns from a day before which no rate was known, and scores with those of the day."""
    rng = np.random.default_rng(4)
    shown = rng.integers(20, 400, 3000).astype(np.float32)
    clicked = rng.binomial(shown.astype(int), clicks).astype(np.float32)
    zeros = Counts.zeros(3000)
    seen = replace(zeros, impressions=shown, page_clicks=clicked, clicks=clicked)
    levels = rng.integers(1, 8, 3000).astype(np.int8)

    def night(counts, age, ctr):
        of = dict.fromkeys(("item", "shop", "brand", "category"), counts)
        age = np.full(3000, age, np.int32)
        return lr_ctr.design(
            lr_ctr.ItemSide(**of, age_days=age, price_level=levels, overall=Overall(ctr=ctr))
        )

    before, after = night(zeros, -1, 0.0), night(seen, 0, clicks)
    weights = lr_ctr.fit(before, clicked, shown, np.zeros(before.shape[1]), l2=10.0)
    assert lr_ctr.score(before, weights).mean() == pytest.approx(clicks, rel=0.05)
    assert lr_ctr.score(after, weights).mean() == pytest.approx(clicks, rel=0.05)


def test_a_column_in_which_all_are_alike_keeps_its_prior_and_counts(data):
    x, clicked, shown = data
    alike = np.column_stack([x, np.full(len(x), 2.0)])
    weights = lr_ctr.fit(alike, clicked, shown, np.r_[np.zeros(5), 0.7], l2=1e-6)
    without = lr_ctr.fit(x, clicked, shown, np.zeros(5), l2=1e-6)
    assert weights == pytest.approx(np.r_[without[0] - 1.4, without[1:], 0.7], abs=1e-5)


def test_a_display_counted_twice_is_two_displays(data):
    x, clicked, shown = data
    once = lr_ctr.fit(
        np.vstack([x, x]), np.r_[clicked, clicked], np.r_[shown, shown], np.zeros(5), 1.0
    )
    assert once == pytest.approx(lr_ctr.fit(x, 2 * clicked, 2 * shown, np.zeros(5), 1.0), abs=1e-7)


def test_separable_clicks_still_have_finite_weights():
    x = np.array([[1.0, -1.0], [1.0, 1.0]])
    weights = lr_ctr.fit(x, np.array([0.0, 50.0]), np.array([50.0, 50.0]), np.zeros(2), 0.01)
    assert np.isfinite(weights).all()
    assert lr_ctr.score(x, weights) == pytest.approx([0, 1], abs=0.01)


@pytest.mark.parametrize(("before", "now"), [(0.995, 0.05), (0.02, 0.98)])
def test_a_day_unlike_the_one_before_is_learnt_in_the_same_night(data, caplog, before, now):
    """Yesterday's weights are sure of what is no longer so, and curvature is nearly 0 there."""
    x, _, shown = data
    shown, rng, weights = 50 * shown, np.random.default_rng(2), np.zeros(5)
    for rate, slopes in ((before, [0, -5, 5, 5, 0]), (now, [0, 5, -5, 5, 0])):
        chance = 1 / (1 + np.exp(-math.log(rate / (1 - rate)) - x @ slopes))
        clicked = rng.binomial(shown.astype(int), chance).astype(float)
        prior, weights = weights, lr_ctr.fit(x, clicked, shown, weights, l2=1.0)
    slope = x.T @ (shown * lr_ctr.score(x, weights) - clicked) + weights - prior
    assert np.abs(slope).max() < 1e-6 * shown.sum()
    assert not caplog.records


@pytest.mark.parametrize("sure", [-200.0, 200.0])
def test_from_weights_that_are_far_off_the_next_night_comes_back(data, caplog, sure):
    x, clicked, shown = data
    weights = lr_ctr.fit(x, clicked, shown, np.full(5, sure), l2=1e-3)
    assert lr_ctr.score(x, weights) @ shown == pytest.approx(clicked.sum(), rel=0.01)
    assert not caplog.records


def test_weights_that_did_not_settle_are_told(data, caplog, monkeypatch):
    x, clicked, shown = data
    monkeypatch.setattr(lr_ctr, "STEPS", 2)
    lr_ctr.fit(x, clicked, shown, np.zeros(5), l2=1.0)
    assert "the weights still moved by" in caplog.text


def test_weights_survive_the_store():
    weights = np.arange(len(lr_ctr.FEATURES)) / 7
    assert (lr_ctr.of_table(lr_ctr.table(weights)) == weights).all()
    shuffled = lr_ctr.table(weights).take(pa.array(np.arange(len(weights))[::-1]))
    assert (lr_ctr.of_table(shuffled) == weights).all()


def test_every_column_is_the_figure_that_its_name_says():
    rng = np.random.default_rng(6)
    item, shop, brand, category = (
        Counts(**{name: (40 * rng.random(5)).astype(np.float32) for name in COUNTED})
        for _ in range(4)
    )
    side = lr_ctr.ItemSide(
        item=item,
        shop=shop,
        brand=brand,
        category=category,
        age_days=np.array([0, 1, 3, 9, -1], np.int32),
        price_level=np.array([0, 1, 4, 6, 7], np.int8),
        overall=Overall(ctr=0.04, cvr=0.1),
    )

    def volume(count):
        return math.log(1 + count) / 5

    def rate(part, whole, market):
        return math.log((min(1, (part + 20 * market) / (whole + 20)) + 0.001) / 0.011)

    def ctr(counts):
        return rate(counts.page_clicks[row], counts.impressions[row], 0.04)

    found = lr_ctr.design(side)
    for row in range(5):
        of_item = ("impressions", "clicks", "bookmarks", "carts", "purchases", "sales")
        columns = {
            "intercept": 1,
            **{name: volume(getattr(item, name)[row]) for name in of_item},
            "ctr": ctr(item),
            "cvr": rate(item.purchases[row], item.clicks[row], 0.1),
            "shop_clicks": volume(shop.clicks[row]),
            "shop_ctr": ctr(shop),
            "brand_clicks": volume(brand.clicks[row]),
            "brand_ctr": ctr(brand),
            "category_clicks": volume(category.clicks[row]),
            "category_ctr": ctr(category),
            "freshness": [1, 1 / 2, 1 / 4, 1 / 10, 0][row],
            "unseen": int(row == 4),
            "price_level": [0, 1, 4, 6, 7][row] / 7,
        }
        assert tuple(columns) == lr_ctr.FEATURES
        assert found[row] == pytest.approx(list(columns.values()), abs=1e-5)


def test_an_item_that_nobody_knows_has_a_finite_row():
    none = Counts.zeros(2)
    side = lr_ctr.ItemSide(
        item=none,
        shop=none,
        brand=none,
        category=none,
        age_days=np.array([-1, 0], np.int32),
        price_level=np.array([0, 7], np.int8),
        overall=Overall(),
    )
    x = lr_ctr.design(side)
    assert x.shape == (2, len(lr_ctr.FEATURES))
    assert np.isfinite(x).all()
    assert x[:, lr_ctr.FEATURES.index("unseen")].tolist() == [1, 0]
    assert x[:, lr_ctr.FEATURES.index("freshness")].tolist() == [0, 1]


def test_a_click_on_another_users_page_of_that_name_is_no_click():
    """Ids of requests need be unique for a user only; buckets part users."""
    users = pa.array([1, 2], pa.uint64())
    pages = pa.table(
        {
            "user_hash": users,
            "ts": pa.array([5, 6], pa.timestamp("ms", "UTC")),
            "request_id": ["1", "1"],
            "item_ids": [["a", "b"], ["a", "b"]],
        }
    )
    behaviors = pa.table(
        {
            "user_hash": users,
            "item_id": ["a", "b"],
            "type": pa.array([1, 4], pa.int8()),
            "request_id": ["1", "1"],
        }
    )
    whole = lr_sample.from_pages(pages, behaviors, 1.0)
    assert whole["clicked"].to_pylist() == [1, 0, 0, 0]
    parts = [lr_sample.from_pages(pages.slice(n, 1), behaviors.slice(n, 1), 1.0) for n in (0, 1)]
    assert pa.concat_tables(parts).equals(whole)


def test_clicks_are_drawn_by_their_key_at_the_rate_that_is_asked():
    rng = np.random.default_rng(8)
    rows = pa.table(
        {
            "item_id": [f"i{n}" for n in range(8_000)],
            "type": np.tile(np.array([1, 2, 1, 4], np.int8), 2_000),
            "key": rng.integers(0, 2**63, 8_000).astype(np.uint64),
        }
    )
    some, more, every = (lr_sample.from_clicks(rows, rate) for rate in (0.25, 0.5, 1))
    assert [len(one) / 4_000 for one in (some, more)] == pytest.approx([0.25, 0.5], abs=0.03)
    assert len(every) == 4_000
    of = [set(one["item_hash"].to_pylist()) for one in (some, more, every)]
    assert of[0] < of[1] < of[2]
    assert of[2] == set(hash_ids(rows["item_id"].filter(rows["type"].to_numpy() == 1)).tolist())
    assert set(some["clicked"].to_pylist()) == {1}


def test_negatives_depend_on_the_click_alone():
    rng = np.random.default_rng(5)
    known = np.sort(rng.integers(0, 2**63, 50).astype(np.uint64))
    keys = rng.integers(0, 2**63, 20).astype(np.uint64)
    sample = pa.table(
        {"item_hash": known[:20], "key": keys, "clicked": np.ones(20, np.int8)},
        schema=lr_sample.SAMPLE,
    )
    whole = lr_sample.with_negatives(sample, known, 3, seed=1)
    alone = lr_sample.with_negatives(sample.slice(7, 1), known, 3, seed=1)
    drawn = whole.slice(20).slice(7 * 3, 3)
    assert alone.slice(1).equals(drawn)
    assert not lr_sample.with_negatives(sample, known, 3, seed=2).equals(whole)
    assert set(whole.column("item_hash").to_pylist()) <= set(known.tolist())
