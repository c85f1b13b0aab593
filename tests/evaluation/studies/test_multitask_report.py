"""What is said of joint training: the goal, and how fast it is by either count."""

import math

import pytest

from evaluation.marketplace.config import MarketplaceConfig
from evaluation.studies.asking import MEASURES, Score
from evaluation.studies.contest import TASKS, FitCell, Step, Trial, TunedCell
from evaluation.studies.multitask_report import Learnt, goals, write
from evaluation.studies.protocol import Plan
from infra.store import Store

POINT = Trial(settings={"dropout": 0.4}, loss=0.5, figures={}, moments=1, seconds=1.0)
SEARCH = TunedCell(settings="", model="all", tasks=TASKS[:2], trials=(POINT,), chosen=0)
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


def curved(tasks, curve, seed=1):
    steps = tuple(
        Step(moments=moments, loss=1.0, figures={MEASURES[TASKS[0]]: value})
        for moments, value in curve
    )
    return FitCell(settings="", model="all", tasks=tasks, seed=seed, trial=0, scores=(),
                   curve=steps, parameters=1, seconds=1.0)  # fmt: skip


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


def test_a_pace_is_of_all_worlds_and_unknown_after_the_joint_run_has_stopped():
    """One of four alone was stopped early, at a moment at which the joint run had no judgement."""
    fits = [
        curved((TASKS[0],), [(100, 0.6), (200, 0.61)] if seed < 4 else [(100, 0.6)], seed)
        for seed in (1, 2, 3, 4)
    ]
    fits += [curved(TASKS, [(100, 0.62), (200, 0.66)], seed) for seed in (1, 2, 3, 4)]
    found = Learnt(fits)
    assert math.isnan(found.pace(TASKS[0], 0.5).value), "three of four are known"
    assert found.pace(TASKS[0], 1.0).value == pytest.approx((3 * 0.05 + 0.02) / 4)
    longer = [curved((TASKS[0],), [(300, 0.61)]), curved(TASKS, [(200, 0.66)])]
    assert math.isnan(Learnt(longer).pace(TASKS[0], 1.0).value)


def test_its_own_pace_compares_curves_after_as_many_moments_that_ask_the_task():
    """Half of the joint run's moments ask it: behind after as many of all, ahead after as many."""
    alone = curved((TASKS[0],), [(100, 0.60), (200, 0.64)])
    found = Learnt([alone, curved(TASKS, [(200, 0.63), (400, 0.66), (600, 0.67)])])
    assert found.pace(TASKS[0], 1.0).value == pytest.approx(0.63 - 0.64)
    assert found.own_pace(TASKS[0], 1).value == pytest.approx(0.63 - 0.60)
    assert found.own_pace(TASKS[0], 2).value == pytest.approx(0.66 - 0.64)
    assert math.isnan(found.own_pace(TASKS[0], 3).value), "alone was judged twice"
    assert found.share(TASKS[0]) == pytest.approx(0.5)


def test_the_report_says_on_which_axis_curves_are_compared(tmp_path):
    fits = [fit(tasks) for tasks in [*((task,) for task in TASKS), TASKS]]
    store = Store(tmp_path)
    plan = Plan(learnt=10, judges=1, asked=2, network="one", market=MarketplaceConfig())
    write(store, "multitask", fits, [SEARCH], plan)
    report = store.get("reports/study/multitask/report.md").decode()
    assert ", of the digests of 1 searches (); 5 fits ()" in report, "a digest of all cells"
    assert "| DUPN-all | l2r+ctr | [0.5000] | dropout 0.4 |" in report, "what was tried and chosen"
    by_updates = report.partition("## At equal moments learnt, of all tasks")[2]
    by_questions = by_updates.partition("## At equal moments that ask the task")[2]
    assert "| l2r_auc | 50% | +0.0300 |" in by_questions
    assert "| l2r_auc | - | - | +0.0100 |" in by_updates.replace(by_questions, "")


def fit(tasks):
    """A run that is judged twice; together after twice as many moments."""
    many = 200 if len(tasks) > 1 else 100
    values = (0.63, 0.66) if len(tasks) > 1 else (0.60, 0.62)
    curve = tuple(
        Step(moments=many * at, loss=1.0, figures={MEASURES[task]: value for task in TASKS})
        for at, value in enumerate(values, start=1)
    )
    scores = tuple(Score(measure=MEASURES[task], value=0.6) for task in tasks)
    return FitCell(settings="", model="all", tasks=tasks, seed=1, trial=0, scores=scores,
                   curve=curve, parameters=1, seconds=1.0)  # fmt: skip
