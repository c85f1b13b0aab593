"""The tasks of `dupn_backfill`."""

import logging

from airflow.sdk import get_current_context, task

from dags import running
from dags.running import run, stage

logger = logging.getLogger(__name__)


@stage(task.short_circuit, pool="data")
def plan() -> bool:
    """Writes to its log, one a line, what a backfill of the day may redo and why."""
    from pipeline import backfill as filling

    with running.front_door():
        planned = filling.describe(running.settings(), running.day())
    for redo in planned["plan"]:
        logger.info("%s %s: %s", redo["stage"], redo["day"], redo["why"])
    if planned["models"]:
        models = ", ".join(planned["models"])
        logger.info("what was learnt from %s stays in %s", planned["day"], models)
    else:
        logger.info("no model has learnt from %s", planned["day"])
    return not get_current_context()["params"]["only_plan"]


@stage(task, pool="compute")
def backfill() -> None:
    """The day again from raw, and each later stage whose inputs came out otherwise."""
    run("backfill", day=running.day())
