"""Run in a process of its own: one DAG run without a scheduler; states of its tasks as JSON.

Arguments: the DAG's id, the run's conf as JSON, and a pattern of tasks to leave out (as if they had
succeeded), for a task that waits for another DAG run.
"""

import json
import sys
from pathlib import Path

from airflow.dag_processing.dagbag import DagBag
from airflow.models.dagrun import DagRun
from airflow.utils.db import initdb

DAGS = Path(__file__).resolve().parents[2] / "dags"


def main(dag_id, conf, left_out=None) -> None:
    initdb()
    dag = DagBag(str(DAGS)).dags[dag_id]
    before = _looks()
    run = dag.test(run_conf=conf, mark_success_pattern=left_out)
    states = {}
    for instance in run.get_task_instances():
        states.setdefault(instance.task_id, []).append(str(instance.state))
    out = {"state": str(run.state), "run": run.run_id, "tasks": states}
    out["triggered"] = [one for one in _looks() if one not in before]
    sys.stdout.write("\n" + json.dumps(out) + "\n")


def _looks():
    """Runs of `dupn_ab_test` that were triggered."""
    return [run.run_id for run in DagRun.find(dag_id="dupn_ab_test") if "night" in run.run_id]


if __name__ == "__main__":
    main(sys.argv[1], json.loads(sys.argv[2]), *sys.argv[3:])
