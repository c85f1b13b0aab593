"""A treatment that has nothing of a metric: how sure it is that this is no chance."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import hypergeom, norm

from evaluation.abtest.always_valid import lowest, steady
from evaluation.abtest.effect import compare, error_of_none
from evaluation.abtest.ratios import METRICS
from evaluation.abtest.sufficient import exposed
from tests.evaluation.abtest.rows import ARMS, readout, sized

CTR, SALES = METRICS["ctr"], METRICS["sales"]
RULE = steady(0.05, 14)


@pytest.fixture(scope="module")
def crowd():
    return exposed(readout(users=8000, effect=0.0), ARMS).users


def split(users, control, treated):
    """So many of the users in each arm, alike in what they were shown, and nobody bought."""
    some = sized(users, control, treated)
    nothing = np.zeros(len(some))
    return replace(some, impressions=nothing + 10, clicks=nothing, sales=nothing)


def with_buyers(users, buyers):
    sales = users.sales.copy()
    sales[:buyers] = 20.0
    return replace(users, sales=sales)


def test_the_error_by_hand():
    """Four who have any, three quarters of the users in the control: a chance of (3/4)^4."""
    treated = np.arange(400) >= 300
    part = np.where(np.arange(400) < 4, 7.0, 0.0)
    error = error_of_none(part, np.ones(400), treated)
    assert 1 / error == pytest.approx(norm.isf(0.75**4 / 2))


@pytest.mark.parametrize("treated", [200, 400, 2000])
def test_it_is_worse_from_where_chance_gives_it_more_rarely_than_a_look_may_err(crowd, treated):
    users, may_err = split(crowd, 2000, treated), 2 * norm.sf(lowest(0.05))
    share = 2000 / (2000 + treated)
    first = int(np.ceil(np.log(may_err) / np.log(share)))  # buyers
    for buyers, worse in ((first - 1, False), (first, True)):
        found = compare(with_buyers(users, buyers), SALES, RULE)
        assert found.p_fixed == pytest.approx(share**buyers)
        assert (found.uplift.value, found.worse) == (-1.0, worse)


def test_a_small_arm_that_lacks_a_rare_thing_by_chance_is_rarely_called_worse(crowd):
    """200 of 4,000 users treated, alike: buyers fall where they may, and none there is no proof."""
    users, may_err, wrong = split(crowd, 3800, 200), 2 * norm.sf(lowest(0.05)), 0.0
    for buyers in (20, 60, 80, 110, 140):
        none = hypergeom(4000, 200, buyers).pmf(0)
        wrong = max(wrong, none * compare(with_buyers(users, buyers), SALES, RULE).worse)
    assert 0 < wrong <= may_err


def test_thousands_of_buyers_leave_no_doubt_and_no_infinity(crowd):
    error = error_of_none(
        *(np.r_[np.ones(5000), np.zeros(5000)], np.ones(10_000)), np.arange(10_000) >= 5000
    )
    assert norm.logsf(1 / error) == pytest.approx(5001 * np.log(0.5))
    found = compare(with_buyers(split(crowd, 3000, 3000), 2900), SALES, RULE)
    assert found.worse
    assert found.p_always == 0


def test_who_was_shown_little_may_have_clicked_on_nothing(crowd):
    """Half of the users, but a hundredth of what was shown: ten clicks would hardly be theirs."""
    users = split(crowd, 2000, 2000)
    clicks = np.where(np.arange(4000) < 10, 1.0, 0.0)
    assert compare(replace(users, clicks=clicks), CTR, RULE).worse
    shown = np.where(users.arm == 1, 1.0, 99.0)
    assert not compare(replace(users, clicks=clicks, impressions=shown), CTR, RULE).worse
    hardly = np.where(users.arm == 1, 1e-18, 99.0)
    assert compare(replace(users, clicks=clicks, impressions=hardly), CTR, RULE).uplift.value == -1


def test_the_difference_is_no_surer_than_what_the_control_has(crowd):
    users = with_buyers(split(crowd, 3000, 3000), 20)
    one_pays = replace(users, sales=np.where(np.arange(6000) == 0, 1e4, users.sales))
    found, control = compare(one_pays, SALES, RULE), one_pays.sales[:3000]
    assert found.worse
    reach = RULE.multiplier(1.0) * control.std(ddof=1) / np.sqrt(3000)
    assert found.difference.high - found.difference.value == pytest.approx(reach)
