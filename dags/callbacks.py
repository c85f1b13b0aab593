"""What Airflow calls when a task or a run has failed, and how tasks tell somebody on their own.

A task whose process is killed calls nothing, and Airflow then calls nothing for it: what it would
have said is told when its run ends (`ended`). So a task notes that it has told. A process that
takes long to tell is killed too, and its task tried again as if it had never ended: both callbacks
keep to a part of the time that Airflow leaves them.

Whom to tell is in the settings (`alerts`), as far as they can be read: a store that does not answer
or a setting that is wrong is what an alert may be about, so none of them is needed for the one that
goes to the environment's webhook. Nothing here may fail a task: what goes wrong is logged.
"""

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import psutil
from airflow.sdk import get_current_context
from airflow.sdk.configuration import conf

if TYPE_CHECKING:
    from infra.alerts import Alert, AlertsConfig
    from pipeline.nights.alerting import Words

logger = logging.getLogger(__name__)

TOLD = "told"
"""XCom of a task that has told of its failure. Airflow removes it when the task is tried again."""
NAMED = 10
"""Tasks that an alert names, at most."""
SHARE = 0.6
"""Of the time after which Airflow kills the process, for telling; the rest is for what it does
before and after."""


AT_LEAST_S = 2.0
"""For a callback before which others have taken that time: most places answer in less."""


@dataclass(frozen=True)
class Run:
    """A run, in the place of the task that an alert is about."""

    dag_id: str
    run_id: str
    task_id: str = ""
    """Those that the alert is about."""
    log_url: str = ""
    """Its page."""


def failed(context: Mapping[str, Any]) -> None:
    """Callback of every task: which one, of which day, and the sentence of its error.

    A task `raw` that gives up is late.
    """
    in_task = "exception" in context  # only the task's own process has one
    until = _until_task() if in_task else _until_file()
    from pipeline.nights.alerting import KINDS

    kinds = {error.__name__: str(kind) for error, kind in KINDS.items()}
    task = context["ti"].task_id
    words = str(context.get("exception") or "no message: look at the task's log")
    name = words.partition(":")[0]
    kind = kinds.get(name, "late" if task == "raw" and name == "PartitionMissing" else "failed")
    # Elsewhere (in the DAG processor, if the task's supervisor has died as well) a note has no way
    # out: Airflow does not even answer it.
    note = partial(_note, context["ti"]) if in_task else None
    tell(kind, f"{context['ti'].dag_id}: {task} failed", words, context, until, note)


def ended(context: Mapping[str, Any]) -> None:
    """Callback of every DAG, in the DAG processor: a run has failed.

    Tells of those of its failed tasks that have not told somebody themselves.
    """
    until = _until_file()
    try:
        lost = _failed_tasks(context)
        untold = [name for name, told in lost.items() if not told]
    except Exception:
        logger.exception("tasks of the run cannot be asked whether they have told somebody")
        lost, untold = {}, []
    if lost and not untold:
        logger.info("every failed task of the run has told somebody")
        return
    run = _run(context, untold)
    title = f"{run.dag_id}: {f'{run.task_id} failed' if untold else 'a run has failed'}"
    tell("failed", title, _of_run(context, untold), {**context, "ti": run}, until)


def tell(
    kind: str,
    title: str,
    text: str,
    context: Mapping[str, Any] | None = None,
    until: float | None = None,
    then: Callable[[], None] | None = None,
) -> bool:
    """Send an alert about the running task, by the settings of its run.

    False if nobody of those who are to be told was reached. `until` and `then` as for
    `infra.alerts.reach`.
    """
    try:
        from infra import alerts

        context = context or get_current_context()
        return alerts.reach(_alert(kind, title, text, context), _whom(context), until, then)
    except Exception:
        logger.exception("alert %s (%s: %s) could not be made", kind, title, text)
        return False


def say(words: "Words") -> bool:
    """The same, of what `pipeline.nights.alerting` says."""
    return tell(*words)


def _until_task() -> float:
    """By the monotonic clock: when a callback that a task's process begins now has to have told.

    Airflow counts from when the outcome was reported, just before; for failures as well.
    """
    limit_s: float = conf.getfloat("core", "task_success_overtime", fallback=20.0)
    return time.monotonic() + SHARE * limit_s


def _until_file() -> float:
    """The same in the DAG processor, where Airflow counts from the beginning of the process.

    It reads the file there, and makes one callback after the other: those for which no time is left
    wait for no answer.
    """
    limit_s: float = conf.getfloat("dag_processor", "dag_file_processor_timeout", fallback=50.0)
    age_s = time.time() - psutil.Process().create_time()
    return time.monotonic() + max(SHARE * limit_s - age_s, AT_LEAST_S)


def _note(instance: Any) -> None:
    try:
        instance.xcom_push(key=TOLD, value=True)
    except Exception:
        logger.exception("it cannot be noted that somebody was told: it is told at the run's end")


def _failed_tasks(context: Mapping[str, Any]) -> dict[str, bool]:
    """Those of the run, and whether each has told somebody."""
    from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance
    from airflow.sdk.execution_time.xcom import XCom

    dag, run = context["dag"], context["run_id"]
    states = RuntimeTaskInstance.get_task_states(dag_id=dag.dag_id, run_ids=[run])[run]
    found = {}
    for name in sorted(name for name, state in states.items() if state == "failed"):
        one: dict[str, Any] = {"task_id": name, "map_index": -1}
        if name not in dag.task_ids:  # a mapped one, with its index
            task, _, index = name.rpartition("_")
            one = {"task_id": task, "map_index": int(index)}
        found[name] = bool(XCom.get_one(key=TOLD, dag_id=dag.dag_id, run_id=run, **one))
    return found


def _run(context: Mapping[str, Any], untold: list[str]) -> Run:
    address = str(getattr(context.get("ti"), "log_url", "") or "")
    names = ", ".join(untold[:NAMED])
    more = f" and {len(untold) - NAMED} more" if len(untold) > NAMED else ""
    return Run(
        dag_id=context["dag"].dag_id,
        run_id=context["run_id"],
        task_id=names + more,
        log_url=address.partition("/tasks/")[0],
    )


def _of_run(context: Mapping[str, Any], untold: list[str]) -> str:
    if not untold:
        return f"Airflow says of it: {context.get('reason')}. Look at the run."
    return (
        "Nobody was told why: a process was killed (mostly for want of memory), somebody marked a "
        "task as failed, or nobody could be reached when it failed, and its log has the error. The "
        "end of its log and the system's log of its machine say more. Mend the cause, then clear "
        "it with its downstream tasks."
    )


def _alert(kind: str, title: str, text: str, context: Mapping[str, Any]) -> "Alert":
    from infra.alerts import Alert, Kind

    instance = context["ti"]
    return Alert(
        kind=Kind(kind),
        title=title,
        text=text,
        day=_day(context),
        link=str(getattr(instance, "log_url", "") or ""),
        facts={"dag": instance.dag_id, "task": instance.task_id, "run": instance.run_id},
    )


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
        return str((context.get("params") or {}).get("day") or "")
