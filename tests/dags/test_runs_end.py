"""A run that fails tells of those of its tasks that could not tell it themselves."""

import pytest

from dags import callbacks
from infra.alerts import WEBHOOK


@pytest.fixture(scope="module")
def told(in_airflow, hooked):
    """What is told of three runs, by run."""
    address, heard = hooked
    runs = in_airflow("runs_end.py", **{WEBHOOK: address})
    return {run: [one for one in heard if one["facts"]["run"] == run] for run in runs}


def test_a_task_whose_process_was_killed_is_told_of_when_its_run_ends(told):
    [one] = told["killed"]
    assert (one["kind"], one["title"]) == ("failed", "dupn_backfill: plan failed")
    assert one["text"].startswith("Nobody was told why: a process was killed")
    assert "or nobody could be reached when it failed, and its log has the error." in one["text"]
    assert (one["day"], one["facts"]["task"]) == ("2026-03-05", "plan")
    assert one["link"].endswith("/dags/dupn_backfill/runs/killed")


def test_one_that_raised_has_told_it_and_is_not_told_of_again(told):
    [one] = told["raised"]
    assert one["title"] == "dupn_backfill: plan failed"
    assert one["text"].startswith("ConfigError: train.epoch is not a setting")


def test_of_mapped_tasks_those_are_named_that_told_nobody(told):
    assert [one["title"] for one in told["side_by_side"]] == [
        "dupn_initial_train: quality_12 failed"
    ]


def test_an_alert_names_ten_tasks_and_counts_the_others():
    class Dag:
        dag_id = "dupn_study"

    run = callbacks._run({"dag": Dag, "run_id": "r"}, [f"stage_1_{one}" for one in range(12)])
    assert run.task_id.endswith("stage_1_8, stage_1_9 and 2 more")


def test_a_run_whose_tasks_cannot_be_asked_is_told_of_all_the_same(hooked, monkeypatch):
    class Dag:
        dag_id = "dupn_study"

    address, heard = hooked
    monkeypatch.setenv(WEBHOOK, address)
    callbacks.ended({"dag": Dag, "run_id": "alone", "reason": "all_tasks_deadlocked"})
    [one] = [one for one in heard if one["facts"]["run"] == "alone"]
    assert one["title"] == "dupn_study: a run has failed"
    assert "all_tasks_deadlocked" in one["text"]
