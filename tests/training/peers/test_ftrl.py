"""FTRL-Proximal against itself written as a loop, and against what it should find."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from training.peers.config import FtrlConfig
from training.peers.ftrl import ABSENT, Ftrl

COORDINATES, FEATURES = 60, 5
CONFIG = FtrlConfig(alpha=0.1, beta=1.0, l1=0.2, l2=0.5)


def examples(count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Rows of coordinates (some absent), and labels that the first 30 coordinates decide."""
    rng = np.random.default_rng(seed)
    rows = rng.integers(0, COORDINATES, (count, FEATURES)).astype(np.int32)
    truth = np.zeros(COORDINATES)
    truth[1:30] = np.linspace(-2, 2, 29)
    chance = 1 / (1 + np.exp(-truth[rows].sum(axis=1)))
    return rows, (rng.random(count) < chance).astype(float)


def by_hand(rows: np.ndarray, label: np.ndarray, batch: int) -> np.ndarray:
    """McMahan's algorithm, coordinate by coordinate, gradients summed over a batch."""
    z, n, w = (np.zeros(COORDINATES) for _ in range(3))
    for start in range(0, len(rows), batch):
        gradient = np.zeros(COORDINATES)
        for row, y in zip(rows[start : start + batch], label[start : start + batch], strict=True):
            p = 1 / (1 + np.exp(-sum(w[i] for i in row)))
            for i in row:
                gradient[i] += p - y
        for i in range(1, COORDINATES):
            g = gradient[i]
            sigma = (np.sqrt(n[i] + g * g) - np.sqrt(n[i])) / CONFIG.alpha
            z[i] += g - sigma * w[i]
            n[i] += g * g
            if abs(z[i]) <= CONFIG.l1:
                w[i] = 0
            else:
                rate = (CONFIG.beta + np.sqrt(n[i])) / CONFIG.alpha + CONFIG.l2
                w[i] = -(z[i] - np.sign(z[i]) * CONFIG.l1) / rate
    return w


def test_it_is_the_algorithm_written_as_a_loop():
    rows, label = examples(200)
    model = Ftrl.new(COORDINATES, CONFIG)
    for start in range(0, 200, 20):
        model.learn(rows[start : start + 20], label[start : start + 20])
    np.testing.assert_allclose(model.weights, by_hand(rows, label, 20), atol=1e-12)


def test_it_ends_near_the_maximum_of_the_likelihood():
    rows, label = examples(40_000)
    model = Ftrl.new(COORDINATES, FtrlConfig(alpha=0.3, l1=0, l2=0))
    for _ in range(3):
        for start in range(0, len(rows), 100):
            model.learn(rows[start : start + 100], label[start : start + 100])
    counts = np.zeros((len(rows), COORDINATES))
    np.add.at(counts, (np.arange(len(rows))[:, None], rows), 1)
    counts[:, ABSENT] = 0
    best = LogisticRegression(C=1e6, fit_intercept=False, max_iter=500).fit(counts, label)
    assert np.corrcoef(model.weights, best.coef_[0])[0, 1] > 0.99


def test_what_means_nothing_stays_exactly_zero():
    rows, label = examples(5_000)
    model = Ftrl.new(COORDINATES, FtrlConfig(alpha=0.1, l1=40.0))
    for start in range(0, len(rows), 50):
        model.learn(rows[start : start + 50], label[start : start + 50])
    zero = model.weights == 0
    assert zero[30:].mean() > 0.8
    assert zero[[*range(1, 8), *range(23, 30)]].mean() < 0.2


def test_an_absent_feature_is_never_learnt():
    rows = np.full((50, FEATURES), ABSENT, np.int32)
    model = Ftrl.new(COORDINATES, CONFIG)
    model.learn(rows, np.ones(50))
    assert not model.weights.any()
    assert not model.logits(rows).any()


def test_an_example_of_weight_two_is_two_examples():
    rows, label = examples(40)
    once, twice = Ftrl.new(COORDINATES, CONFIG), Ftrl.new(COORDINATES, CONFIG)
    once.learn(rows, label, np.full(40, 2.0))
    twice.learn(np.concatenate([rows, rows]), np.concatenate([label, label]))
    np.testing.assert_allclose(once.weights, twice.weights)


def test_the_loss_is_the_mean_log_loss_before_the_step():
    rows, label = examples(300)
    model = Ftrl.new(COORDINATES, CONFIG)
    assert model.learn(rows, label) == pytest.approx(np.log(2))
    p = 1 / (1 + np.exp(-model.logits(rows)))
    expected = -np.mean(label * np.log(p) + (1 - label) * np.log(1 - p))
    assert model.learn(rows, label) == pytest.approx(expected)


def test_it_goes_on_from_what_was_saved():
    rows, label = examples(400)
    whole = Ftrl.new(COORDINATES, CONFIG)
    whole.learn(rows[:200], label[:200])
    later = Ftrl.load(whole.saved(), CONFIG)
    for model in (whole, later):
        model.learn(rows[200:], label[200:])
    np.testing.assert_array_equal(whole.weights, later.weights)


@pytest.mark.parametrize("weighted", [False, True])
def test_a_move_by_the_errors_is_the_step_that_it_learns_by(weighted):
    rows, label = examples(300)
    weight = np.linspace(0.5, 2, 300) if weighted else np.ones(300)
    learnt, moved = (Ftrl.new(COORDINATES, CONFIG) for _ in range(2))
    for _ in range(3):
        error = (1 / (1 + np.exp(-moved.logits(rows))) - label) * weight
        moved.move(rows, error)
        learnt.learn(rows, label, weight if weighted else None)
    np.testing.assert_array_equal(moved.z, learnt.z)
    np.testing.assert_array_equal(moved.weights, learnt.weights)


def test_questions_of_several_classes_are_as_many_examples():
    rows, _ = examples(280)
    error = np.random.default_rng(1).normal(size=280)
    flat, folded = (Ftrl.new(COORDINATES, CONFIG) for _ in range(2))
    flat.move(rows, error)
    folded.move(rows.reshape(40, 7, FEATURES), error.reshape(40, 7))
    np.testing.assert_array_equal(flat.weights, folded.weights)
    expected = flat.logits(rows).reshape(40, 7)
    np.testing.assert_array_equal(folded.logits(rows.reshape(40, 7, FEATURES)), expected)
    folded.move(rows[:0].reshape(0, 7, FEATURES), error[:0].reshape(0, 7))
    np.testing.assert_array_equal(flat.weights, folded.weights)
