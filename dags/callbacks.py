"""What Airflow calls when a task has failed for good, and how tasks tell somebody on their own.

Whom to tell is in the settings (`alerts`), as far as they can be read: a store that does not answer
or a setting that is wrong is what an alert may be about, so none of them is needed for the one that
goes to the environment's webhook. Nothing here may fail a task: what goes wrong is logged.
"""

import logging
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from airflow.sdk import get_current_context

if TYPE_CHECKING:
    from infra.alerts import AlertsConfig
    from pipeline.nights.alerting import Words

logger = logging.getLogger(__name__)


def failed(context: Mapping[str, Any]) -> None:
    """Callback of every task: which one, of which day, and the sentence of its error.

    A task `raw` that gives up is late.
    """
    from pipeline.nights.alerting import KINDS

    kinds = {error.__name__: str(kind) for error, kind in KINDS.items()}
    task = context["ti"].task_id
    words = str(context.get("exception") or "no message: look at the task's log")
    name = words.partition(":")[0]
    kind = kinds.get(name, "late" if task == "raw" and name == "PartitionMissing" else "failed")
    tell(kind, f"{context['ti'].dag_id}: {task} failed", words, context)


def tell(kind: str, title: str, text: str, context: Mapping[str, Any] | None = None) -> bool:
    """Send an alert about the running task, by the settings of its run.

    False if nobody of those who are to be told was reached.
    """
    try:
        return _send(kind, title, text, context or get_current_context())
    except Exception:
        logger.exception("alert %s (%s: %s) could not be made", kind, title, text)
        return False


def say(words: "Words") -> bool:
    """The same, of what `pipeline.nights.alerting` says."""
    return tell(*words)


def _send(kind: str, title: str, text: str, context: Mapping[str, Any]) -> bool:
    from infra import alerts

    instance = context["ti"]
    alert = alerts.Alert(
        kind=alerts.Kind(kind),
        title=title,
        text=text,
        day=_day(context),
        link=str(getattr(instance, "log_url", "") or ""),
        facts={"dag": instance.dag_id, "task": instance.task_id, "run": instance.run_id},
    )
    return alerts.reach(alert, _whom(context))


def _whom(context: Mapping[str, Any]) -> "AlertsConfig":
    """By the settings of the run; else of its preset; else of the environment; else of nothing.

    No recipe is put on them: those lie in the store, and none says whom to tell.
    """
    from dags.running import plain
    from infra.alerts import AlertsConfig
    from pipeline.settings import Settings, load, of_form

    said: tuple[Callable[[], Settings], ...] = (
        lambda: plain(context),
        lambda: of_form(context["params"]["preset"]),
        load,
    )
    for settings in said:
        try:
            return settings().alerts
        except Exception as error:
            logger.warning("whom to tell is not in these settings: %s", error)
    return AlertsConfig()


def _day(context: Mapping[str, Any]) -> str:
    """Of the run; where its settings cannot be read, what the form says."""
    from dags.running import day_of, plain

    try:
        return day_of(context, plain(context))
    except Exception:
        logger.warning("the time zone of the run's data is not known")
        return str(context["params"].get("day") or "")
