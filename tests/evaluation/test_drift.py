"""Drift and alignment against oracles: what a rotation does, and what undoes it."""

import numpy as np
import pytest
from scipy.stats import ortho_group

from evaluation import drift
from evaluation.drift import Probe


@pytest.fixture
def rep():
    rng = np.random.default_rng(0)
    return rng.normal(size=(400, 8)) * np.arange(1, 9) + 3


@pytest.fixture
def fold():
    return np.arange(400) % 2


def test_the_same_representation_has_not_moved(rep, fold):
    found = drift.dimensions(rep, rep)
    np.testing.assert_allclose(found.correlation, 1)
    np.testing.assert_allclose(found.shift, 0)
    np.testing.assert_allclose(found.scale, 1)
    assert drift.change(rep, rep) == 0


def test_alignment_undoes_a_rotation_and_a_shift(rep, fold):
    turned = (rep @ ortho_group.rvs(8, random_state=1)) + 5
    assert drift.change(rep, turned) > 1
    np.testing.assert_allclose(drift.aligned(rep, turned, fold), rep, atol=1e-8)


def test_of_fewer_moments_than_dimensions_no_alignment_is_told(rep, fold):
    """Sixteen moments of eight dimensions leave eight to either fold: a rotation is determined."""
    turned = rep @ ortho_group.rvs(8, random_state=1)
    enough, few = (drift.aligned(rep[:n], turned[:n], fold[:n]) for n in (16, 14))
    assert np.isfinite(enough).all()
    assert np.isnan(few).all()


def test_alignment_does_not_undo_what_is_no_longer_known(rep, fold):
    noise = np.random.default_rng(2).normal(size=rep.shape)
    assert drift.change(rep, drift.aligned(rep, noise, fold)) > 0.5


def test_unrelated_moments_are_two_spreads_apart():
    rng = np.random.default_rng(3)
    one, other = rng.normal(size=(2, 5000, 4))
    assert drift.change(one, other) == pytest.approx(2, abs=0.1)


def test_shift_and_scale_are_of_the_champion(rep):
    found = drift.dimensions(rep, 2 * rep)
    np.testing.assert_allclose(found.scale, 2)
    np.testing.assert_allclose(found.shift, rep.mean(0) / rep.std(0))


def test_a_dimension_that_says_nothing_has_no_correlation(rep):
    dead = rep.copy()
    dead[:, 0] = 1
    found = drift.dimensions(dead, rep)
    assert np.isnan(found.correlation[0])
    assert np.isfinite(found.correlation[1:]).all()


def test_a_probe_says_the_class_that_lies_nearest(rep):
    label = (rep[:, 7] > 3).astype(np.int64)
    probe = Probe.fit(rep[:200], label[:200], 2, 1e-3)
    assert (probe.said(rep[200:]) == label[200:]).mean() > 0.9
