"""What is said of the goal of joint training."""

import math

import pytest

from evaluation.studies.asking import MEASURES, Score
from evaluation.studies.contest import TASKS, FitCell, Step
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


def curved(tasks, curve):
    steps = tuple(
        Step(moments=moments, loss=1.0, figures={MEASURES[TASKS[0]]: value})
        for moments, value in curve
    )
    return FitCell(settings="", model="all", tasks=tasks, seed=1, trial=0, scores=(), curve=steps,
                   parameters=1, seconds=1.0)  # fmt: skip


def test_pace_compares_curves_after_equally_many_moments_not_judgements():
    """At its second judgement the joint run is ahead, after twice as many moments."""
    alone = curved((TASKS[0],), [(100, 0.60), (200, 0.64)])
    joint = curved(TASKS, [(200, 0.61), (400, 0.65)])
    found = Learnt([alone, joint])
    assert found.pace(TASKS[0], 1.0).value == pytest.approx(0.61 - 0.64)
    further = Learnt([curved((TASKS[0],), [(100, 0.60), (300, 0.62)]), joint])
    assert further.pace(TASKS[0], 1.0).value == pytest.approx(0.63 - 0.62), "half way between"


def test_pace_is_unknown_before_the_joint_run_was_judged():
    alone = curved((TASKS[0],), [(50, 0.6), (100, 0.61)])
    assert math.isnan(Learnt([alone, curved(TASKS, [(200, 0.7)])]).pace(TASKS[0], 0.5).value)
