"""`dupn_study` run whole in one process: mapped cells, a report, nested MLflow runs."""

import json

import pytest

from infra.tracking import MlflowTracker
from pipeline.settings import load
from pipeline.studies import studying

pytestmark = pytest.mark.drill
OVERRIDES = "evaluate.replicates=20\nmodel.hidden_dim=8\nmodel.user_dim=8"


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return str(tmp_path_factory.mktemp("studied"))


@pytest.fixture(scope="module")
def run(run_dag, home):
    conf = {"study": "multitask", "seeds": 1, "quick": True, "overrides": OVERRIDES}
    return lambda: run_dag("dupn_study", conf, home=home)


@pytest.fixture(scope="module")
def first(run):
    return run()


def test_every_cell_is_a_mapped_task(first, home):
    assert first["state"] == "success"
    study = studying.make(load("study", home, OVERRIDES.splitlines()), "multitask", 1, quick=True)
    stages = study.stages()
    for place, keys in enumerate(stages, start=1):
        assert first["tasks"][f"stage_{place}"] == ["success"] * len(keys)
    assert first["tasks"][f"stage_{len(stages) + 1}"] == ["skipped"], "it has no cells"
    assert first["tasks"]["report"] == ["success"]


def test_the_report_and_the_runs_of_all_cells_are_there(first, home):
    settings = load("study", home, OVERRIDES.splitlines())
    report = json.loads(settings.store.get("reports/study/multitask-quick/report.json"))
    assert {"multitask_gain_ctr_auc"} <= {one["name"] for one in report["figures"]}
    client = MlflowTracker(settings.tracking, settings.store).client
    (experiment,) = [e for e in client.search_experiments() if e.name == "dupn"]
    runs = client.search_runs([experiment.experiment_id], max_results=500)
    (parent,) = [one for one in runs if one.info.run_name == "study multitask-quick"]
    inside = [r for r in runs if r.data.tags.get("mlflow.parentRunId") == parent.info.run_id]
    study = studying.make(settings, "multitask", 1, quick=True)
    assert len(inside) == sum(len(keys) for keys in study.stages())
    assert parent.info.status == "FINISHED"


def test_triggered_again_it_runs_no_cell_again(first, run, home):
    store = load("study", home).store
    place = "reports/study/networks-quick/cells/all-joint-1.json"
    before = store.get(place)
    again = run()
    assert again["state"] == "success"
    assert store.get(place) == before
