"""A run that is waited for: its end is heard, and somebody hears of it when there is none."""

from types import SimpleNamespace

import pytest
from airflow.sdk.exceptions import (
    AirflowException,
    AirflowFailException,
    DagRunTriggerException,
    TaskDeferralTimeout,
    TaskDeferred,
)

from dags import abtest_stages, awaited, callbacks, nightly_stages

DAY = "2026-03-05"
RUN = f"night__dupn-{DAY}__r"
TIMED_OUT = {"error": "Trigger timeout"}


@pytest.fixture
def task():
    return awaited.Awaited(
        task_id="release", trigger_dag_id="dupn_release", trigger_run_id=RUN, logical_date=None,
        wait_for_completion=True, deferrable=True,
    )  # fmt: skip


@pytest.fixture
def there():
    """What the task is told of the other DAG: is it paused, how many such runs, in which state."""
    return {"paused": False, "runs": 1, "state": "running"}


@pytest.fixture
def context(there):
    instance = SimpleNamespace(
        dag_id="dupn_nightly_update",
        xcom_pull=lambda task_ids, key: {("release", "trigger_run_id"): RUN}[task_ids, key],
        get_dag=lambda _: SimpleNamespace(is_paused=there["paused"]),
        get_dr_count=lambda dag_id, run_ids: there["runs"],
        get_dagrun_state=lambda dag_id, run_id: {("dupn_release", RUN): there["state"]}[
            dag_id, run_id
        ],
    )
    return {"ti": instance}


def ended(state):
    return {"event": ("DagStateTrigger", {"run_ids": [RUN], RUN: state})}


def test_a_night_and_an_experiment_wait_for_their_releases_so():
    for made in (nightly_stages.release(), abtest_stages.release_of_rival()):
        assert isinstance(made, awaited.Awaited)


def test_a_run_of_a_paused_dag_is_not_waited_for(task, there, context):
    there["paused"] = True
    with pytest.raises(AirflowFailException, match=r"dupn_release is paused.* Unpause it"):
        task.execute(context)


def test_what_airflow_waits_for_without_a_deadline_is_there_at_once(task, context):
    with pytest.raises(DagRunTriggerException) as triggered:
        task.execute(context)
    assert set(triggered.value.allowed_states) == {"success", "queued", "running"}


@pytest.mark.parametrize("state", ["queued", "running"])
def test_then_its_end_is_waited_for_with_one(task, context, state):
    with pytest.raises(TaskDeferred) as deferred:
        task.resume_execution("execute_complete", ended(state), context)
    assert deferred.value.timeout == awaited.PATIENCE
    assert (deferred.value.trigger.run_ids, deferred.value.trigger.states) == (
        [RUN], ["success", "failed"],
    )  # fmt: skip


def test_its_end_is_the_tasks(task, context):
    task.resume_execution("execute_complete", ended("success"), context)
    with pytest.raises(AirflowException, match="failed"):
        task.resume_execution("execute_complete", ended("failed"), context)


@pytest.fixture
def told(monkeypatch):
    told = []
    monkeypatch.setattr(callbacks, "tell", lambda *words: told.append(words))
    return told


@pytest.mark.parametrize("state", ["queued", "running"])
def test_one_that_does_not_end_is_told_and_waited_for_again(task, there, context, told, state):
    there["state"] = state
    with pytest.raises(TaskDeferred) as deferred:
        task.resume_execution("__fail__", TIMED_OUT, context)
    [(kind, title, text)] = told
    assert (kind, title) == ("late", "dupn_release has not ended")
    assert text.startswith(f"{RUN} is not over after 6 h more, and dupn_nightly_update waits")
    assert text.endswith("no triggerer is running.")
    assert deferred.value.trigger.run_ids == [RUN]


def test_an_end_of_which_no_triggerer_told_is_the_tasks_all_the_same(task, there, context, told):
    there["state"] = "success"
    task.resume_execution("__fail__", TIMED_OUT, context)
    there["state"] = "failed"
    with pytest.raises(AirflowException, match="failed"):
        task.resume_execution("__fail__", TIMED_OUT, context)
    with pytest.raises(AirflowFailException, match="Clear the task that failed there"):
        nightly_stages.release().resume_execution("__fail__", TIMED_OUT, context)
    assert told == []


def test_one_that_was_deleted_fails_the_task(task, there, context):
    there["runs"] = 0
    with pytest.raises(AirflowFailException, match=f"{RUN} of dupn_release was deleted"):
        task.resume_execution("__fail__", TIMED_OUT, context)


def test_a_wait_that_broke_is_tried_again(task, context):
    with pytest.raises(AirflowException) as broke:
        task.resume_execution("__fail__", {"error": "Trigger failure"}, context)
    assert not isinstance(broke.value, AirflowFailException | TaskDeferralTimeout)


def test_a_release_of_another_candidate_is_a_run_of_its_own_that_knows_it(in_airflow):
    """Airflow clears a run whose id it knows, and what that was triggered with stays as it was."""
    first, other = f"dupn-{DAY}", f"w..-{DAY}"
    found = in_airflow("release_again.py", DAY, first, first, other)
    assert {run["candidate"]: run["cleared"] for run in found} == {first: 1, other: 0}
    assert [run["id"] for run in found if run["candidate"] == first] == [f"night__{first}__again"]


def test_the_id_of_a_run_is_no_longer_than_airflow_keeps():
    assert awaited.called("night", "k", "r" * 300) == f"night__k__{'r' * 240}"
