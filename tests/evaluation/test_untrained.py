"""A head that was not learnt is reported as such, and neither floor nor champion judges it."""

from dataclasses import replace

import pytest

from evaluation import offline, plots, report
from evaluation.gate import Evidence, GateConfig, decide
from evaluation.offline import Material
from evaluation.paired import Comparison, Difference
from evaluation.results import NOT_TRAINED
from evaluation.settings import EvaluateConfig
from tests.evaluation import synthetic
from tests.evaluation.test_offline import CONTEXT

RANDOM = Evidence({"ctr_auc": 0.74, "l2r_auc": 0.75, "fifp_auc": 0.501}, 5000, 50_000, 900)
MINE = replace(RANDOM, untrained=frozenset(["fifp", "spp"]))


def sentences(verdict, passed):
    return [check.sentence for check in verdict.checks if check.passed is passed]


def worse(name):
    """The candidate is surely worse by more than any tolerance."""
    equal = Difference(name="ctr_auc", candidate=0.74, champion=0.74, value=0.0, error=0.001)
    fell = Difference(name=name, candidate=0.50, champion=0.53, value=-0.03, error=0.001)
    return Comparison(ctr=equal, others=(fell,))


@pytest.fixture(scope="module")
def asked():
    return synthetic.questions(users=150)


def made(asked, *untrained):
    questions, truth = asked
    material = Material("k", "2026-03-12", CONTEXT, untrained=frozenset(untrained))
    answers = synthetic.predictions(questions, truth)
    return offline.evaluate(answers, material, EvaluateConfig(replicates=50))


def test_a_random_head_falls_short_of_no_floor_and_a_sentence_says_so():
    assert not decide(RANDOM, None, None, [], GateConfig()).promoted
    verdict = decide(MINE, None, None, [], GateConfig())
    assert verdict.promoted
    said = "fifp_auc is of a task that was not trained (not in train.tasks, or asked nowhere), so"
    assert any(one.startswith(said) for one in sentences(verdict, None))


def test_the_calibration_of_clicks_that_were_not_learnt_is_not_judged():
    ranks = Evidence({"l2r_auc": 0.75, "ctr_ece": 0.4}, 5000, 50_000, 900)
    assert not decide(ranks, None, None, [], GateConfig()).promoted
    assert decide(
        replace(ranks, untrained=frozenset(["ctr"])), None, None, [], GateConfig()
    ).promoted


def test_two_random_heads_are_not_compared_but_what_the_champion_has_may_not_be_lost():
    fell = "fifp_auc is significantly worse"
    neither = decide(MINE, MINE, worse("fifp_auc"), [], GateConfig())
    assert neither.promoted
    for mine, theirs in ((MINE, RANDOM), (RANDOM, MINE)):
        verdict = decide(mine, theirs, worse("fifp_auc"), [], GateConfig())
        assert any(one.startswith(fell) for one in verdict.failed)
    learnt = decide(MINE, MINE, worse("l2r_auc"), [], GateConfig())
    assert any(one.startswith("l2r_auc is significantly worse") for one in learnt.failed)


@pytest.mark.parametrize("fell", [0.03, 0.0])
def test_clicks_that_neither_was_trained_for_hold_no_candidate_back(fell):
    clicks = Difference(name="ctr_auc", candidate=0.5 - fell, champion=0.5, value=-fell, error=0.02)
    ranks = Evidence({"l2r_auc": 0.75}, 5000, 50_000, 900, untrained=frozenset(["ctr"]))
    found = decide(ranks, ranks, Comparison(ctr=clicks), [], GateConfig())
    assert found.promoted
    assert any("no model was trained for clicks" in one for one in sentences(found, None))
    learnt = Evidence({}, 0, 0, 0)
    assert not decide(ranks, learnt, Comparison(ctr=clicks), [], GateConfig()).promoted


def test_a_report_says_of_a_task_that_was_not_trained_the_same_figures_and_that(asked):
    whole, part = made(asked), made(asked, "fifp", "spp")
    assert part.figures == whole.figures
    reasons = {task.name: task.reason for task in part.tasks}
    assert reasons == {
        task.name: NOT_TRAINED if task.task in ("fifp", "spp") and task.questions else task.reason
        for task in whole.tasks
    }
    assert part.protocol["Not trained"].startswith("Follow an icon (FIFP); ")
    assert (part.notes, "Not trained" in whole.protocol) == (whole.notes, False)
    assert part.evidence.figures["fifp_auc"] is None
    assert whole.evidence.figures["fifp_auc"] is not None


def test_the_closing_table_leaves_out_what_was_not_trained_whatever_its_name(asked):
    part = made(asked, "fifp")
    learnt = next(task for task in part.tasks if task.name == "ctr_auc")
    shops = learnt.model_copy(update={"task": "spp", "title": "Preferred shop (SPP)"})
    before = "not trained: the task is not among train.tasks, and its head answers at random."
    icons = learnt.model_copy(update={"title": "Icons of a report of before", "reason": before})
    table = report.closing_table(part.model_copy(update={"tasks": (*part.tasks, shops, icons)}))
    titles = list(table.columns[0].cells)
    assert "Preferred shop (SPP), AUC" in titles
    assert not {"Follow an icon (FIFP), AUC", "Icons of a report of before, AUC"} & set(titles)


def test_pictures_say_not_trained_and_not_that_there_was_too_little(asked, monkeypatch):
    found = []
    monkeypatch.setattr(plots, "png", lambda figure: found.append(figure) or b"")
    plots.bars(made(asked, "fifp"))
    titles = [ax.get_title(loc="left") for ax in found[0].axes]
    assert "Follow an icon (FIFP), AUC: not trained" in titles
