from dataclasses import replace

import numpy as np
import pytest

from evaluation.abtest import cuped
from evaluation.abtest.always_valid import Mixture
from evaluation.abtest.effect import compare, contrasts
from evaluation.abtest.ratios import METRICS
from evaluation.abtest.sufficient import exposed
from tests.evaluation.abtest.rows import ARMS, readout

RULE = Mixture(0.05)
CTR, SALES = METRICS["ctr"], METRICS["sales"]


@pytest.fixture(scope="module")
def users():
    return exposed(readout(users=6000, effect=0.1), ARMS).users


def numbers(effect):
    return [*effect.uplift.model_dump().values(), *effect.difference.model_dump().values()]


def test_an_uplift_by_hand():
    """Sales 1, 3 against 2, 6: means 2 and 4, variances 2/2 and 8/2; log: 1/4 + 4/16."""
    part, treated = np.array([1.0, 3, 2, 6]), np.array([False, False, True, True])
    found = contrasts(part, np.ones(4), treated)
    assert (found.control, found.treatment) == (2, 4)
    assert found.difference.value == 2
    assert found.difference.error == pytest.approx(np.sqrt(1 + 4))
    assert found.log_uplift.value == pytest.approx(np.log(2))
    assert found.log_uplift.error == pytest.approx(np.sqrt(1 / 4 + 4 / 16))


@pytest.mark.parametrize("metric", [CTR, SALES, METRICS["price_precision"]])
def test_a_brute_force_bootstrap_has_the_same_error(users, metric):
    rng = np.random.default_rng(2)
    part, whole = users.column(metric.part), users.column(metric.whole)
    found = contrasts(part, whole, users.arm == 1)
    draws = []
    for arm in (0, 1):
        mine = np.flatnonzero(users.arm == arm)
        drawn = rng.choice(mine, (1500, len(mine)))
        draws.append(np.log(part[drawn].sum(1) / whole[drawn].sum(1)))
    assert found.log_uplift.error == pytest.approx((draws[1] - draws[0]).std(), rel=0.07)


def test_a_bootstrap_that_fits_anew_has_the_adjusted_error(users):
    rng = np.random.default_rng(4)
    some = users.take(np.arange(2000))
    known, treated = cuped.covariates(some), some.arm == 1
    found = contrasts(some.clicks, some.impressions, treated, known).log_uplift
    values = []
    for _ in range(400):
        at = rng.integers(0, len(some), len(some))
        again = contrasts(some.clicks[at], some.impressions[at], treated[at], known[:, at])
        values.append(again.log_uplift.value)
    assert found.error == pytest.approx(np.std(values), rel=0.12)
    assert found.error < 0.9 * found.raw_error


@pytest.mark.parametrize("metric", [CTR, SALES])
def test_the_unit_of_money_does_not_matter(users, metric):
    cents = replace(users, sales=users.sales * 100, pre_sales=users.pre_sales * 100)
    one, two = compare(users, metric, RULE), compare(cents, metric, RULE)
    assert list(two.uplift.model_dump().values()) == pytest.approx(
        list(one.uplift.model_dump().values()), rel=1e-6
    )
    scale = 100 if metric is SALES else 1
    assert two.difference.value == pytest.approx(scale * one.difference.value, rel=1e-6)


def test_the_order_of_users_does_not_matter(users):
    mixed = users.take(np.random.default_rng(0).permutation(len(users)))
    assert numbers(compare(mixed, CTR, RULE)) == pytest.approx(numbers(compare(users, CTR, RULE)))


def test_a_constant_on_both_arms_leaves_the_difference(users):
    more = replace(users, sales=users.sales + 50)
    one, two = compare(users, SALES, RULE).difference, compare(more, SALES, RULE).difference
    assert (two.value, two.fixed_low) == pytest.approx((one.value, one.fixed_low))


def test_a_constant_on_one_arm_is_the_difference(users):
    more = replace(users, sales=users.sales + 5.0 * (users.arm == 1))
    one, two = compare(users, SALES, RULE).difference, compare(more, SALES, RULE).difference
    assert two.value == pytest.approx(one.value + 5)
    assert two.fixed_high - two.fixed_low == pytest.approx(one.fixed_high - one.fixed_low)


def test_swapping_the_arms_turns_the_sign(users):
    swapped = replace(users, arm=(1 - users.arm).astype(np.int8))
    one, two = compare(users, CTR, RULE).uplift, compare(swapped, CTR, RULE).uplift
    assert 1 + two.value == pytest.approx(1 / (1 + one.value))
    assert 1 + two.low == pytest.approx(1 / (1 + one.high))


def test_the_arm_that_is_asked_for_is_compared(users):
    third = replace(users, arm=np.where(users.user % 3 == 0, 2, users.arm).astype(np.int8))
    alone = third.take(third.arm != 1)
    as_first = replace(alone, arm=(alone.arm == 2).astype(np.int8))
    assert numbers(compare(third, CTR, RULE, treatment=2)) == pytest.approx(
        numbers(compare(as_first, CTR, RULE))
    )


def test_a_planted_effect_is_found(users):
    found = compare(users, CTR, RULE)
    assert found.better
    assert found.uplift.low < 0.1 < found.uplift.high
    assert found.p_always < 0.05


def test_the_fixed_interval_is_the_narrower_one(users):
    found = compare(users, CTR, RULE).uplift
    assert found.low < found.fixed_low < found.value < found.fixed_high < found.high


def test_the_difference_is_as_many_errors_wide_as_the_uplift(users):
    found = compare(users, CTR, RULE)
    uplift = np.log1p([found.uplift.high, found.uplift.fixed_high]) - np.log1p(found.uplift.value)
    difference = np.array([found.difference.high, found.difference.fixed_high])
    difference -= found.difference.value
    assert difference[0] / difference[1] == pytest.approx(uplift[0] / uplift[1])
    assert uplift[0] == pytest.approx(RULE.multiplier(found.error) * found.error)


def test_what_cuped_keeps_is_a_share_of_the_variance(users):
    plain = compare(users, CTR, RULE, adjusted=False)
    found = compare(users, CTR, RULE)
    assert found.kept_variance == pytest.approx((found.error / plain.error) ** 2)
    assert plain.kept_variance == 1


def test_no_estimate_says_why(users):
    nothing = replace(users, clicks=np.zeros(len(users)))
    found = compare(nothing, CTR, RULE)
    assert found.uplift.value is None
    assert "nothing" in found.reason
    some = np.concatenate([np.flatnonzero(users.arm == 0), np.flatnonzero(users.arm == 1)[:149]])
    assert compare(users.take(some), CTR, RULE).reason == "fewer than 150 users in an arm."
    alike = replace(users, sales=np.ones(len(users)))
    assert "alike" in compare(alike, SALES, RULE).reason


@pytest.mark.parametrize(("arm", "total"), [(1, -1e7), (0, -1e7), (1, 0.0)])
def test_of_a_sum_that_is_not_above_zero_nothing_untrue_is_said(users, arm, total):
    """Sales of that arm were counted, and what is below zero is not a hundred percent down."""
    sales = np.round(users.sales)  # whole numbers, so that sums are exact
    mine = np.flatnonzero(users.arm == arm)
    sales[mine[0]] = total - sales[mine[1:]].sum()
    found = compare(replace(users, sales=sales), SALES, RULE, adjusted=False)
    assert found.uplift.value is None
    assert found.reason.startswith("an arm's sum of it is not above zero, since some of its users")


def test_a_treatment_that_has_nothing_is_a_hundred_percent_down(users):
    none = replace(users, sales=np.where(users.arm == 1, 0.0, users.sales))
    found = compare(none, SALES, RULE)
    assert (found.uplift.value, found.treatment, found.reason) == (-1.0, 0.0, None)
    assert found.worse
    assert found.difference.value == -found.control
    assert found.difference.high < 0
    assert found.p_always < 0.001
    swapped = replace(none, arm=1 - none.arm)
    assert "nothing" in compare(swapped, SALES, RULE).reason  # of a new thing nothing is known


def test_an_arm_that_lacks_a_rare_thing_by_chance_is_not_called_worse():
    """2,000 A/A pairs of 3 to 12 orders among 400 users: no order at all in an arm is no proof."""
    rng, wrong, seen = np.random.default_rng(0), 0, 0
    base = exposed(readout(users=400, effect=0.0), ARMS).users
    for _ in range(2000):
        sales = np.zeros(len(base))
        sales[rng.choice(len(base), rng.integers(3, 13), replace=False)] = 1.0
        if sales[base.arm == 1].sum() == 0 and sales[base.arm == 0].sum() > 0:
            seen += 1
            wrong += compare(replace(base, sales=sales), SALES, RULE).worse
    assert seen > 20
    assert wrong <= 2  # of 2,000


def test_a_treatment_without_users_has_no_estimate(users):
    assert compare(users.take(users.arm == 0), CTR, RULE).reason
