from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from evaluation import offline, trial
from evaluation.gate import GateConfig, Outcome
from evaluation.offline import Material
from evaluation.settings import EvaluateConfig
from evaluation.slices import Context
from evaluation.trial import Trial
from tests.evaluation import synthetic

CONFIG = EvaluateConfig(replicates=40)
CONTEXT = Context(np.ones(500, np.int8), np.ones(400, bool))
GATE = GateConfig(
    floors={}, max_calibration_error=1.0, max_ctr_margin=0.2, min_positives=1, min_users=2
)
NOBODY = np.empty(0, np.int64)


def one(kind, outcome, cost=0.0, failed=()):
    return Trial(kind, cost, outcome, tuple(failed), 0.003)


def test_wilsons_interval_is_the_root_of_the_score_test():
    for hits, of in ((0, 5), (9, 10), (40, 50)):
        low, high = trial.wilson(hits, of)
        known = stats.binomtest(hits, of).proportion_ci(method="wilson")
        assert (low, high) == pytest.approx((known.low, known.high))
    assert trial.wilson(0, 0) == (None, None)


def test_groups_share_no_user_and_leave_none_out():
    groups = trial.groups(103, 10, 1)
    assert len(groups) == 10
    assert (np.sum(groups, axis=0) == 1).all()


def test_a_model_passes_against_itself_and_noise_does_not():
    asked = synthetic.questions(users=80)
    good, bad = (synthetic.predictions(*asked, noise=noise) for noise in (0.3, 4.0))
    group = trial.groups(80, 40, 0)[0]
    mine, worse = trial.drawn(good, group), trial.drawn(bad, group)
    assert mine.questions.users == 40
    same, error = trial.judge(mine, mine, CONTEXT, GATE, CONFIG)
    assert same.promoted
    assert error == 0.0
    spoilt, _ = trial.judge(worse, mine, CONTEXT, GATE, CONFIG)
    assert not spoilt.promoted
    assert trial.failed_checks(spoilt)


def without_icons(answered):
    """The same where nobody was asked of an icon."""
    asked, answers = answered.questions, answered.answers
    icons = replace(asked.icons, moment=NOBODY, icon=NOBODY, followed=NOBODY)
    return replace(
        answered,
        questions=replace(asked, icons=icons),
        answers=replace(answers, fifp=np.empty(0, np.float32)),
    )


def test_a_task_that_a_draw_does_not_ask_is_not_judged_as_in_a_report():
    answered = without_icons(synthetic.predictions(*synthetic.questions(users=80)))
    known = trial.evidence(answered, CONFIG).figures
    report = offline.evaluate(answered, Material("k", "d", CONTEXT), CONFIG).evidence.figures
    assert known == pytest.approx({name: report[name] for name in known})
    gate = GATE.model_copy(update={"floors": {"ctr_auc": 0.55, "fifp_auc": 0.52}})
    verdict, _ = trial.judge(answered, answered, CONTEXT, gate, CONFIG)
    assert verdict.promoted
    (floor,) = (check for check in verdict.checks if check.name == "floor fifp_auc")
    assert floor.passed is None


def test_a_day_that_does_not_ask_a_task_says_nothing_of_its_cost():
    whole = synthetic.predictions(*synthetic.questions(users=40))
    both = trial.aucs([whole, without_icons(whole)])
    assert both == pytest.approx(trial.aucs([whole]))
    assert set(trial.aucs([without_icons(whole)])) == {"ctr_auc", "l2r_auc"}


def test_derived_moments_are_judged_by_the_negatives_of_the_report():
    answered = synthetic.predictions(*synthetic.questions(users=40, derived=True))
    known = trial.evidence(answered, CONFIG).figures
    report = offline.evaluate(answered, Material("k", "d", CONTEXT), CONFIG).evidence.figures
    assert known == pytest.approx({name: report[name] for name in known})


def test_rates_count_what_they_say():
    trials = [
        one("twin", Outcome.PROMOTE),
        one("twin", Outcome.KEEP_CHAMPION, failed=["ctr non-inferiority"]),
        one("twin", Outcome.NOT_ENOUGH_EVIDENCE),
        one("properties", Outcome.KEEP_CHAMPION, 0.02),
        one("properties", Outcome.PROMOTE, 0.02),
        one("properties", Outcome.PROMOTE, 0.001),
        one("categories", Outcome.KEEP_CHAMPION, 0.03),
    ]
    found = {figure.name: figure.value for figure in trial.figures(trials)}
    assert found["gate_twin_pass"] == 0.5
    assert found["gate_twin_undecided"] == pytest.approx(1 / 3)
    assert found["gate_twin_failed_ctr"] == pytest.approx(1 / 3)
    assert found["gate_defect_catch"] == pytest.approx(2 / 3)
    assert found["gate_catch_properties"] == 0.5
    assert found["gate_slight_catch"] == 0.0
    assert found["gate_costly_trials"] == 3.0
