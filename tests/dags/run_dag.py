"""Run in a process of its own: one DAG run without a scheduler; states of its tasks as JSON.

Arguments: the DAG's id, the run's conf as JSON, and a pattern of tasks to leave out (as if they had
succeeded), for a task that waits for another DAG run.
"""

import json
import sys
from pathlib import Path

from airflow.dag_processing.dagbag import DagBag
from airflow.utils.db import initdb

DAGS = Path(__file__).resolve().parents[2] / "dags"


def main(dag_id, conf, left_out=None) -> None:
    initdb()
    dag = DagBag(str(DAGS)).dags[dag_id]
    run = dag.test(run_conf=conf, mark_success_pattern=left_out)
    states = {}
    for instance in run.get_task_instances():
        states.setdefault(instance.task_id, []).append(str(instance.state))
    out = {"state": str(run.state), "run": run.run_id, "tasks": states}
    sys.stdout.write("\n" + json.dumps(out) + "\n")


if __name__ == "__main__":
    main(sys.argv[1], json.loads(sys.argv[2]), *sys.argv[3:])
