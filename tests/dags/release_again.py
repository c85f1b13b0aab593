"""Run in a process of its own: `release` of one night, each time for what `update` has left then.

The arguments are the day, then run keys; the task is cleared in between. The last line is JSON: the
runs of `dupn_release` that there are at the end, their candidates, and how often each was cleared.
"""

import json
import sys
from pathlib import Path

from airflow.dag_processing.dagbag import DagBag, sync_bag_to_db
from airflow.models.dagbundle import DagBundleModel
from airflow.models.dagrun import DagRun
from airflow.models.serialized_dag import SerializedDagModel
from airflow.models.taskinstance import clear_task_instances
from airflow.models.xcom import XComModel
from airflow.sdk import timezone
from airflow.sdk.definitions.dag import _run_task
from airflow.utils.db import initdb
from airflow.utils.session import create_session
from airflow.utils.state import DagRunState
from airflow.utils.types import DagRunTriggeredByType, DagRunType

DAGS = Path(__file__).resolve().parents[2] / "dags"
NIGHT, RUN = "dupn_nightly_update", "again"


def main(day, keys) -> None:
    bag = ours()
    begin(day)
    for key in keys:
        release(bag.dags[NIGHT].task_dict["release"], key)
    found = [
        {"id": run.run_id, "candidate": run.conf["run"], "cleared": run.clear_number}
        for run in DagRun.find("dupn_release")
        if run.run_id.endswith(RUN)
    ]
    sys.stdout.write("\n" + json.dumps(found) + "\n")


def ours():
    """Our DAGs, as Airflow's database knows them, too."""
    initdb()
    with create_session() as session:
        session.merge(DagBundleModel(name="test"))
    bag = DagBag(str(DAGS), bundle_name="test")
    sync_bag_to_db(bag, "test", None)
    return bag


def begin(day, run=RUN):
    with create_session() as session:
        SerializedDagModel.get_dag(NIGHT, session=session).create_dagrun(
            run_id=run,
            run_after=timezone.utcnow(),
            run_type=DagRunType.MANUAL,
            triggered_by=DagRunTriggeredByType.TEST,
            state=DagRunState.RUNNING,
            conf={"preset": "smoke", "day": day},
            session=session,
        )


def release(task, key):
    """Up to its wait for the run that it has triggered."""
    with create_session() as session:
        XComModel.set(
            key="return_value",
            value=key,
            task_id="update",
            dag_id=NIGHT,
            run_id=RUN,
            serialize=False,
            session=session,
        )
        [run] = DagRun.find(NIGHT, RUN, session=session)
        instance = run.get_task_instance("release", session=session)
        clear_task_instances([instance], session)
    _run_task(ti=instance, task=task)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
