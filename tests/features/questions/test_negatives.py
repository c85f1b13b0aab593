from dataclasses import replace
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest

from features.buckets import hash_ids
from features.catalog import CatalogArrays
from features.items import statistics
from features.questions import negatives
from features.questions.negatives import Pool, Wish
from features.schemas import POOL


def clicks(seed, rows=400):
    rng = np.random.default_rng(seed)
    return pa.table(
        {
            "user_hash": rng.integers(0, 9, rows).astype(np.uint64),
            "item_id": pa.array([f"i{i}" for i in rng.integers(0, 30, rows)]),
            "type": pa.array(rng.integers(1, 5, rows).astype(np.int8)),
            "key": rng.integers(0, 2**62, rows).astype(np.uint64),
        }
    )


def pool(seed=0, rows=500):
    rng = np.random.default_rng(seed)
    item = rng.integers(2, 40, rows).astype(np.int32)
    category = item % 5 + 2
    order = np.argsort(category, kind="stable")
    start = np.searchsorted(category[order], np.arange(8))
    return Pool(item, rng.integers(0, 9, rows).astype(np.uint64), order, start)


def wish(moments=200, seed=1):
    rng = np.random.default_rng(seed)
    return Wish(
        rng.integers(0, 2**62, moments).astype(np.uint64),
        rng.integers(0, 9, moments).astype(np.uint64),
        rng.integers(2, 40, moments).astype(np.int32),
    )


@pytest.mark.parametrize("size", [1, 50, 10_000])
def test_the_pool_is_the_same_however_the_clicks_are_spread(size):
    whole = clicks(0)
    at_once = negatives.pool_of(whole, size)
    parts = [negatives.pool_of(whole.slice(i, 57), size) for i in range(0, 400, 57)]
    left = negatives.merge_pools([negatives.merge_pools(parts[:3], size), *parts[3:]], size)
    right = negatives.merge_pools(parts[::-1], size)
    assert at_once.equals(left)
    assert left.equals(right)
    clicked = sum(kind == 1 for kind in whole.column("type").to_pylist())
    assert at_once.num_rows == min(size, clicked)


def test_clicks_of_equal_draws_are_in_one_order_whatever_came_first():
    alike = clicks(0).set_column(3, "key", pa.array(np.arange(400, dtype=np.uint64) // 40))
    backwards = alike.take(pa.array(np.arange(400)[::-1]))
    for size in (15, 10_000):
        at_once = negatives.pool_of(alike, size)
        assert at_once.equals(negatives.pool_of(backwards, size))
        parts = [negatives.pool_of(alike.slice(i, 57), size) for i in range(0, 400, 57)]
        assert at_once.equals(negatives.merge_pools(parts[::-1], size))


def test_an_empty_day_has_an_empty_pool():
    assert negatives.pool_of(clicks(0, 0), 10).equals(POOL.empty_table())
    assert negatives.merge_pools([], 10).num_rows == 0


def test_draws_are_other_users_clicks_on_other_items():
    some, asked = pool(), wish()
    drawn = negatives.other_clicks(some, asked, 5)
    assert len(drawn.item) > 0.99 * 5 * 200
    clicked = set(zip(some.user_hash.tolist(), some.item.tolist(), strict=True))
    for moment, item in zip(drawn.moment.tolist(), drawn.item.tolist(), strict=True):
        assert item != asked.item[moment]
        assert any((user, item) in clicked for user in range(9) if user != asked.user_hash[moment])


def test_what_the_user_alone_clicked_is_never_drawn():
    item = np.arange(2, 42, dtype=np.int32)
    order, start = np.arange(40), np.array([0, 0, 0, 40])  # all of category 2
    halves = Pool(item, np.repeat(np.array([7, 8], np.uint64), 20), order, start)
    asked = Wish(wish().seed, np.full(200, 7, np.uint64), np.full(200, 99, np.int32))
    for drawn in (
        negatives.other_clicks(halves, asked, 5),
        negatives.same_category(halves, asked, np.full(200, 2, np.int32), 5),
    ):
        assert len(drawn.item) > 0.99 * 5 * 200
        assert set(drawn.item.tolist()) == set(item[20:].tolist())


def test_a_pool_leaves_out_clicks_on_items_that_the_catalog_lacks(catalog):
    ids = pa.array(["a", "b", "c"])
    order = np.argsort(hash_ids(ids))
    known = replace(
        catalog,
        hashes=hash_ids(ids)[order],
        rows=np.array([2, 3, 4], np.int32)[order],
        category=np.array([0, 1, 3, 2, 3], np.int32),
    )
    table = pa.table(
        {
            "draw": np.arange(5, dtype=np.uint64),
            "user_hash": np.arange(10, 15, dtype=np.uint64),
            "item_id": ["b", "nobody's", "c", "a", "nor this"],
        }
    )
    found = Pool.of(table, known)
    assert (found.item.tolist(), found.user_hash.tolist()) == ([3, 4, 2], [10, 12, 13])
    of_category = {
        category: found.item[found.by_category[start:stop]].tolist()
        for category, (start, stop) in enumerate(pairwise(found.category_start))
    }
    assert of_category == {0: [], 1: [], 2: [3], 3: [4, 2]}


def test_draws_of_a_category_stay_in_it():
    some, asked = pool(), wish()
    category = (asked.item % 5 + 2).astype(np.int32)
    drawn = negatives.same_category(some, asked, category, 3)
    assert (drawn.item % 5 + 2 == category[drawn.moment]).all()
    unknown = negatives.same_category(some, asked, np.ones(200, np.int32), 3)
    assert not len(unknown.item)


def test_a_draw_depends_on_its_own_moment_alone():
    some, asked = pool(), wish()
    few = Wish(asked.seed[50:60], asked.user_hash[50:60], asked.item[50:60])
    whole, part = (negatives.other_clicks(some, w, 4) for w in (asked, few))
    inside = (whole.moment >= 50) & (whole.moment < 60)
    assert whole.item[inside].tolist() == part.item.tolist()


def test_draws_follow_the_popularity_of_clicks():
    some = pool(rows=5_000)
    drawn = negatives.other_clicks(some, wish(4_000), 5)
    wanted = np.bincount(some.item, minlength=40) / len(some.item)
    found = np.bincount(drawn.item, minlength=40) / len(drawn.item)
    assert np.abs(wanted - found).max() < 0.006


def test_popular_draws_follow_the_clicks_of_the_days_before(catalog):
    known = statistics.empty(catalog)
    known.item.clicks[2:] = [0, 9, 90]
    asked = wish(3_000)
    elsewhere = Wish(asked.seed, asked.user_hash, np.full(3_000, 99, np.int32))
    drawn = negatives.popular(catalog, known, elsewhere, 4)
    share = np.bincount(drawn.item, minlength=5)[2:] / len(drawn.item)
    assert share == pytest.approx([1 / 102, 10 / 102, 91 / 102], abs=0.01)


def test_uniform_draws_are_even(catalog):
    asked = wish(3_000)
    elsewhere = Wish(asked.seed, asked.user_hash, np.full(3_000, 99, np.int32))
    drawn = negatives.uniform(catalog, elsewhere, 4)
    share = np.bincount(drawn.item, minlength=5)[2:] / len(drawn.item)
    assert share == pytest.approx([1 / 3] * 3, abs=0.02)


def test_a_row_that_no_item_has_yet_is_never_drawn(catalog):
    """As on a day that was built again after later ones."""
    gap = replace(catalog, hashes=np.arange(2, dtype=np.uint64), rows=np.array([2, 4], np.int32))
    asked = wish(300)
    elsewhere = Wish(asked.seed, asked.user_hash, np.full(300, 99, np.int32))
    for drawn in (
        negatives.uniform(gap, elsewhere, 4),
        negatives.popular(gap, statistics.empty(gap), elsewhere, 4),
    ):
        assert set(drawn.item.tolist()) == {2, 4}


@pytest.fixture
def catalog():
    codes = np.array([0, 1, 2, 2, 2], np.int32)
    return CatalogArrays(
        item=np.arange(5, dtype=np.int32),
        brand=codes,
        shop=codes,
        category=codes,
        tags=np.zeros((5, 8), np.int32),
        price=np.ones(5, np.float32),
        price_level=np.ones(5, np.int8),
        hashes=np.arange(3, dtype=np.uint64),
        rows=np.arange(2, 5, dtype=np.int32),
    )
