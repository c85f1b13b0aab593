import logging

import pytest

from infra.airflow_api import RunState, TaskState
from infra.errors import OrchestrationError
from infra.follow import follow


def task(state, *, task_id="train", label="", tries=1, map_index=-1):
    return TaskState(
        task_id=task_id, map_index=map_index, label=label, state=state, seconds=2.0, tries=tries
    )


class Recorded:
    """An Airflow whose run goes through the given states."""

    address = "http://here"

    def __init__(self, *runs):
        self.runs = list(runs)

    def run(self, dag_id, run_id):
        return self.runs.pop(0) if len(self.runs) > 1 else self.runs[0]

    def log_tail(self, dag_id, run_id, failed):
        return f"last words of {failed.name}"


def go(*runs, timeout_s=5.0):
    return follow(Recorded(*runs), "a_dag", "r1", timeout_s=timeout_s, poll_s=0.001)


def test_a_change_is_said_once(caplog):
    caplog.set_level(logging.INFO)
    days = [task("success", task_id="events", label=f"2026-03-0{i}", map_index=i) for i in (1, 2)]
    running = RunState(state="running", tasks=(days[0], task("running")))
    ended = RunState(state="success", tasks=(*days, task("success")))
    assert go(running, running, ended) == ended
    said = [record.message for record in caplog.records]
    assert said == [
        "a_dag: events [2026-03-01] success, 2.0 s",
        "a_dag: events [2026-03-02] success, 2.0 s",
        "a_dag: train success, 2.0 s",
    ]


def test_a_retry_is_a_warning(caplog):
    again = RunState(state="running", tasks=(task("up_for_retry"),))
    with caplog.at_level(logging.INFO, logger="infra.follow"):
        go(again, RunState(state="success", tasks=(task("success", tries=2),)))
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]


def test_a_failure_names_the_task_and_ends_with_its_log():
    tasks = (task("failed", task_id="quality", label="2026-03-02"), task("upstream_failed"))
    with pytest.raises(OrchestrationError) as caught:
        go(RunState(state="failed", tasks=tasks))
    message = str(caught.value)
    assert message.startswith("a_dag failed in quality [2026-03-02]. ")
    assert "http://here/dags/a_dag" in message
    assert message.endswith("last words of quality [2026-03-02]")


def test_a_run_that_takes_too_long_is_left_alone_and_says_what_it_does():
    with pytest.raises(OrchestrationError, match=r"within 0 s: train is running\. It goes on"):
        go(RunState(state="running", tasks=(task("running"),)), timeout_s=0.01)
