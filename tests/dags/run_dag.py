"""Run in a process of its own: one DAG run without a scheduler; states of its tasks as JSON.

Arguments: the DAG's id and the run's conf as JSON.
"""

import json
import sys
from pathlib import Path

from airflow.dag_processing.dagbag import DagBag
from airflow.utils.db import initdb

DAGS = Path(__file__).resolve().parents[2] / "dags"


def main(dag_id, conf) -> None:
    initdb()
    dag = DagBag(str(DAGS)).dags[dag_id]
    run = dag.test(run_conf=conf)
    states = {}
    for instance in run.get_task_instances():
        states.setdefault(instance.task_id, []).append(str(instance.state))
    out = {"state": str(run.state), "tasks": states}
    sys.stdout.write("\n" + json.dumps(out) + "\n")


if __name__ == "__main__":
    main(sys.argv[1], json.loads(sys.argv[2]))
