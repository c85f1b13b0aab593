"""What a run is refused for before any of its tasks does anything.

Where `DUPN_HOME` is not set a command writes to `./artifacts`; a task would write to a folder of
one process, and promote in everybody's MLflow. A name in the trigger's `conf` that no Param has
changes nothing for Airflow: the run would go on with a default that nobody meant.
"""

import os
from collections.abc import Mapping
from typing import Any

from dags import schedule
from infra.config import nearest
from infra.errors import ConfigError
from infra.visible import visible

AIRFLOWS = ("openlineage", "airflow/task_span_detail_level")
"""Names in a `conf` that are nobody's typo and no Param: the task that triggers a run puts its own
lineage there where OpenLineage's provider is active; how finely Airflow traces the run's tasks."""


def check(context: Mapping[str, Any]) -> None:
    """Of the running task.

    Raises:
        ConfigError: it was not told where data lies or what to work with, or was told what it does
            not know.
    """
    _home()
    schedule.known_here(context)
    _conf(context)


def _home() -> None:
    if not os.environ.get("DUPN_HOME"):
        raise ConfigError(
            "DUPN_HOME is not set where this task runs, so nobody else would find its data. Set it "
            "for every worker, to a folder that all of them see or an object store, then clear "
            "the task."
        )


def _conf(context: Mapping[str, Any]) -> None:
    """Airflow puts an unknown name among `params`, but not among those of the DAG."""
    conf = getattr(context.get("dag_run"), "conf", None) or {}
    unknown = [name for name in conf if name not in (*AIRFLOWS, *context["dag"].params)]
    if unknown:
        dag = context["dag"]
        said = " ".join(_unknown(name, list(dag.params), dag.dag_id) for name in unknown)
        raise ConfigError(f"{said} Nothing was done: trigger it anew.")


def _unknown(name: str, known: list[str], dag: str) -> str:
    near = nearest(name, known)
    hint = f"Did you mean {near}?" if near else f"It has {', '.join(known)}."
    return f"{visible(name)} is no Param of {dag}. {hint}"
