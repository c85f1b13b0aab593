"""Run in a process of its own: runs that fail, each ended as scheduler and DAG processor end it.

Whoever is told is told at the environment's webhook; the last line is JSON: the runs.
"""

import json
import os
import selectors
import sys
from pathlib import Path

import structlog
from airflow.dag_processing.dagbag import DagBag, sync_bag_to_db
from airflow.dag_processing.manager import DagFileProcessorManager
from airflow.dag_processing.processor import DagFileProcessorProcess
from airflow.models.dagbundle import DagBundleModel
from airflow.models.dagrun import DagRun
from airflow.models.serialized_dag import SerializedDagModel
from airflow.models.xcom import XComModel
from airflow.sdk import timezone
from airflow.sdk.definitions.dag import _run_task
from airflow.utils.db import initdb
from airflow.utils.session import create_session
from airflow.utils.state import DagRunState
from airflow.utils.types import DagRunTriggeredByType, DagRunType
from uuid6 import uuid7

from dags.callbacks import TOLD

DAGS = Path(__file__).resolve().parents[2] / "dags"
FORM = {"preset": "smoke", "day": "2026-03-05"}


def main() -> None:
    initdb()
    with create_session() as session:
        session.merge(DagBundleModel(name="test"))
    bag = DagBag(str(DAGS), bundle_name="test")
    sync_bag_to_db(bag, "test", None)
    begin("dupn_backfill", "raised", FORM | {"overrides": "train.epoch=2"})
    raise_in(bag.dags["dupn_backfill"].task_dict["plan"], "raised")
    begin("dupn_backfill", "killed", FORM)
    begin("dupn_initial_train", "side_by_side", {"preset": "smoke"})
    calls = {
        "raised": end("dupn_backfill", "raised"),
        "killed": end("dupn_backfill", "killed", plan=(-1, False)),
        "side_by_side": end(
            "dupn_initial_train", "side_by_side", events=(3, True), quality=(12, False)
        ),
    }
    manager = DagFileProcessorManager(max_runs=1, selector=selectors.DefaultSelector())
    for callback in calls.values():
        process(callback, manager)
    sys.stdout.write("\n" + json.dumps(list(calls)) + "\n")


def begin(dag_id, run_id, form):
    with create_session() as session:
        SerializedDagModel.get_dag(dag_id, session=session).create_dagrun(
            run_id=run_id,
            run_after=timezone.utcnow(),
            run_type=DagRunType.MANUAL,
            triggered_by=DagRunTriggeredByType.TEST,
            state=DagRunState.RUNNING,
            conf=form,
            session=session,
        )


def raise_in(task, run_id):
    [run] = DagRun.find(task.dag_id, run_id)
    _run_task(ti=run.get_task_instance(task.task_id), task=task)


def end(dag_id, run_id, **lost):
    """What the scheduler asks the DAG processor for when the run has failed.

    Supervisors have reported these tasks as failed: (index, has told).
    """
    with create_session() as session:
        [run] = DagRun.find(dag_id, run_id, session=session)
        run.dag = SerializedDagModel.get_dag(dag_id, session=session)
        for instance in run.get_task_instances(session=session):
            index, told = lost.get(instance.task_id, (-1, False))
            if instance.state != "failed":
                instance.state = "failed" if instance.task_id in lost else "upstream_failed"
                instance.map_index = index
            if told:
                where = {"task_id": instance.task_id, "dag_id": dag_id, "run_id": run_id}
                session.flush()
                XComModel.set(key=TOLD, value=True, map_index=index, session=session, **where)
        session.flush()
        _, callback = run.update_state(session=session, execute_callbacks=False)
        assert run.state == "failed"
    return callback


def process(callback, manager):
    """As the DAG processor does, in a process of its own."""
    with Path(os.devnull).open("wb") as nowhere:
        one = DagFileProcessorProcess.start(
            id=uuid7(),
            path=DAGS / callback.filepath,
            bundle_path=DAGS,
            bundle_name="test",
            dag_file_rel_path=callback.filepath,
            callbacks=[callback],
            selector=manager.selector,
            logger=structlog.get_logger(),
            logger_filehandle=nowhere,
            client=manager.client,
        )
        while not one.is_ready:
            manager._service_processor_sockets(timeout=0.05)


if __name__ == "__main__":
    main()
