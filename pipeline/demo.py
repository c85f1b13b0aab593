"""`dupn run demo`: the initial DAG in a real Airflow, and a table that a person understands.

Starts Airflow and the MLflow UI if they do not run, triggers the DAG over REST as the UI does,
waits, and reads the report that the run left in the store. Both UIs stay up: look around, then
`dupn down`.
"""

import logging
import time
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from evaluation.results import Estimate, OfflineReport, Rival, TaskResult
from infra import runtime
from infra.follow import follow
from pipeline.settings import Settings

logger = logging.getLogger(__name__)

DAG = "dupn_initial_train"
DAYS = 10
"""To train on; the day after them is the one that the figures are from."""


def run(
    settings: Settings, preset: str, pairs: Sequence[str] = (), *, days: int = DAYS
) -> Mapping[str, Any]:
    """Bring everything up, run the DAG and wait; what the run showed and where to look.

    Raises:
        OrchestrationError: Airflow did not start, or the run failed or took too long.
    """
    begin = time.monotonic()
    addresses = runtime.up(settings.home, settings.runtime)
    ready = time.monotonic()
    logger.info("Airflow and MLflow were up after %.0f s", ready - begin)
    airflow = runtime.connect(settings.home)
    conf = {
        "dataset": settings.dataset,
        "preset": preset,
        "overrides": "\n".join(pairs),
        "first_day": settings.first_day.isoformat(),
        "days": days,
    }
    run_id = airflow.trigger(DAG, conf)
    logger.info("follow it at %s/dags/%s/runs/%s", addresses["airflow"], DAG, run_id)
    done = follow(airflow, DAG, run_id, timeout_s=settings.runtime.run_timeout_s)
    states = {task.task_id: task.state for task in done.tasks}
    return {
        "dag_run": run_id,
        "tasks": len(done.tasks),
        "promoted": states.get("promote") == "success",
        "start_s": round(ready - begin, 1),
        "run_s": round(time.monotonic() - ready, 1),
        **addresses,
    }


def show(report: OfflineReport, console: Console | None = None) -> None:
    """The closing table: per task the model, its yardsticks, the ceiling, and intervals."""
    out = console or Console()
    table = Table(title=f"{report.title} of {report.key} on {report.day}", title_justify="left")
    for name in ("task", "who", "figure", "95 % interval", "model minus it"):
        table.add_column(name, overflow="fold")
    for task in report.tasks:
        _rows(table, task)
        table.add_section()
    out.print(table)


def _rows(table: Table, task: TaskResult) -> None:
    table.add_row(task.title, "dupn", _value(task.model), _interval(task.model), "")
    rivals: list[Rival] = [*task.rivals, *([task.ceiling] if task.ceiling else [])]
    for rival in rivals:
        difference = f"{_value(rival.difference)} {_interval(rival.difference)}"
        mine = [_value(rival.estimate), _interval(rival.estimate)]
        table.add_row("", rival.title, *mine, difference)


def _value(estimate: Estimate) -> str:
    return "-" if estimate.value is None else f"{estimate.value:.4f}"


def _interval(estimate: Estimate) -> str:
    if estimate.low is None or estimate.high is None:
        return ""
    return f"[{estimate.low:.4f}, {estimate.high:.4f}]"
