import time

import numpy as np
import pytest

from evaluation import bootstrap, metrics
from evaluation.bootstrap import Resamples


def log(users=300, rows=3000, seed=0, pull=0.7):
    """Candidates whose clicks depend on a score and on the user."""
    rng = np.random.default_rng(seed)
    user = rng.integers(0, users, rows)
    score = rng.normal(size=rows)
    mood = rng.normal(size=users)[user]
    clicked = rng.random(rows) < 1 / (1 + np.exp(1 - pull * score - mood))
    return user, score, clicked


@pytest.mark.parametrize("digits", [8, 1])  # 1: many ties
def test_a_replicate_is_the_auc_with_each_user_counted_as_often_as_drawn(digits):
    user, score, clicked = log()
    score = score.round(digits)
    weight = np.random.default_rng(1).random(len(user))
    draws = Resamples.draw(300, 70, seed=2)  # more than one chunk
    found = draws.auc(score, clicked, user, weight)
    expected = [
        metrics.auc(score, clicked, weight * draws.counts[user, column]) for column in range(70)
    ]
    assert found == pytest.approx(expected, abs=1e-9)


def test_threads_change_no_bit_of_a_replicate(monkeypatch):
    rng = np.random.default_rng(3)
    user, score, clicked = rng.integers(0, 40, 900), rng.random(900).round(2), rng.random(900) < 0.3
    resamples = Resamples.draw(40, 3 * bootstrap.CHUNK + 5, 0)
    found = []
    for threads in (1, 3):
        monkeypatch.setattr(bootstrap, "_threads", lambda threads=threads: threads)
        found.append(resamples.auc(score, clicked, user))
    assert np.array_equal(*found)


def test_replicates_keep_parts_apart_as_the_figure_does():
    user, score, clicked = log()
    part = np.random.default_rng(7).integers(0, 3, len(user))
    score, weight = score + 10 * part, np.random.default_rng(1).random(len(user))
    draws = Resamples.draw(300, 8, seed=2)
    found = draws.auc(score, clicked, user, weight, part)
    expected = [
        metrics.auc(score, clicked, weight * draws.counts[user, column], part)
        for column in range(8)
    ]
    assert found == pytest.approx(expected, abs=1e-9)


def test_an_interval_is_of_the_replicates_that_are_known():
    draws = Resamples(np.zeros((5, 40), np.float32), level=0.9)
    known = np.r_[np.full(19, np.nan), np.arange(21.0)]
    found = draws.interval(9.0, known)
    assert (found.value, found.low, found.high) == pytest.approx((9.0, 1.0, 19.0))
    assert found.error == pytest.approx(np.std(np.arange(21), ddof=1))
    moved = draws.around(9.0, known)
    assert (moved.low, moved.high) == pytest.approx((0.0, 27.0))
    for interval in (draws.interval, draws.around):
        assert np.isnan(interval(9.0, np.r_[known[:19], np.nan, np.nan, np.arange(19.0)]).low)
        assert np.isnan(interval(float("nan"), known).high)


def test_every_draw_has_as_many_users_as_there_are():
    draws = Resamples.draw(40, 30, seed=0)
    assert (draws.counts.sum(0) == 40).all()
    assert draws.counts.nbytes == 40 * 30  # a byte for each user of each
    assert np.array_equal(draws.counts, Resamples.draw(40, 30, seed=0).counts)
    assert not np.array_equal(draws.counts, Resamples.draw(40, 30, seed=1).counts)


def test_ratios_count_users_as_drawn():
    user, _, clicked = log()
    draws = Resamples.draw(300, 20, seed=3)
    found = draws.ratio(clicked, np.ones(len(user)), user)
    expected = [np.average(clicked, weights=draws.counts[user, c]) for c in range(20)]
    assert found == pytest.approx(expected, rel=1e-5)


def test_a_paired_difference_is_narrower_than_unpaired_ones():
    user, score, clicked = log()
    near = score + 0.1 * np.random.default_rng(4).normal(size=len(score))
    draws = Resamples.draw(300, 200, seed=5)
    one, two = draws.auc(score, clicked, user), draws.auc(near, clicked, user)
    assert (one - two).std() < 0.5 * np.hypot(one.std(), two.std())


def test_users_not_rows_are_drawn():
    """A hundred copies of every row tell nothing new, and the interval knows it."""
    user, score, clicked = log(rows=900)
    draws = Resamples.draw(300, 200, seed=6)
    once = draws.auc(score, clicked, user).std()
    copies = [np.repeat(column, 100) for column in (score, clicked, user)]
    assert draws.auc(*copies).std() == pytest.approx(once)


def test_one_class_gives_no_interval():
    draws = Resamples.draw(5, 20, seed=0)
    nothing = draws.auc(np.arange(5.0), np.ones(5), np.arange(5))
    assert np.isnan(nothing).all()
    assert np.isnan(draws.interval(float("nan"), nothing).low)


def test_a_hundred_thousand_candidates_take_a_few_seconds():
    user, score, clicked = log(users=5000, rows=100_000)
    start = time.process_time()
    draws = Resamples.draw(5000, 500, seed=0)
    draws.auc(score, clicked, user)
    assert time.process_time() - start < 10


@pytest.mark.drill
def test_intervals_cover_the_truth_as_often_as_they_say():
    """Against the law of the log itself, over many logs; 3.3 standard errors of tolerance."""
    user, score, clicked = log(users=40_000, rows=400_000, seed=99)
    truth = metrics.auc(score, clicked)
    hits, trials = 0, 400
    for seed in range(trials):
        user, score, clicked = log(users=250, rows=2500, seed=seed)
        draws = Resamples.draw(250, 300, seed=seed)
        found = draws.interval(metrics.auc(score, clicked), draws.auc(score, clicked, user))
        hits += found.low <= truth <= found.high
    assert hits / trials == pytest.approx(0.95, abs=3.3 * np.sqrt(0.95 * 0.05 / trials))
