import numpy as np
import pytest
from scipy import stats

from evaluation.abtest import checks
from evaluation.abtest.always_valid import steady
from evaluation.abtest.effect import compare
from evaluation.abtest.ratios import PRE
from evaluation.abtest.sufficient import exposed
from tests.evaluation.abtest.rows import ARMS, readout

SHARES = {"old": 0.7, "new": 0.3}


def test_chi_square_is_scipys():
    expected = stats.chisquare([690, 310], [700, 300]).pvalue
    assert checks.chi_square_p([690, 310], [0.7, 0.3]) == pytest.approx(expected)
    assert checks.chi_square_p([0, 0], [0.7, 0.3]) == 1


def test_the_anytime_p_is_one_over_the_dirichlet_multinomial_likelihood_ratio():
    counts, shares = [60, 20, 20], np.array([0.5, 0.25, 0.25])
    law = stats.dirichlet_multinomial(50 * shares, 100).pmf(counts)
    null = stats.multinomial(100, shares).pmf(counts)
    assert checks.anytime_p(counts, shares, prior=50) == pytest.approx(null / law)


def test_looked_at_daily_the_anytime_test_keeps_its_alpha_and_chi_square_does_not():
    rng = np.random.default_rng(0)
    days = rng.multinomial(100, [0.5, 0.5], (2000, 28)).cumsum(1)
    ever = (checks.anytime_p(days, (0.5, 0.5)) < 0.05).any(1)
    daily = (checks.chi_square_p(days, (1, 1)) < 0.05).any(1)
    assert np.mean(ever) < 0.05 + 3 * np.sqrt(0.05 * 0.95 / 2000)
    assert np.mean(daily) > 0.15


def test_a_lost_tenth_is_found():
    good = checks.sample_ratio({"old": 7050, "new": 2950}, SHARES, 0.001)
    bad = checks.sample_ratio({"old": 7000, "new": 2600}, SHARES, 0.001)
    assert good.passed
    assert not bad.passed
    assert "start anew" in bad.sentence


def test_the_share_that_was_seen_stands_beside_the_planned_one():
    found = checks.sample_ratio({"old": 7000, "new": 2600}, SHARES, 0.001).sentence
    assert "old 7,000 (72.9%, planned 70%), new 2,600 (27.1%, planned 30%)" in found


def test_what_chi_square_would_find_at_one_look_is_no_alarm_at_a_daily_one():
    counts, halves = {"old": 5000, "new": 5250}, {"old": 0.5, "new": 0.5}
    assert checks.chi_square_p(list(counts.values()), (0.5, 0.5)) < 0.02
    assert checks.sample_ratio(counts, halves, 0.05).passed


def test_an_arm_that_nobody_saw_is_a_mismatch():
    assert not checks.sample_ratio({"old": 1000}, SHARES, 0.001).passed


@pytest.mark.parametrize(("several", "passed"), [(0, True), (1, True), (3, False)])
def test_users_of_two_arms_may_be_few(several, passed):
    assert checks.multiple_exposure(several, 1000, 0.002).passed is passed
    assert checks.unknown_arms(several, 1000, 0.002).passed is passed


def test_what_is_more_than_is_allowed_is_said_to_be_more():
    """Rounded, 0.08 % stood beside an allowed 0.1 %, and 0.07 % beside 0.0 %."""
    said = checks.multiple_exposure(8, 9992, 0.0005).sentence
    assert said == "8 users (0.08%) saw several arms, more than the 0.05% allowed."
    said = checks.unknown_arms(7, 10_000, 0.0004).sentence
    assert said == "7 rows (0.07%) are of unknown arms, more than the 0.04% allowed."
    said = checks.sample_ratio({"old": 9995, "new": 5}, {"old": 0.9995, "new": 0.0005}, 0.001)
    assert "planned 99.95%" in said.sentence


def test_what_others_found_wrong_is_said():
    assert checks.logging([]).passed
    assert checks.logging(["hour 3 is missing."]).sentence == "hour 3 is missing."


def test_arms_that_differed_before_are_noticed():
    users = exposed(readout(users=6000), ARMS).users
    assert checks.pre_period(users, 0.001, 14).passed
    users.pre_clicks[users.arm == 1] *= 1.5
    found = checks.pre_period(users, 0.001, 14)
    assert found.passed is False
    assert "clicks per item shown before" in found.sentence


def test_money_that_differed_before_is_noticed_though_it_is_noisier_than_clicks():
    users = exposed(readout(users=400), ARMS).users
    users.pre_sales[users.arm == 1] *= 4
    assert compare(users, PRE["sales"], steady(0.001, 14), adjusted=False).p_fixed < 1e-5
    assert checks.pre_period(users, 0.001, 14).passed is False


def test_every_metric_of_the_pre_period_pays_for_the_other():
    users = exposed(readout(users=2000), ARMS).users
    said = checks.pre_period(users, 0.001, 14).sentence
    for metric in PRE.values():
        p = compare(users, metric, steady(0.001, 14), adjusted=False).p_always
        assert f"{metric.title} (p {min(1, 2 * p):.2g})" in said


def test_without_a_pre_period_there_is_nothing_to_say():
    users = exposed(readout(users=600), ARMS).users
    assert (
        "there are fewer than 150"
        in checks.pre_period(users.take(users.user < 999), 1e-3, 14).sentence
    )
    users.pre_clicks[:] = users.pre_impressions[:] = users.pre_sales[:] = 0
    found = checks.pre_period(users, 0.001, 14)
    assert (found.passed, "there is no pre-period" in found.sentence) == (None, True)
