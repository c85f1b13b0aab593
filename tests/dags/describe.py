"""Run in a process of its own: what Airflow sees of the DAG folder, as JSON on the last line.

A process of its own, because importing Airflow configures logging, and because the test of what a
DAG file imports must start from nothing.
"""

import json
import sys
import time
from pathlib import Path

from airflow.dag_processing.dagbag import DagBag
from airflow.exceptions import ParamValidationError

HEAVY = ("torch", "mlflow", "apache_beam", "polars", "pandas", "pyarrow", "great_expectations")


def main(folder: Path) -> None:
    before = {name for name in HEAVY if name in sys.modules}
    begin = time.process_time()
    bag = DagBag(str(folder))
    seconds = time.process_time() - begin
    dags = {dag_id: _dag(dag) for dag_id, dag in bag.dags.items()}
    imported = sorted({name for name in HEAVY if name in sys.modules} - before)
    facts = {"errors": bag.import_errors, "dags": dags, "heavy": imported, "seconds": seconds}
    sys.stdout.write("\n" + json.dumps(facts) + "\n")


def _dag(dag):
    return {
        "file": Path(dag.fileloc).name,
        "tags": sorted(dag.tags),
        "doc": dag.doc_md,
        "description": dag.description,
        "max_active_runs": dag.max_active_runs,
        "catchup": dag.catchup,
        "paused": dag.is_paused_upon_creation,
        "failed": _called(dag),
        "schedule": None if dag.schedule is None else type(dag.schedule).__name__,
        "first_runs": _first_runs(dag) if dag.start_date else [],
        "params": {name: dag.params.get_param(name).dump() for name in dag.params},
        "bare": _bare(dag),
        "tasks": {task.task_id: _task(task) for task in dag.topological_sort()},
    }


def _bare(dag):
    """What the server answers to a trigger that gives no Param; nothing if it starts a run."""
    from airflow.serialization.serialized_objects import DagSerialization

    known = DagSerialization.from_dict(DagSerialization.to_dict(dag))
    try:
        known.params.deep_merge({}).validate()
    except ParamValidationError as error:
        return str(error)
    return ""


def _first_runs(dag, count=240):
    """Data day and start of the first runs, as the scheduler works them out."""
    from airflow.serialization.serialized_objects import DagSerialization

    from dags.schedule import ZONE
    from pipeline.days import day_of_run

    known = DagSerialization.from_dict(DagSerialization.to_dict(dag))
    found, last = [], None
    for _ in range(count):
        last = known.next_dagrun_info(last_automated_run_info=last)
        start, end = last.data_interval
        context = {"data_interval_start": start, "data_interval_end": end}
        found.append([str(day_of_run(context, ZONE)), last.run_after.isoformat()])
    return found


def _task(task):
    return {
        "upstream": sorted(task.upstream_task_ids),
        "mapped": task.is_mapped,
        "label": task.map_index_template,
        "doc": task.doc_md,
        "retries": task.retries,
        "pool": task.pool,
        "failed": _called(task),
        "links": [link.name for link in task.operator_extra_links],
        "mode": getattr(task, "mode", None),
        "deferrable": bool(getattr(task, "deferrable", False)),
        "trigger_rule": str(task.trigger_rule.value),
    }


def _called(one):
    """Names of what Airflow calls when it has failed."""
    found = one.on_failure_callback or []
    return [each.__name__ for each in (found if isinstance(found, list) else [found])]


if __name__ == "__main__":
    main(Path(sys.argv[1]))
