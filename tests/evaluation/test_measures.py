"""How scores become a number with an interval, and when there is too little to say."""

from dataclasses import replace

import numpy as np
import pytest

from evaluation import metrics
from evaluation.measures import BY_NAME, Bench
from evaluation.settings import EvaluateConfig
from tests.evaluation import synthetic

CONFIG = EvaluateConfig(replicates=40, min_positives=5, min_users=4)


@pytest.fixture(scope="module")
def drawn():
    return synthetic.questions(users=30)


def scored(asked, name, seed=0):
    block = getattr(asked, BY_NAME[name].place)
    return np.random.default_rng(seed).random(len(block.moment))


@pytest.mark.parametrize(
    ("positives", "negatives", "users", "enough"),
    [(5, 5, 4, True), (4, 99, 99, False), (99, 4, 99, False), (99, 99, 3, False)],
)
def test_what_is_needed_is_needed_of_positives_negatives_and_users(
    drawn, positives, negatives, users, enough
):
    lacks = Bench.of(drawn[0], CONFIG).lacks(positives, negatives, users)
    assert (lacks is None) is enough
    if lacks:
        assert f"{positives:,} positives and {negatives:,} negatives of {users:,} users" in lacks


def test_of_a_share_questions_and_users_are_needed(drawn):
    bench = Bench.of(drawn[0], CONFIG)
    assert bench.lacks(5, None, 4) is None
    assert "4 questions of 9 users" in bench.lacks(4, None, 9)
    assert "not asked" in bench.lacks(0, None, 0)
    assert "not asked" in bench.lacks(0, 0, 0)
    assert "not enough" in bench.lacks(0, 7, 9)


@pytest.mark.parametrize("unit", ["RMSE", "Share"])
def test_a_measure_of_another_kind_is_refused_and_not_taken_for_an_auc(unit):
    with pytest.raises(ValueError, match=f"fifp_auc is measured in {unit}, which is neither"):
        replace(BY_NAME["fifp_auc"], unit=unit)


@pytest.mark.parametrize("right", [False, True])
def test_few_answers_that_are_all_alike_do_not_prove_that_all_are(drawn, right):
    asked, _ = drawn
    user = asked.user_of(asked.prices.moment)
    found = Bench.of(asked, CONFIG).share(np.full(len(user), right), user)
    assert found.value == right
    assert np.isnan(found.interval.low)
    assert "every draw of users gives the same figure" in found.reason


def test_who_says_the_same_of_all_is_known_to_be_no_better_than_chance(drawn):
    asked, _ = drawn
    same = np.zeros(len(asked.candidates.moment))
    found = Bench.of(asked, CONFIG).measure(BY_NAME["ctr_auc"], same)
    assert (found.value, found.interval.low, found.interval.high) == (0.5, 0.5, 0.5)
    assert found.reason is None


def test_who_puts_every_click_last_is_measured_and_is_not_taken_for_unknown(drawn):
    asked, _ = drawn
    candidates = asked.candidates
    measure = Bench.of(asked, CONFIG).measure
    wrong = measure(BY_NAME["ctr_auc"], -candidates.clicked.astype(float))
    assert (wrong.value, wrong.interval.low, wrong.reason) == (0.0, 0.0, None)
    right = measure(BY_NAME["ctr_auc"], candidates.clicked.astype(float))
    assert (right.value, "every draw of users" in right.reason) == (1.0, True)


def test_a_model_beside_itself_differs_by_nothing_and_that_is_known(drawn):
    asked, _ = drawn
    bench = Bench.of(asked, CONFIG)
    found = bench.measure(BY_NAME["ctr_auc"], scored(asked, "ctr_auc"))
    gap = found.minus(found, bench.resamples)
    assert (gap.value, gap.low, gap.high) == (0, 0, 0)


@pytest.mark.parametrize(
    ("name", "column"),
    [
        ("ctr_auc", "clicked"),
        ("l2r_auc", "label"),
        ("l2r_weighted_auc", "label"),
        ("l2r_purchase_auc", "purchased"),
        ("fifp_auc", "followed"),
    ],
)
def test_a_measure_is_the_auc_of_its_own_answers(drawn, name, column):
    asked, _ = drawn
    measure, scores = BY_NAME[name], scored(asked, name)
    block = getattr(asked, measure.place)
    keep = np.random.default_rng(1).random(len(scores)) < 0.7
    weight = block.weight[keep] if name == "l2r_weighted_auc" else None
    found = Bench.of(asked, CONFIG).measure(measure, scores, keep)
    positive = getattr(block, column)[keep] > 0
    assert found.value == pytest.approx(metrics.auc(scores[keep], positive, weight))
    assert (found.questions, found.positives) == (keep.sum(), positive.sum())
    assert found.users == len(np.unique(asked.moments.user[block.moment[keep]]))


def test_who_asked_is_the_user_of_the_question_that_is_kept(drawn):
    """Only the last user's answers are right; an interval over others' would not move."""
    asked, _ = drawn
    bench, measure = Bench.of(asked, CONFIG), BY_NAME["ppp_precision"]
    user = asked.user_of(asked.prices.moment)
    said = np.where(user == 29, asked.prices.level, asked.prices.level + 1)
    keep = user >= 20
    found = bench.measure(measure, said, keep)
    counts = bench.resamples.counts[user[keep]]
    assert found.value == pytest.approx((user[keep] == 29).mean())
    expected = counts[user[keep] == 29].sum(0) / counts.sum(0)
    assert found.replicates == pytest.approx(expected)


def test_a_difference_is_paired_draw_by_draw(drawn):
    asked, _ = drawn
    bench, measure = Bench.of(asked, CONFIG), BY_NAME["ctr_auc"]
    one, two = (bench.measure(measure, scored(asked, "ctr_auc", seed)) for seed in (0, 1))
    found = one.minus(two, bench.resamples)
    apart = one.replicates - two.replicates
    assert found.value == one.value - two.value
    assert (found.low, found.high) == pytest.approx(tuple(np.quantile(apart, [0.025, 0.975])))
    nothing = replace(two, reason="not enough evidence")
    assert np.isnan(one.minus(nothing, bench.resamples).low)
    assert np.isnan(nothing.minus(one, bench.resamples).low)


def test_intervals_are_of_the_level_that_is_set(drawn):
    asked, _ = drawn
    wide, narrow = (
        Bench.of(asked, CONFIG.model_copy(update={"level": level}))
        .measure(BY_NAME["ctr_auc"], scored(asked, "ctr_auc"))
        .interval
        for level in (0.95, 0.6)
    )
    assert wide.low < narrow.low < narrow.high < wide.high


def test_the_interval_of_the_weighted_auc_is_of_weighted_draws(drawn):
    asked, _ = drawn
    bench, scores = Bench.of(asked, CONFIG), scored(asked, "l2r_weighted_auc")
    found = bench.measure(BY_NAME["l2r_weighted_auc"], scores)
    given = asked.candidates
    user, positive = asked.user_of(given.moment), given.label > 0
    expected = bench.resamples.auc(scores, positive, user, given.weight)
    np.testing.assert_array_equal(found.replicates, expected)
    assert found.interval == bench.resamples.interval(found.value, expected)
    assert abs(expected - bench.resamples.auc(scores, positive, user)).max() > 0.001
