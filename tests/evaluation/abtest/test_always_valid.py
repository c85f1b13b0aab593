import math
from itertools import product

import numpy as np
import pytest
from scipy.stats import norm

from evaluation.abtest import always_valid
from evaluation.abtest.always_valid import Mixture


def waudby_smith(t, rho, alpha):
    """Half width of their asymptotic confidence sequence, unit variance."""
    return math.sqrt(
        2 * (t * rho**2 + 1) / (t * rho) ** 2 * math.log(math.sqrt(t * rho**2 + 1) / alpha)
    )


@pytest.mark.parametrize("t", [1, 10, 1000, 10**6])
@pytest.mark.parametrize("rho", [0.01, 0.3, 5.0])
def test_it_is_the_asymptotic_confidence_sequence(t, rho):
    error = 1 / math.sqrt(t)
    assert Mixture(rho).multiplier(error) * error == pytest.approx(waudby_smith(t, rho, 0.05))


def test_it_is_the_mixture_of_likelihood_ratios():
    """Integrate the likelihood ratio over the mixing law by hand."""
    tau, error, estimate = 0.03, 0.01, 0.031
    theta = np.linspace(-0.4, 0.4, 80_001)
    ratio = np.exp((estimate * theta - theta**2 / 2) / error**2)
    mixed = np.sum(ratio * norm.pdf(theta, 0, tau)) * (theta[1] - theta[0])
    assert Mixture(tau).p_value(estimate, error) == pytest.approx(1 / mixed)


@pytest.mark.parametrize("tau", [0.02, None])
@pytest.mark.parametrize("looks", [1, 14, 60])
def test_zero_is_excluded_just_when_p_is_below_alpha(tau, looks):
    rule = Mixture(tau, 0.05, looks)
    bound = rule.multiplier(0.01) * 0.01
    assert rule.p_value(bound * 1.0001, 0.01) < 0.05 < rule.p_value(bound * 0.9999, 0.01)


@pytest.mark.parametrize("looks", [14, 60])
@pytest.mark.parametrize("alpha", [0.1, 0.05, 0.001])
def test_it_is_sharpest_where_it_was_tuned(alpha, looks):
    rule = always_valid.tuned(0.01, alpha, looks)
    errors = 0.01 * np.linspace(0.5, 2, 301)
    bounds = [rule.multiplier(error) for error in errors]
    assert errors[int(np.argmin(bounds))] == pytest.approx(0.01, rel=0.01)
    lowest = always_valid.lowest(always_valid.level(alpha, looks))
    assert min(bounds) == pytest.approx(lowest, rel=1e-6)


@pytest.mark.parametrize("looks", [14, 60])
@pytest.mark.parametrize("alpha", [0.05, 0.001])
def test_the_steady_rule_has_the_lowest_multiplier_whatever_the_error(alpha, looks):
    rule = always_valid.steady(alpha, looks)
    lowest = always_valid.lowest(always_valid.level(alpha, looks))
    for error in (1e-6, 0.01, 3.0):
        assert rule.multiplier(error) == lowest
        tuned = always_valid.tuned(error, alpha, looks)
        assert rule.information(error) == pytest.approx(tuned.information(error))


@pytest.mark.parametrize("planned", [1, 14, 28])
def test_the_steady_rule_keeps_alpha_at_looks_that_know_nothing_of_one_another(planned):
    """The worst dependence that Bonferroni allows for is near independence of all looks."""
    z = np.abs(np.random.default_rng(1).normal(size=(40_000, planned)))
    wrong = (z >= always_valid.steady(0.05, planned).multiplier(1.0)).any(1).mean()
    assert wrong < 0.05 + 3 * math.sqrt(0.05 * 0.95 / 40_000)
    assert wrong > 0.04 or planned < always_valid.looks(0.05)


def test_with_few_degrees_of_freedom_a_multiplier_errs_as_if_the_error_were_known():
    t = np.random.default_rng(2).standard_t(11, 400_000)
    z = always_valid.fixed(0.01)
    assert (np.abs(t) > always_valid.student(z, 11)).mean() == pytest.approx(0.01, rel=0.05)


@pytest.mark.parametrize("alpha", [0.05, 0.01])
@pytest.mark.parametrize("planned", [1, 14, 20, 21, 28, 90])
def test_the_planned_looks_err_with_alpha_at_most_whatever_their_dependence(alpha, planned):
    level = always_valid.level(alpha, planned)
    assert level <= alpha
    bonferroni = planned * 2 * norm.sf(always_valid.lowest(level))
    assert bonferroni <= alpha * (1 + 1e-9)
    if planned > always_valid.looks(alpha):
        assert bonferroni == pytest.approx(alpha)


def test_independent_users_as_many_looks_as_one_likes():
    """A thousand looks at a random walk: the mixture keeps alpha, the fixed bound does not."""
    rng = np.random.default_rng(0)
    walks = rng.normal(size=(2000, 1000)).cumsum(1)
    t = np.arange(1, 1001)
    rule = Mixture(0.1)
    bound = np.array([rule.multiplier(1 / math.sqrt(n)) for n in t]) * np.sqrt(t)
    wrong = (np.abs(walks) >= bound).any(1).mean()
    assert wrong < 0.05 + 3 * math.sqrt(0.05 * 0.95 / 2000)
    assert (np.abs(walks) >= 1.96 * np.sqrt(t)).any(1).mean() > 0.4


def test_no_information_excludes_nothing():
    for error, tau in product((0.0, math.nan, math.inf), (0.1, None)):
        assert Mixture(tau).multiplier(error) == math.inf
        assert Mixture(tau).p_value(1.0, error) == 1.0


def test_an_enormous_effect_does_not_overflow():
    assert Mixture(0.1).p_value(10.0, 1e-6) == 0.0
    assert Mixture(None).p_value(10.0, 1e-200) == 0.0
    assert math.isfinite(Mixture(0.1).multiplier(1e-200))


def test_the_fixed_interval_is_the_usual_one():
    assert always_valid.fixed(0.05) == pytest.approx(1.959964)
    assert always_valid.p_fixed(1.959964, 1.0) == pytest.approx(0.05)
    assert math.isnan(always_valid.p_fixed(1.0, 0.0))
