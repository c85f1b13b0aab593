"""What every task does around its one step: settings from the form, our errors, the alert.

Tasks pass keys (a day, a list of days), never data: what a stage makes lies in the store. Nothing
heavy is imported when Airflow reads this file; a task imports the one step that it runs. An error
that no retry can mend fails the task at once.

Pools: `data` (Beam jobs, checks: one slot a core) and `compute` (training and whatever uses every
core: one slot). `infra/deploy/airflow/pools.json` creates them in an Airflow of your own.
"""

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk import get_current_context
from airflow.sdk.configuration import conf
from airflow.sdk.exceptions import AirflowFailException

from dags import admission, callbacks, schedule

if TYPE_CHECKING:
    from pipeline.settings import Settings

logger = logging.getLogger(__name__)

DEFAULTS = {
    "owner": "dupn",
    "retries": 2,
    "retry_delay": timedelta(seconds=20),
    "on_failure_callback": callbacks.failed,
}
DAG: Mapping[str, Any] = {
    "default_args": DEFAULTS,
    "on_failure_callback": callbacks.ended,
    "tags": ["dupn"],
}
"""What every DAG has."""
MAPPED: int = conf.getint("core", "max_map_length", fallback=1024)
"""Tasks that one is mapped to, at most: Airflow refuses a longer list when it is there, not before.
"""


def stage(kind: Any, **options: Any) -> Any:
    """Airflow's decorator, with the docstring as documentation on mapped tasks too."""
    return lambda function: kind(doc_md=function.__doc__, **options)(function)


def run(step: str, **arguments: Any) -> Mapping[str, Any]:
    """One step of `pipeline.steps` with the settings of the run; the task's log has its summary."""
    from infra.addresses import bare
    from pipeline import steps

    with front_door():
        summary: Mapping[str, Any] = getattr(steps, step)(settings(), **arguments)
    plain = {name: one for name, one in summary.items() if isinstance(one, str | int | float)}
    said = ", ".join(f"{name} {value}" for name, value in plain.items())
    logger.info("%s: %s", step, bare(said) or "done")
    return summary


def settings() -> "Settings":
    """Settings of the running task, if its run is admitted."""
    context = get_current_context()
    with front_door():
        admission.check(context)
        return settings_of(context)


def settings_of(context: Mapping[str, Any]) -> "Settings":
    """`plain` ones, with the recipe that an experiment has for their line."""
    from pipeline.learn.recipes import of_line

    return of_line(plain(context))


def plain(context: Mapping[str, Any]) -> "Settings":
    """Preset and overrides of the run's Params (the home is the environment's `DUPN_HOME`).

    What another line's recipe is put on: with one on it already, that one would show through.
    """
    from pipeline.settings import of_form

    params = context["params"]
    dataset = [f"dataset={params['dataset']}"] if "dataset" in params else []
    preset = params["preset"] or "demo"  # a study's form may leave it open
    return of_form(preset, [*dataset, *overrides_of(params)])


def overrides_of(params: Mapping[str, Any]) -> list[str]:
    """`a.b=value` of the form, one a line."""
    return [line.strip() for line in str(params["overrides"] or "").splitlines() if line.strip()]


def day() -> date:
    """The day of the run, in the time zone of its data set.

    Fails the task where the run has none, or its schedule is of another time zone.
    """
    from features.raw.dataset import load
    from pipeline.days import day_of_run

    with front_door():
        context, zone = get_current_context(), load(settings().dataset).time_zone
        schedule.same_days(context, zone)
        return day_of_run(context, zone)


def day_of(context: Mapping[str, Any], settings: "Settings") -> str:
    """The day of a run for people to read; empty for a run of many days."""
    from features.raw.dataset import load
    from infra.errors import DupnError
    from pipeline.days import day_of_run

    if "first_day" in context["params"]:
        return ""
    try:
        return day_of_run(context, load(settings.dataset).time_zone).isoformat()
    except DupnError:
        return ""


@contextmanager
def front_door() -> Iterator[None]:
    """Errors that a retry cannot mend end the task: a person has to act on the sentence."""
    from infra import errors

    try:
        yield
    except (errors.RegistryUnavailable, errors.OrchestrationError):
        raise  # a server that does not answer may answer in twenty seconds
    except errors.DupnError as error:
        if type(error) is errors.StoreError:
            raise  # so may a disk or an object store
        # Airflow's UI puts every cause and its lines of code below what is raised.
        raise AirflowFailException(f"{type(error).__name__}: {error}") from None
