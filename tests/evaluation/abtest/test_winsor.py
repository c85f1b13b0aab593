from dataclasses import replace

import numpy as np
import pytest

from evaluation.abtest import winsor
from evaluation.abtest.ratios import METRICS
from evaluation.abtest.sufficient import exposed
from tests.evaluation.abtest.rows import ARMS, readout


@pytest.fixture(scope="module")
def users():
    return exposed(readout(users=3000, effect=1.0), ARMS).users


def caps(users, quantile=0.999):
    return winsor.caps(users.pre_impressions, users.pre_sales, quantile)


def test_a_cap_is_the_quantile_of_those_who_bought(users):
    bought = users.pre_sales[users.pre_sales > 0]
    cap = caps(users, 0.99).sales
    assert np.mean(bought <= cap) >= 0.99
    assert np.mean(bought < cap) <= 0.99


def test_whales_are_cut_and_others_are_not(users):
    most = caps(users, 0.9)
    found = winsor.cut(users, most)
    small = (users.sales <= most.sales) & (users.impressions <= most.impressions)
    assert found.sales.max() == most.sales
    assert (found.sales[small] == users.sales[small]).all()
    assert (found.clicks[small] == users.clicks[small]).all()
    assert (found.pre_sales <= most.sales).all()


def test_a_cut_user_keeps_his_rate(users):
    found = winsor.cut(users, winsor.Caps(impressions=30))
    assert found.impressions.max() == pytest.approx(30)
    assert found.clicks / found.impressions == pytest.approx(users.clicks / users.impressions)
    assert found.pre_impressions.max() == pytest.approx(30)
    crossed = users.pre_clicks * found.pre_impressions  # the same rate, where there is one
    assert found.pre_clicks * users.pre_impressions == pytest.approx(crossed)
    assert found.pre_clicks.sum() < users.pre_clicks.sum()


def test_a_cut_user_keeps_his_sales_per_item_shown_and_all_his_sales(users):
    found = winsor.cut(users, winsor.Caps(impressions=30))
    shown = METRICS["sales_per_impression"]
    rate = found.column(shown.counted) / found.column(shown.whole)
    assert rate == pytest.approx(users.sales / users.impressions)
    some = found.take(found.sales > 0)
    assert some.column(shown.counted) / some.impressions == pytest.approx(rate[found.sales > 0])
    assert (found.column(METRICS["sales"].counted) == users.sales).all()


def test_the_unit_of_money_moves_the_cap_along(users):
    cents = replace(users, sales=users.sales * 100, pre_sales=users.pre_sales * 100)
    assert caps(cents, 0.99).sales == pytest.approx(100 * caps(users, 0.99).sales)


def test_without_a_pre_period_nothing_is_cut(users):
    new = replace(users, pre_sales=users.pre_sales * 0, pre_impressions=users.pre_sales * 0)
    assert caps(new) == winsor.Caps()
    assert caps(users, 1.0) == winsor.Caps()
    assert (winsor.cut(users, winsor.Caps()).sales == users.sales).all()
