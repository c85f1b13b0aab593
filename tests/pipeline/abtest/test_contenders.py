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
