"""A person at the Airflow UI."""

import time

from infra.airflow_api import Airflow

READS_S = 5.0
"""Seconds until the process that asked has surely ended, on a busy machine, too."""


def says_yes(airflow: Airflow, dag_id: str, run_id: str, patience_s: float) -> None:
    """To every question of a run's `approval`, until the run has ended.

    Whoever answers in the second in which the question appears may be asked again: Airflow takes
    the task for lost, whose process had not ended yet, and tries it once more, until its tries are
    over. A person reads first.
    """
    path = f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances/approval/-1/hitlDetails"
    end, answered = time.monotonic() + patience_s, set()
    while not (run := airflow.run(dag_id, run_id)).ended:
        assert time.monotonic() < end, f"{dag_id} has not ended: {run}"
        (task,) = (one for one in run.tasks if one.task_id == "approval")
        if task.state == "awaiting_input" and task.tries not in answered:
            time.sleep(READS_S)
            airflow.call("PATCH", path, {"chosen_options": ["Approve"]})
            answered.add(task.tries)
        time.sleep(1)
