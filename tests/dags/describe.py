"""Run in a process of its own: what Airflow sees of the DAG folder, as JSON on the last line.

A process of its own, because importing Airflow configures logging, and because the test of what a
DAG file imports must start from nothing.
"""

import json
import sys
import time
from pathlib import Path

from airflow.dag_processing.dagbag import DagBag

HEAVY = ("torch", "mlflow", "apache_beam", "polars", "pandas", "pyarrow", "great_expectations")


def main(folder: Path) -> None:
    before = {name for name in HEAVY if name in sys.modules}
    begin = time.perf_counter()
    bag = DagBag(str(folder))
    seconds = time.perf_counter() - begin
    dags = {dag_id: _dag(dag) for dag_id, dag in bag.dags.items()}
    imported = sorted({name for name in HEAVY if name in sys.modules} - before)
    facts = {"errors": bag.import_errors, "dags": dags, "heavy": imported, "seconds": seconds}
    sys.stdout.write("\n" + json.dumps(facts) + "\n")


def _dag(dag):
    return {
        "file": Path(dag.fileloc).name,
        "tags": sorted(dag.tags),
        "doc": dag.doc_md,
        "max_active_runs": dag.max_active_runs,
        "params": {name: dag.params.get_param(name).dump() for name in dag.params},
        "tasks": {task.task_id: _task(task) for task in dag.topological_sort()},
    }


def _task(task):
    return {
        "upstream": sorted(task.upstream_task_ids),
        "mapped": task.is_mapped,
        "label": task.map_index_template,
        "doc": task.doc_md,
        "retries": task.retries,
        "pool": task.pool,
        "trigger_rule": str(task.trigger_rule.value),
    }


if __name__ == "__main__":
    main(Path(sys.argv[1]))
