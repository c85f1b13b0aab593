import numpy as np
import pytest

from evaluation.abtest import cuped
from evaluation.abtest.ratios import METRICS, pull
from evaluation.abtest.sufficient import exposed
from tests.evaluation.abtest.rows import ARMS, readout


def centred(rng, treated, metrics=1):
    values = rng.normal(size=(metrics, len(treated)))
    for side in (treated, ~treated):
        values[:, side] -= values[:, side].mean(1, keepdims=True)
    return values


def test_one_covariate_is_the_textbook():
    """theta = cov(Y, X) / var(X) within arms; the figure moves by -theta times the gap."""
    rng = np.random.default_rng(0)
    treated = np.arange(1000) % 2 == 0
    x, y = rng.normal(size=1000) + 0.1 * treated, centred(rng, treated)
    for side in (treated, ~treated):
        y[0, side] += 2 * (x[side] - x[side].mean())
    found = cuped.adjust(y, treated, x[None, :])
    inner = [(x[side] - x[side].mean(), y[0, side]) for side in (treated, ~treated)]
    theta = sum((a * b).sum() for a, b in inner) / sum((a * a).sum() for a, _ in inner)
    gap = x[treated].mean() - x[~treated].mean()
    assert found.shift[0, 1] - found.shift[0, 0] == pytest.approx(-theta * gap)
    assert found.pulls.var() == pytest.approx(y.var() - theta**2 * x.var(), rel=0.02)


def test_it_is_least_squares_with_an_intercept_per_arm():
    rng = np.random.default_rng(1)
    treated, known = rng.random(800) < 0.4, rng.normal(size=(3, 800))
    y = centred(rng, treated) + known[:1]
    design = np.column_stack([treated, ~treated, *known])
    for side in (treated, ~treated):
        y[:, side] -= y[:, side].mean()
    answer = np.linalg.lstsq(design, y[0], rcond=None)[0]
    found = cuped.adjust(y, treated, known)
    left_out = [_without(design, y[0], user) for user in range(0, 800, 50)]
    assert found.pulls[0, ::50] == pytest.approx(left_out, abs=0.02)
    gap = known[:, treated].mean(1) - known[:, ~treated].mean(1)
    assert found.shift[0, 1] - found.shift[0, 0] == pytest.approx(-answer[2:] @ gap)


def _without(design, y, user):
    """A user's residual from a fit that did not see him."""
    others = np.arange(len(y)) != user
    return y[user] - design[user] @ np.linalg.lstsq(design[others], y[others], rcond=None)[0]


def test_a_whale_does_not_hide_behind_his_own_slope():
    rng = np.random.default_rng(5)
    treated, known = np.arange(400) % 2 == 0, rng.normal(size=(1, 400))
    y = centred(rng, treated)
    known[0, 7], y[0, 7] = 100.0, 80.0
    found = cuped.adjust(y, treated, known)
    assert abs(found.pulls[0, 7]) > 50


def test_units_and_useless_columns_change_nothing():
    rng = np.random.default_rng(2)
    treated, known = rng.random(500) < 0.5, rng.lognormal(0, 2, (2, 500))
    y = centred(rng, treated, 2)
    plain = cuped.adjust(y, treated, known)
    scaled = cuped.adjust(y, treated, known * [[1e6], [1e-6]])
    padded = cuped.adjust(y, treated, np.vstack([known, np.ones(500), known[:1]]))
    for other in (scaled, padded):
        assert other.shift == pytest.approx(plain.shift, abs=1e-9)
        assert other.pulls == pytest.approx(plain.pulls, abs=1e-6)


def test_new_users_have_a_level_of_their_own():
    """Where only being new explains, the missing indicator explains it."""
    users = exposed(readout(users=3000), ARMS).users
    treated, y = users.arm == 1, users.seen_before.copy()
    for side in (treated, ~treated):
        y[side] -= y[side].mean()
    left = cuped.adjust(y[None, :], treated, cuped.covariates(users)).pulls
    assert np.abs(left).max() < 1e-9


def test_a_handful_of_users_is_not_adjusted():
    rng = np.random.default_rng(3)
    treated = np.arange(150) % 2 == 0
    y, known = centred(rng, treated), rng.normal(size=(2, 150))
    found = cuped.adjust(y, treated, known)
    assert found.pulls is y
    assert not found.shift.any()


def test_the_correlation_is_what_is_left():
    users = exposed(readout(users=4000), ARMS).users
    pulls, known = pull(users.clicks, users.impressions), cuped.covariates(users)
    design = np.column_stack([np.ones(len(users)), *known])
    left = pulls - design @ np.linalg.lstsq(design, pulls, rcond=None)[0]
    rho = cuped.correlation(pulls, known)
    assert 1 - rho**2 == pytest.approx(left.var() / pulls.var())
    assert METRICS["ctr"].part == "clicks"
    assert rho > 0.3


def test_nothing_to_explain_has_no_correlation():
    assert cuped.correlation(np.zeros(10), np.ones((2, 10))) == 0
