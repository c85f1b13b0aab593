import numpy as np
import pytest

from serving.canary import compare

RECORDED = [
    {"sample_id": "a", "ctr": [0.1, 0.2], "l2r": [1.0, -1.0]},
    {"sample_id": "b", "ctr": [0.5], "l2r": [0.0]},
]


def answers(**changed):
    """As recorded, but for one score of question b."""
    plain = [{name: list(one[name]) for name in ("ctr", "l2r")} for one in RECORDED]
    plain[1].update(changed)
    return plain


def test_the_same_scores_differ_by_nothing():
    assert compare(RECORDED, answers())[0] == 0


def test_the_largest_difference_is_named():
    worst, where = compare(RECORDED, answers(l2r=[0.25]))
    assert worst == 0.25
    assert where == "l2r of question 1 (b)"


@pytest.mark.parametrize("scores", [[], [0.5, 0.5]])
def test_another_number_of_scores_is_infinitely_wrong(scores):
    assert compare(RECORDED, answers(ctr=scores))[0] == np.inf


def test_a_score_that_is_no_number_is_never_right():
    worst, where = compare(RECORDED, answers(ctr=[float("nan")]))
    assert worst == np.inf
    assert where == "ctr of question 1 (b)"


def test_a_recorded_score_that_is_no_number_is_never_answered_right():
    recorded = [RECORDED[0], {**RECORDED[1], "l2r": [float("nan")]}]
    assert compare(recorded, answers()) == (np.inf, "l2r of question 1 (b)")


def test_fewer_answers_than_questions_are_refused():
    with pytest.raises(ValueError, match="shorter"):
        compare(RECORDED, answers()[:1])
