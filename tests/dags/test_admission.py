"""What a run is refused for by every task that it may begin with, before anything is done."""

import importlib
from types import SimpleNamespace

import pytest
from airflow.models.dagrun import TASK_SPAN_DETAIL_LEVEL_KEY
from airflow.providers.standard.operators import trigger_dagrun
from airflow.providers.standard.utils import openlineage
from airflow.sdk.definitions.param import process_params
from airflow.sdk.exceptions import AirflowFailException, DagRunTriggerException
from airflow.sdk.execution_time.context import set_current_context

from dags import nightly_stages, running
from pipeline.demo import experiment, story
from pipeline.settings import load
from tests.dags.test_integrity import PAGES

DAY = "2026-03-05"
FORM = {"preset": "smoke", "day": DAY}


def dag_of(name):
    return getattr(importlib.import_module(f"dags.{name}"), name)()


def context_of(dag, conf):
    """As Airflow makes it: what the conf names is among its Params, the DAG's or not."""
    params = process_params(dag, dag.roots[0], conf, suppress_exception=False)
    run = SimpleNamespace(run_type="manual", conf=conf, run_id="r", start_date=None)
    return {"dag": dag, "params": params, "dag_run": run}


@pytest.fixture(params=[page.stem for page in PAGES])
def begin(request, monkeypatch, tmp_path):
    """The tasks that a run of each DAG begins with, to be called, for a conf."""
    monkeypatch.setenv("DUPN_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)

    def run(**conf):
        dag = dag_of(request.param)
        asked = {name: value for name, value in FORM.items() if name in dag.params} | conf
        for first in dag.roots:
            with set_current_context(context_of(dag, asked)):
                yield lambda task=first: task.python_callable(*task.op_args, **task.op_kwargs)

    return run


@pytest.mark.parametrize("variable", [None, ""])
def test_nothing_is_written_where_no_home_is_set(begin, monkeypatch, tmp_path, variable):
    monkeypatch.delenv("DUPN_HOME")
    if variable is not None:
        monkeypatch.setenv("DUPN_HOME", variable)
    for task in begin():
        with pytest.raises(AirflowFailException, match="DUPN_HOME is not set where this task runs"):
            task()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("typo", "meant"), [("presett", "preset"), ("overides", "overrides")])
def test_a_name_that_no_param_has_is_refused_with_the_nearest(begin, tmp_path, typo, meant):
    said = rf"ConfigError: {typo} is no Param of dupn_\w+\. Did you mean {meant}\?"
    for task in begin(**{typo: "smoke"}):
        with pytest.raises(AirflowFailException, match=said):
            task()
    assert list(tmp_path.iterdir()) == []


def refused(dag, **conf):
    context = context_of(dag_of(dag), FORM | conf)
    with set_current_context(context), pytest.raises(AirflowFailException) as told:
        running.settings()
    return str(told.value)


def test_a_question_to_a_person_is_not_lost_in_a_typo(monkeypatch, tmp_path):
    monkeypatch.setenv("DUPN_HOME", str(tmp_path))
    assert "Did you mean approval?" in refused("dupn_nightly_update", aproval=True)
    assert "Did you mean only_plan?" in refused("dupn_backfill", only_plam=False)


def test_every_such_name_is_said_and_what_the_form_has(monkeypatch, tmp_path):
    monkeypatch.setenv("DUPN_HOME", str(tmp_path))
    said = refused("dupn_backfill", presett="demo", **{"zzz\x1b[2J": 1})
    assert "presett is no Param" in said
    assert r"zzz\x1b[2J is no Param of dupn_backfill. It has day, last, only_plan, dataset" in said


def test_a_conf_of_params_alone_is_taken(monkeypatch, tmp_path):
    monkeypatch.setenv("DUPN_HOME", str(tmp_path))
    with set_current_context(context_of(dag_of("dupn_backfill"), FORM | {"only_plan": False})):
        assert running.settings().store.root == str(tmp_path)


@pytest.mark.parametrize("name", ["openlineage", TASK_SPAN_DETAIL_LEVEL_KEY])
def test_what_airflow_itself_reads_in_a_conf_is_no_typo(name, monkeypatch, tmp_path):
    monkeypatch.setenv("DUPN_HOME", str(tmp_path))
    with set_current_context(context_of(dag_of("dupn_backfill"), FORM | {name: {}})):
        assert running.settings().store.root == str(tmp_path)
    assert "openlineag is no Param" in refused("dupn_backfill", openlineag={})


def test_a_release_is_admitted_with_the_lineage_of_the_task_that_triggers_it(monkeypatch, tmp_path):
    """As where OpenLineage's provider is active: the operator itself adds it to the conf."""
    monkeypatch.setenv("DUPN_HOME", str(tmp_path))
    add = openlineage._inject_openlineage_parent_info_to_dagrun_conf
    monkeypatch.setattr(
        trigger_dagrun,
        "safe_inject_openlineage_properties_into_dagrun_conf",
        lambda dr_conf, ti: add(dr_conf, {"parentRunId": "r"}),
    )
    instance = SimpleNamespace(
        xcom_pull=lambda task_ids: f"dupn-{DAY}", get_dag=lambda _: SimpleNamespace(is_paused=False)
    )
    night = context_of(dag_of("dupn_nightly_update"), FORM) | {"ti": instance, "run_id": "r"}
    with set_current_context(night), pytest.raises(DagRunTriggerException) as triggered:
        nightly_stages.release().execute(night)
    assert triggered.value.conf["openlineage"] == {"parentRunId": "r"}
    with set_current_context(context_of(dag_of("dupn_release"), triggered.value.conf)):
        assert running.settings().line == "dupn"


def test_what_a_night_hands_on_to_a_look_are_its_params():
    conf = nightly_stages._conf({"params": dict.fromkeys(nightly_stages.SHARED, "")}, DAY)
    assert set(conf) <= set(dag_of("dupn_ab_test").params)


@pytest.mark.parametrize(
    ("dag", "more"),
    [
        (story.INITIAL, ["first_day", "days"]),
        (story.NIGHT, ["day"]),
        (experiment.AB_TEST, ["day", "declaration"]),
    ],
)
def test_so_is_what_the_demo_says(dag, more):
    filled = story.filled_in(load("smoke"), {"DUPN_PRESET": "smoke"}, [])
    assert set(filled) | set(more) <= set(dag_of(dag).params)
