"""What evaluation and gate leave beside report and verdict, and in the training run."""

import json

import pytest

from evaluation import filed
from evaluation.results import NOT_TRAINED
from infra.tracking import MlflowTracker
from pipeline import steps
from pipeline.learn import learning
from pipeline.release import evaluating, verdicts
from tests.chain import DAYS, smoke, with_champion
from training.ancestry import Part, Share
from training.config import Task

HOPELESS = (
    "evaluate.shuffles=false",
    "gate.max_ctr_margin=1.0",
    "gate.floors.spp_auc=0.99",
    "train.learning_rate=1e-12",
    "train.epochs=1",
)


@pytest.fixture(scope="module")
def settings(chain, tmp_path_factory):
    """A champion, and a candidate that learnt nothing, judged beside it on the day after."""
    home = with_champion(chain, tmp_path_factory.mktemp("judging")).home
    mine = smoke(home, *HOPELESS)
    steps.train(mine, DAYS[2], 1)
    steps.evaluate(mine, DAYS[3])
    steps.gate(mine, DAYS[3])
    return mine


@pytest.fixture(scope="module")
def logged(settings):
    """Metrics of the candidate's training run."""
    client = MlflowTracker(settings.tracking, settings.store).client
    run_id = learning.of_run(settings.store, f"dupn-{DAYS[2]}").run_id
    return client.get_run(run_id).data.metrics


def beside(settings, name):
    return json.loads(settings.store.get(f"{filed.offline(f'dupn-{DAYS[2]}')}/{name}"))


def test_the_digest_that_a_report_names_is_that_of_the_settings_beside_it(settings):
    found, lineage = beside(settings, "settings.json"), beside(settings, "report.json")["lineage"]
    assert found["digest"] == settings.digest()
    assert lineage["Settings"] == found["digest"]
    assert lineage["Preset"] == found["preset"] == "smoke"
    client = MlflowTracker(settings.tracking, settings.store).client
    run_id = learning.of_run(settings.store, f"dupn-{DAYS[2]}").run_id
    files = {file.path for file in client.list_artifacts(run_id, "report")}
    assert {"report/settings.json", "report/report.json"} <= files


def test_a_task_that_was_not_trained_is_said_and_its_floor_is_not_judged(settings):
    assert learning.of_run(settings.store, f"dupn-{DAYS[2]}").untrained == {Task.SPP}
    reasons = {one["task"]: one["reason"] for one in beside(settings, "report.json")["tasks"]}
    assert {task for task, reason in reasons.items() if reason == NOT_TRAINED} == {"spp"}
    verdict = json.loads(settings.store.get(verdicts.key(f"dupn-{DAYS[2]}")))
    (floor,) = (one for one in verdict["checks"] if one["name"] == "floor spp_auc")
    assert floor["passed"] is None
    assert "not trained (not in train.tasks, or asked nowhere)" in floor["sentence"]


def test_candidate_minus_champion_is_a_figure_of_report_and_verdict(settings, logged):
    report = beside(settings, "report.json")
    verdict = json.loads(settings.store.get(verdicts.key(f"dupn-{DAYS[2]}")))
    compared = report["comparison"]
    for one in (compared["ctr"], *compared["others"]):
        name = f"{one['name']}_over_champion"
        for figures in (report["figures"], verdict["figures"]):
            found = [figure for figure in figures if figure["name"] == name]
            if "[" in one["name"]:  # a slice
                assert not found
                continue
            (figure,) = found
            assert [figure[key] for key in ("value", "low", "high")] == [
                one[key] for key in ("value", "low", "high")
            ]
            assert f"candidate minus dupn-{DAYS[1]}" in figure["protocol"]
            assert logged.get(name) == pytest.approx(one["value"])


def test_a_verdict_has_the_figures_that_it_rests_on(settings, logged):
    verdict = json.loads(settings.store.get(verdicts.key(f"dupn-{DAYS[2]}")))
    found = {figure["name"]: figure for figure in verdict["figures"]}
    ctr = next(one for one in verdict["checks"] if one["name"] == "ctr non-inferiority")
    assert f"the margin is {found['gate_ctr_margin']['value']:.4f}" in ctr["sentence"]
    assert f"lower bound {found['gate_ctr_bound']['value']:+.4f}" in ctr["sentence"]
    assert logged["gate_ctr_margin"] == found["gate_ctr_margin"]["value"]
    frozen = {check["name"] for check in verdict["checks"] if check["name"].startswith("frozen")}
    assert {f"{name.replace(' ', '_')}_drop" for name in frozen} <= set(found)
    first = json.loads(settings.store.get(verdicts.key(f"dupn-{DAYS[1]}")))
    assert "ctr_ece" in {figure["name"] for figure in first["figures"]}


def test_a_report_of_very_many_parts_says_how_many_there_are_beside_the_newest():
    parts = [Part(day=DAYS[2], moments=10, share=Share.REST, held=0.004) for _ in range(3)]
    assert (
        evaluating._told(parts).split("; ")
        == [f"{DAYS[2]} all but 0.4 % of the users (10 moments)"] * 3
    )
    many = evaluating._told([*parts] * 5)
    assert many.startswith("15 parts of 150 moments, the newest 12: ")
    assert many.count("(10 moments)") == 12
