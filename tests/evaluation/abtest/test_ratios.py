import numpy as np
import pytest

from evaluation.abtest import ratios

Y, X = np.array([1.0, 0.0, 4.0, 3.0]), np.array([10.0, 10.0, 20.0, 40.0])


def test_a_ratio_by_hand():
    """R = 8/80; residuals y - R x = 0, -1, 2, -1; mean of x 20; variance 6/3 / (4 * 400)."""
    found = ratios.ratio(Y, X)
    assert found.value == pytest.approx(0.1)
    assert found.variance == pytest.approx(2 / 1600)


def test_it_is_the_textbook_formula():
    cov = np.cov(Y, X, ddof=1)
    r, n = Y.sum() / X.sum(), len(Y)
    textbook = (cov[0, 0] - 2 * r * cov[0, 1] + r * r * cov[1, 1]) / (n * X.mean() ** 2)
    assert ratios.ratio(Y, X).variance == pytest.approx(textbook)


def test_a_mean_is_a_ratio_over_ones():
    found = ratios.ratio(Y, np.ones(4))
    assert found.value == Y.mean()
    assert found.variance == pytest.approx(Y.var(ddof=1) / 4)


def test_the_bootstrap_of_users_agrees():
    rng = np.random.default_rng(0)
    x = rng.lognormal(2, 1, 2000).round() + 1
    y = rng.binomial(x.astype(int), np.minimum(0.1 * rng.lognormal(0, 0.7, 2000), 0.9))
    drawn = rng.integers(0, 2000, (3000, 2000))
    one = y[drawn].sum(1) / x[drawn].sum(1)
    assert np.sqrt(ratios.ratio(y, x).variance) == pytest.approx(one.std(), rel=0.06)


def test_rows_are_not_what_counts():
    """Taking each impression as independent makes the error of CTR many times too small."""
    rng = np.random.default_rng(1)
    x = np.full(500, 200)
    y = rng.binomial(x, rng.beta(1, 9, 500))
    p = y.sum() / x.sum()
    assert ratios.ratio(y, x).variance > 10 * p * (1 - p) / x.sum()


def test_nothing_shown_has_no_ratio():
    assert np.isnan(ratios.ratio(np.zeros(3), np.zeros(3)).value)
    assert np.isnan(ratios.ratio(np.ones(1), np.ones(1)).variance)
