import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as sk

from evaluation import metrics

rows = st.lists(
    st.tuples(st.integers(0, 6), st.booleans(), st.floats(0.1, 5)), min_size=1, max_size=40
)


def pair_count(score, positive, weight):
    """Every pair, one by one."""
    right = total = 0.0
    for s, p, w in zip(score, positive, weight, strict=True):
        for t, q, v in zip(score, positive, weight, strict=True):
            if p and not q:
                total += w * v
                right += w * v * (1.0 if s > t else 0.5 if s == t else 0.0)
    return right / total if total else float("nan")


@given(rows)
def test_auc_is_the_weighted_share_of_pairs_in_order_and_ties_count_half(given_rows):
    score, positive, weight = (np.array(column) for column in zip(*given_rows, strict=True))
    expected = pair_count(score, positive, weight)
    assert metrics.auc(score, positive, weight) == pytest.approx(expected, nan_ok=True)


def test_scores_of_different_parts_are_never_held_against_each_other():
    """Networks that learnt apart: the second one's scores are all higher."""
    rng = np.random.default_rng(5)
    part = rng.integers(0, 3, 90)
    score = rng.integers(0, 5, 90) + 10 * part
    positive, weight = rng.random(90) < 0.4, rng.random(90)
    right = total = 0.0
    for one in range(3):
        mine = part == one
        pairs = weight[mine & positive].sum() * weight[mine & ~positive].sum()
        right += pair_count(score[mine], positive[mine], weight[mine]) * pairs
        total += pairs
    assert metrics.auc(score, positive, weight, part) == pytest.approx(right / total)


def test_auc_equals_sklearn():
    rng = np.random.default_rng(0)
    score, weight = rng.normal(size=500).round(1), rng.random(500)
    positive = rng.random(500) < metrics_sigmoid(score)
    expected = sk.roc_auc_score(positive, score, sample_weight=weight)
    assert metrics.auc(score, positive, weight) == pytest.approx(expected)


def metrics_sigmoid(x):
    return 1 / (1 + np.exp(-x))


@pytest.mark.parametrize("positive", [[], [1, 1], [0, 0]])
def test_one_class_has_no_auc(positive):
    assert np.isnan(metrics.auc(np.arange(len(positive)), np.array(positive)))


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 4), st.booleans()), max_size=40))
def test_gauc_is_the_mean_auc_within_groups_that_have_both_classes(given_rows):
    data = np.array(given_rows).reshape(-1, 3)
    group, score, positive = data[:, 0], data[:, 1], data[:, 2] > 0
    aucs, sizes = [], []
    for g in np.unique(group):
        mine = group == g
        value = pair_count(score[mine], positive[mine], np.ones(mine.sum()))
        if not np.isnan(value):
            aucs.append(value)
            sizes.append(mine.sum())
    expected = np.average(aucs, weights=sizes) if aucs else float("nan")
    found = metrics.grouped_auc(score, positive, group)
    assert found.mean == pytest.approx(expected, nan_ok=True)
    assert found.auc == pytest.approx(aucs)


def test_log_loss_equals_sklearn():
    rng = np.random.default_rng(1)
    p = rng.random(300)
    y = rng.random(300) < p
    assert metrics.log_loss(p, y) == pytest.approx(sk.log_loss(y, p))


def test_a_certainty_that_was_wrong_costs_much_and_not_everything():
    losses = metrics.log_losses(np.array([0.0, 1.0, 1.0]), np.array([1, 0, 1]))
    assert losses[:2] == pytest.approx(-np.log(metrics.TINY))
    assert losses[2] < 1e-6
    assert metrics.entropy(np.array([0.0, 1.0])) == pytest.approx([0, 0], abs=1e-5)


def test_always_saying_the_mean_rate_has_normalised_entropy_one():
    y = np.array([1, 0, 0, 0])
    assert metrics.normalised_entropy(np.full(4, 0.25), y) == pytest.approx(1)
    assert metrics.normalised_entropy(np.array([0.9, 0.1, 0.1, 0.1]), y) < 1
    assert np.isnan(metrics.normalised_entropy(np.full(2, 0.5), np.zeros(2)))


def test_calibration_by_hand():
    found = metrics.calibration(np.array([0.1, 0.1, 0.6, 0.6]), np.array([0, 1, 1, 0]), bins=2)
    assert found.predicted == pytest.approx([0.1, 0.6])
    assert found.observed == pytest.approx([0.5, 0.5])
    assert found.error == pytest.approx((0.4 + 0.1) / 2)
    assert found.ratio == pytest.approx(1.4 / 2)


def test_a_bin_counts_as_often_as_it_has_rows():
    """Ties stay together, so bins are not always of one size."""
    found = metrics.calibration(np.array([0.2, 0.5, 0.5, 0.5]), np.array([1, 1, 0, 1]), bins=2)
    assert found.rows.tolist() == [1, 3]
    assert found.error == pytest.approx((0.8 * 1 + (2 / 3 - 0.5) * 3) / 4)
    halves = metrics.calibration(np.arange(1, 9) / 10, np.zeros(8), bins=4)
    assert halves.rows.tolist() == [2, 2, 2, 2]


def test_a_calibrated_model_has_a_small_error_and_an_overconfident_one_has_not():
    rng = np.random.default_rng(2)
    p = rng.random(20_000)
    y = rng.random(20_000) < p
    assert metrics.calibration(p, y).error < 0.015
    assert metrics.calibration(np.clip(2 * p - 0.5, 0, 1), y).error > 0.1


def test_one_probability_for_all_is_one_bin():
    found = metrics.calibration(np.full(10, 0.3), np.arange(10) < 3)
    assert found.rows.tolist() == [10]
    assert found.error == pytest.approx(0)


def test_precision_and_recall_equal_sklearn():
    rng = np.random.default_rng(3)
    truth = rng.integers(0, 7, 200)
    said = np.where(rng.random(200) < 0.4, truth, rng.integers(0, 6, 200))  # 6 is said rarely
    found = metrics.classes(truth, said, 7)
    precision, recall, _, _ = sk.precision_recall_fscore_support(truth, said, zero_division=np.nan)
    assert found.precision == pytest.approx(precision, nan_ok=True)
    assert found.recall == pytest.approx(recall)
    assert (found.confusion == sk.confusion_matrix(truth, said)).all()


def test_a_roc_curve_goes_straight_through_ties():
    false, true = metrics.roc_curve(np.array([3, 2, 2, 2, 1]), np.array([1, 1, 0, 0, 0]))
    assert false == pytest.approx([0, 0, 2 / 3, 1])
    assert true == pytest.approx([0, 0.5, 1, 1])
    for only in (0, 1):
        false, true = metrics.roc_curve(np.arange(3), np.full(3, only))
        assert (false.tolist(), true.tolist()) == ([0, 1], [0, 1])


def test_the_roc_curve_encloses_the_auc():
    rng = np.random.default_rng(4)
    score = rng.normal(size=3000)
    positive = rng.random(3000) < metrics_sigmoid(score)
    false, true = metrics.roc_curve(score, positive, points=300)
    assert np.trapezoid(true, false) == pytest.approx(metrics.auc(score, positive), abs=0.002)
    assert len(false) <= 300
