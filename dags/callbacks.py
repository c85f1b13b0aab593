"""What Airflow calls when a task has failed for good, and how tasks tell somebody on their own.

Whom to tell is in the settings (`alerts`). Nothing here may fail a task: what goes wrong while an
alert is made is logged.
"""

import logging
from collections.abc import Mapping
from typing import Any

from airflow.sdk import get_current_context

logger = logging.getLogger(__name__)


def failed(context: Mapping[str, Any]) -> None:
    """Callback of every task: which one, of which day, and the sentence of its error.

    A task `raw` that gives up is late.
    """
    from pipeline.telling import KINDS

    kinds = {error.__name__: str(kind) for error, kind in KINDS.items()}
    task = context["ti"].task_id
    words = str(context.get("exception") or "no message: look at the task's log")
    name = words.partition(":")[0]
    kind = kinds.get(name, "late" if task == "raw" and name == "PartitionMissing" else "failed")
    tell(kind, f"{context['ti'].dag_id}: {task} failed", words, context)


def tell(kind: str, title: str, text: str, context: Mapping[str, Any] | None = None) -> None:
    """Send an alert about the running task, by the settings of its run."""
    try:
        _send(kind, title, text, context or get_current_context())
    except Exception:
        # Settings that cannot be read, for one: the task has its own sentence about those.
        logger.exception("alert %s (%s: %s) could not be made", kind, title, text)


def _send(kind: str, title: str, text: str, context: Mapping[str, Any]) -> None:
    from dags.running import day_of, settings_of
    from infra import alerts

    instance = context["ti"]
    settings = settings_of(context)
    alert = alerts.Alert(
        kind=alerts.Kind(kind),
        title=title,
        text=text,
        day=day_of(context, settings),
        link=str(getattr(instance, "log_url", "") or ""),
        facts={"dag": instance.dag_id, "task": instance.task_id, "run": instance.run_id},
    )
    alerts.send(alert, settings.alerts)
