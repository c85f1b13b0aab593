"""Run in a process of its own: looks of a night's `raw` that its store does not answer.

The arguments are the day and how many looks. The last line is JSON: the task's state after each.
"""

import json
import sys

from airflow.models.dagrun import DagRun
from airflow.sdk.definitions.dag import _run_task

from tests.dags.release_again import NIGHT, begin, ours

RUN = "silent"


def main(day, looks) -> None:
    task = ours().dags[NIGHT].task_dict["raw"]
    begin(day, RUN)
    states = [look(task) for _ in range(int(looks))]
    sys.stdout.write("\n" + json.dumps(states) + "\n")


def look(task):
    [run] = DagRun.find(NIGHT, RUN)
    _run_task(ti=run.get_task_instance("raw"), task=task)
    return str(run.get_task_instance("raw").state)


if __name__ == "__main__":
    main(*sys.argv[1:])
