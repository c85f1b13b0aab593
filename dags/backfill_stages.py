"""The tasks of `dupn_backfill`."""

import logging
from datetime import date

from airflow.sdk import get_current_context, task

from dags import running
from dags.running import run, stage

logger = logging.getLogger(__name__)


@stage(task.short_circuit, pool="data")
def plan() -> bool:
    """Writes to its log, one a line, what a backfill of the day may redo and why."""
    from pipeline.upkeep import backfill as filling

    with running.front_door():
        planned = filling.describe(running.settings(), running.day(), _last())
    for redo in planned["plan"]:
        logger.info("%s %s: %s", redo["stage"], redo["day"], redo["why"])
    first, last = planned["day"], planned["last"]
    days = first if last == first else f"{first} to {last}"
    if planned["models"]:
        logger.info("what was learnt from %s stays in %s", days, ", ".join(planned["models"]))
    else:
        logger.info("no model has learnt from %s", days)
    return not get_current_context()["params"]["only_plan"]


@stage(task, pool="compute")
def backfill() -> None:
    """The days again from raw, and each later stage whose inputs came out otherwise."""
    run("backfill", day=running.day(), last=_last())


def _last() -> date | None:
    last = get_current_context()["params"]["last"]
    return date.fromisoformat(last) if last else None
