"""What is said of the goal of joint training."""

import pytest

from evaluation.studies.asking import MEASURES, Score
from evaluation.studies.contest import TASKS, FitCell
from evaluation.studies.multitask_report import Learnt, goals

SURE, UNSURE, BELOW = (0.02, 0.005), (0.02, 0.05), (-0.02, 0.005)


def learnt(*gains):
    """One world: every task at 0.6 alone, and better by a gain, with so much spread, together."""

    def fit(tasks, scores):
        return FitCell(
            settings="", model="all", tasks=tasks, seed=1, trial=0, scores=tuple(scores),
            curve=(), parameters=1, seconds=1.0,
        )  # fmt: skip

    def score(task, gain, spread):
        drawn = tuple(0.6 + gain + spread * place / 20 for place in range(-20, 21))
        return Score(measure=MEASURES[task], value=0.6 + gain, replicates=drawn)

    alone = [fit((task,), [score(task, 0.0, 0.0)]) for task in TASKS]
    pairs = zip(TASKS, gains, strict=True)
    return Learnt([*alone, fit(TASKS, [score(task, *gain) for task, gain in pairs])])


@pytest.mark.parametrize(
    ("gains", "said"),
    [
        ((SURE, SURE, SURE, BELOW), "3 of 4 tasks, clear of zero; the goal of 3 is reached"),
        ((SURE, SURE, UNSURE, UNSURE), "2 of 4 tasks, clear of zero; the goal of 3 is not reached"),
    ],
)
def test_the_goal_counts_tasks_whose_gain_is_clear_of_zero(gains, said):
    assert said in goals(learnt(*gains))[0]


def test_a_gain_that_is_not_clear_of_zero_is_named_as_such():
    named = goals(learnt(SURE, UNSURE, BELOW, UNSURE))[0]
    one, two = TASKS[1], TASKS[3]
    assert f"above, but not clear of zero: {one}, {two}" in named
    assert "not clear" not in goals(learnt(SURE, BELOW, BELOW, SURE))[0]
