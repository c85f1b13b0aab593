"""Watch a DAG run to its end: a bar on a terminal, a sentence a task elsewhere."""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from infra.airflow_api import DONE, Airflow, RunState, TaskState
from infra.errors import OrchestrationError

logger = logging.getLogger(__name__)

LEVELS = {
    "failed": logging.ERROR,
    "upstream_failed": logging.ERROR,
    "up_for_retry": logging.WARNING,
}


def follow(
    airflow: Airflow, dag_id: str, run_id: str, *, timeout_s: float, poll_s: float = 1.0
) -> RunState:
    """The run when it has ended well.

    Args:
        airflow: where it runs.
        dag_id: its DAG.
        run_id: what `Airflow.trigger` returned.
        timeout_s: how long to wait at most.
        poll_s: between two looks.

    Raises:
        OrchestrationError: it failed (the message names the task and ends with its log), or it
            still runs after `timeout_s`.
    """
    run = until_ended(airflow, dag_id, run_id, timeout_s=timeout_s, poll_s=poll_s)
    if run.state == "failed":
        raise OrchestrationError(_failure(airflow, dag_id, run_id, run))
    return run


def until_ended(
    airflow: Airflow, dag_id: str, run_id: str, *, timeout_s: float, poll_s: float = 1.0
) -> RunState:
    """As `follow`, for a run that may fail: it comes back either way.

    Raises:
        OrchestrationError: it still runs after `timeout_s`.
    """
    begin = time.monotonic()
    with _display(dag_id) as display:
        while True:
            run = airflow.run(dag_id, run_id)
            display.show(run)
            if run.ended:
                return run
            if time.monotonic() - begin > timeout_s:
                raise OrchestrationError(_late(airflow, dag_id, run, timeout_s))
            time.sleep(poll_s)


class _Display(Protocol):
    def show(self, run: RunState) -> None: ...


class _Sentences:
    """Each change of a task that a person would want to hear of, once."""

    def __init__(self, dag_id: str) -> None:
        self.dag_id = dag_id
        self.said: set[tuple[str, int, str, int]] = set()

    def show(self, run: RunState) -> None:
        for task in run.tasks:
            key = (task.task_id, task.map_index, task.state, task.tries)
            if key in self.said or not (task.state in DONE or task.state in LEVELS):
                continue
            self.said.add(key)
            level = LEVELS.get(task.state, logging.INFO)
            logger.log(level, "%s: %s %s, %.1f s", self.dag_id, task.name, task.state, task.seconds)


class _Bar:
    """How many tasks are done, and which run."""

    def __init__(self, bar: Progress, dag_id: str) -> None:
        self.bar = bar
        self.task = bar.add_task(dag_id, total=None, running="")

    def show(self, run: RunState) -> None:
        busy = ("running", "deferred")
        running = ", ".join(task.name for task in run.tasks if task.state in busy)
        done = sum(task.state in DONE for task in run.tasks)
        self.bar.update(self.task, completed=done, total=len(run.tasks), running=running)


@contextmanager
def _display(dag_id: str) -> Iterator[_Display]:
    console = Console(stderr=True)
    if not console.is_terminal:
        yield _Sentences(dag_id)
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[running]}"),
    )
    with Progress(*columns, console=console) as bar:
        yield _Bar(bar, dag_id)


def _failure(airflow: Airflow, dag_id: str, run_id: str, run: RunState) -> str:
    failed = [task for task in run.tasks if task.state == "failed"]
    if not failed:
        return f"{dag_id} failed without a failed task. Look at {_page(airflow, dag_id)}."
    names = ", ".join(task.name for task in failed)
    log = airflow.log_tail(dag_id, run_id, failed[0])
    return (
        f"{dag_id} failed in {names}. Mend the cause, then clear the task at "
        f"{_page(airflow, dag_id)}. The end of the log of {failed[0].name}:\n{log}"
    )


def _late(airflow: Airflow, dag_id: str, run: RunState, timeout_s: float) -> str:
    open_tasks = [_open(task) for task in run.tasks if task.state not in DONE and task.state]
    return (
        f"{dag_id} has not ended within {timeout_s:.0f} s: {', '.join(open_tasks[:5])}. "
        f"It goes on; look at {_page(airflow, dag_id)}."
    )


def _open(task: TaskState) -> str:
    return f"{task.name} is {task.state}"


def _page(airflow: Airflow, dag_id: str) -> str:
    return f"{airflow.address}/dags/{dag_id}"
