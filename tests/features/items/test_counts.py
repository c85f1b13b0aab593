import numpy as np
import pytest

from features.items.counts import COUNTED, Counts, Overall


def counts(**values):
    size = len(next(iter(values.values())))
    given = {name: np.array(values.get(name, [0] * size), np.float32) for name in COUNTED}
    return Counts(**given)


def test_rates_lean_on_the_market_by_as_much_as_its_prior_weighs_and_never_exceed_one():
    market = Overall(ctr=0.1, cvr=0.5, prior_impressions=10, prior_clicks=4)
    some = counts(impressions=[0, 30, 2], page_clicks=[0, 7, 50], clicks=[0, 6, 1])
    assert market.click_through(some) == pytest.approx([0.1, 8 / 40, 1])
    bought = counts(clicks=[0, 6, 1], purchases=[0, 3, 50])
    assert market.conversion(bought) == pytest.approx([0.5, 5 / 10, 1])


def test_rows_beyond_the_end_have_no_counts():
    some = counts(clicks=[3, 4], carts=[1, 2])
    found = some.take(np.array([1, 2, 99, 0]))
    assert (found.clicks.tolist(), found.carts.tolist()) == ([4, 0, 0, 3], [2, 0, 0, 1])
