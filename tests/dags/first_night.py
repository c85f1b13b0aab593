"""Run in a process of its own: the first scheduled nights, made as the scheduler makes them.

Each argument is a value of `DUPN_NIGHTLY_CRON`. The last line is JSON: by schedule, the start and
the tasks of the first run, and the data days of the first 240.
"""

import json
import os
import sys
from pathlib import Path

from airflow.dag_processing.dagbag import DagBag, sync_bag_to_db
from airflow.models.dagbundle import DagBundleModel
from airflow.models.serialized_dag import SerializedDagModel
from airflow.utils.db import initdb
from airflow.utils.session import create_session
from airflow.utils.state import DagRunState
from airflow.utils.types import DagRunTriggeredByType, DagRunType

DAG = "dupn_nightly_update"
PAGE = Path(__file__).resolve().parents[2] / "dags" / f"{DAG}.py"


def main(schedules) -> None:
    initdb()
    with create_session() as session:
        session.merge(DagBundleModel(name="test"))
    found = {}
    os.environ["AIRFLOW__CORE__MIN_SERIALIZED_DAG_UPDATE_INTERVAL"] = "0"  # each is another DAG
    for cron in schedules:
        os.environ["DUPN_NIGHTLY_CRON"] = cron
        sync_bag_to_db(DagBag(str(PAGE), bundle_name="test"), "test", None)
        found[cron] = first_run(cron)
    sys.stdout.write("\n" + json.dumps(found) + "\n")


def first_run(cron):
    with create_session() as session:
        dag = SerializedDagModel.get_dag(DAG, session=session)
        info = dag.next_dagrun_info(last_automated_run_info=None)
        run = dag.create_dagrun(
            run_id=f"scheduled__{cron.replace(' ', '_').replace('*', 'x')}",
            logical_date=info.logical_date,
            data_interval=info.data_interval,
            run_after=info.run_after,
            run_type=DagRunType.SCHEDULED,
            triggered_by=DagRunTriggeredByType.TIMETABLE,
            state=DagRunState.QUEUED,
            session=session,
        )
        tasks = len(run.get_task_instances(session=session))
        session.delete(run)  # the next schedule may date its first run alike
        return {"start": info.run_after.isoformat(), "tasks": tasks, "days": list(days(dag, 240))}


def days(dag, count):
    from dags.schedule import ZONE
    from pipeline.days import day_of_run

    last = None
    for _ in range(count):
        last = dag.next_dagrun_info(last_automated_run_info=last)
        start, end = last.data_interval
        yield str(day_of_run({"data_interval_start": start, "data_interval_end": end}, ZONE))


if __name__ == "__main__":
    main(sys.argv[1:])
