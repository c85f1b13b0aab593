"""What the predecessor's prices rest on."""

from datetime import date, timedelta

import pytest

from pipeline.abtest.contenders import Before
from pipeline.abtest.predecessor import Prices
from pipeline.settings import load

FIRST = [date(2026, 3, 2) + timedelta(days=k) for k in range(3)]


@pytest.fixture
def asked(monkeypatch):
    """Days that prices are fitted on, call after call."""
    days = []
    monkeypatch.setattr(Prices, "on", lambda _, found, __: days.append(list(found)))
    return days


@pytest.mark.parametrize("nightly", [True, False])
def test_prices_rest_on_every_day_that_is_learnt_and_no_other(asked, tmp_path, nightly):
    arm = Before(load("smoke", str(tmp_path)), FIRST, nightly=nightly)
    for night in range(4):
        arm._prices(FIRST[-1] + timedelta(days=night))
    since = [[FIRST[-1] + timedelta(days=k) for k in range(1, night + 1)] for night in range(4)]
    assert asked == [FIRST + (nights if nightly else []) for nights in since]


@pytest.mark.parametrize(("usual", "shares"), [(2, [0, 0, 1, 0, 0, 0, 0]), (None, [1 / 7] * 7)])
def test_where_no_day_asked_a_price_no_level_is_likelier_than_another(usual, shares):
    said = Prices(None, usual).preference(range(2), levels=())
    assert said.tolist() == [pytest.approx(shares)] * 2
