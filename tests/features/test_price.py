import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features import price

PRICES = st.lists(st.floats(0.125, 65536, width=32), min_size=1, max_size=120)


@settings(deadline=None)
@given(PRICES)
def test_levels_are_the_shares_at_or_below_each_price(prices):
    values = np.array(prices, np.float32)
    category = np.full(len(values), 2, np.int32)
    edges = price.of_table(price.quantile_edges(values, category, min_prices=1))
    levels = edges.levels(values, category)
    ordered = sorted(prices)
    for value, level in zip(values, levels, strict=True):
        cuts = [ordered[max(0, -(-len(ordered) * k // 7) - 1)] for k in range(1, 7)]
        assert level == 1 + sum(value > np.float32(cut) for cut in cuts)


def test_seven_equal_shares():
    values = np.arange(1, 71, dtype=np.float32)
    category = np.full(70, 5, np.int32)
    levels = price.of_table(price.quantile_edges(values, category, 20)).levels(values, category)
    assert np.bincount(levels).tolist() == [0] + [10] * 7


@pytest.mark.parametrize("small", [2, 4])  # among those with edges of their own, and beyond them
def test_a_small_category_borrows_the_edges_of_the_market(small):
    values = np.r_[np.arange(1, 71), np.full(10, 1000.0)].astype(np.float32)
    category = np.r_[np.full(70, 3), np.full(10, small)].astype(np.int32)
    table = price.quantile_edges(values, category, 20)
    assert table.column("category").to_pylist() == [1, 3]
    assert table.column("prices").to_pylist() == [80, 70]
    edges = price.of_table(table)
    assert edges.levels(np.array([1000.0]), np.array([small])).tolist() == [7]
    assert (edges.rows(np.array([small, 99, 1])) == edges.rows(np.array([1]))).all()
    assert (edges.rows(np.array([3])) != edges.rows(np.array([1]))).all()


@pytest.mark.parametrize(("prices", "own"), [(19, [1]), (20, [1, 3])])
def test_a_category_has_edges_of_its_own_from_as_many_prices_as_are_needed(prices, own):
    table = price.quantile_edges(np.arange(1.0, prices + 1), np.full(prices, 3), 20)
    assert table.column("category").to_pylist() == own


def test_levels_are_within_the_category():
    cheap, dear = np.arange(1, 31), np.arange(1001, 1031)
    values = np.r_[cheap, dear].astype(np.float32)
    category = np.repeat([2, 3], 30).astype(np.int32)
    levels = price.of_table(price.quantile_edges(values, category, 20)).levels(values, category)
    assert (levels[:30] == levels[30:]).all()


def test_unknown_prices_have_level_0():
    assert price.NO_EDGES.levels(np.array([1.0, np.nan]), np.array([2, 2])).tolist() == [0, 0]
    values = np.array([1.0, 2.0, np.nan], np.float32)
    table = price.quantile_edges(values, np.array([2, 2, 2]), 1)
    assert price.of_table(table).levels(values, np.array([2, 2, 2]))[2] == 0
    nothing = price.quantile_edges(values[2:], np.array([2]), 1)
    assert nothing.num_rows == 0
    assert price.of_table(nothing) is price.NO_EDGES


@pytest.mark.parametrize("row", [0, 1])
def test_the_unknown_category_has_no_edges_of_its_own(row):
    table = price.quantile_edges(np.arange(1, 50.0), np.full(49, row), 20)
    assert table.column("category").to_pylist() == [price.WHOLE_MARKET]


def test_dearness_is_even_from_the_cheapest_to_the_dearest_and_0_where_it_is_unknown():
    found = price.dearness(np.array([0, 1, 4, 6, 7], np.int8))
    assert found.tolist() == pytest.approx([0, -1, 0, 2 / 3, 1])
