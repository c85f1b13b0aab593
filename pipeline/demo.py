"""`dupn run demo`: the initial DAG in a real Airflow, and a table that a person understands.

Starts Airflow and the MLflow UI if they do not run, triggers the DAG over REST as the UI does,
waits, and reads the report that the run left in the store. Both UIs stay up: look around, then
`dupn down`.
"""

import logging
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from evaluation.report import closing_table
from evaluation.results import OfflineReport
from infra import runtime
from infra.follow import follow
from pipeline.settings import Settings
from pipeline.show import wide

logger = logging.getLogger(__name__)

DAG = "dupn_initial_train"
DAYS = 10
"""To train on; the day after them is the one that the figures are from."""


SHUFFLES = {
    "shuffled_properties_cost": "behaviour properties shuffled within a batch cost",
    "shuffled_query_cost": "queries shuffled within a batch cost",
}
"""What the network draws from an input: the figure's name and how it is said."""


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
        "preset": str(Path(preset).absolute()) if preset.endswith(".toml") else preset,
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
    """The closing table: a row a task with model, best yardstick, ceiling and intervals."""
    out = console or wide()
    out.print(closing_table(report))
    for figure in report.figures:
        if figure.name in SHUFFLES and figure.value is not None:
            interval = f" ({figure.low:.3f} to {figure.high:.3f})" if figure.low is not None else ""
            out.print(f"{SHUFFLES[figure.name]} {figure.value:.3f} of CTR AUC{interval}")
