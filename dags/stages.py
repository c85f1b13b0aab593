"""One Airflow task per stage; the DAG files only put them in order.

Tasks pass keys (a day, a list of days), never data: what a stage makes lies in the store. Nothing
heavy is imported when Airflow reads this file; a task imports the one step that it runs. Settings
come from the Params of the run. An error that no retry can mend fails the task at once.

Pools: `data` (Beam jobs, checks: one slot a core) and `compute` (training and whatever uses every
core: one slot). `infra/deploy/airflow/pools.json` creates them in an Airflow of your own.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow.sdk import TriggerRule, get_current_context, task
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

if TYPE_CHECKING:
    from pipeline.settings import Settings

DEFAULTS = {"owner": "dupn", "retries": 2, "retry_delay": timedelta(seconds=20)}
BY_DAY = "{{ task.op_kwargs['day'] }}"
"""What the grid writes on a mapped task."""


def _stage(kind: Any, **options: Any) -> Any:
    """Airflow's decorator, with the docstring as documentation on mapped tasks too."""
    return lambda function: kind(doc_md=function.__doc__, **options)(function)


@_stage(task, task_id="import", pool="data")
def import_log() -> None:
    """Files of the Param `files` -> `raw/` by arrival day, as received. Skipped without files."""
    files = get_current_context()["params"]["files"]
    if not files:
        raise AirflowSkipException("no files were given: raw/ is used as it stands")
    _run("import_log", dataset=_settings().dataset, files=[Path(file) for file in files])


@_stage(task, pool="data")
def simulate() -> None:
    """The simulated marketplace lives the days of the run -> `raw/` and `truth/`.

    Skipped for any other data set, and if the days are there already.
    """
    settings = _settings()
    if settings.dataset != "marketplace":
        raise AirflowSkipException(f"{settings.dataset} is a log of yours: nothing to simulate")
    wanted = _days()
    if all(settings.store.partition("raw", day, "behaviors").names() for day in wanted):
        raise AirflowSkipException("the days of the marketplace are there already")
    _run("simulate", first=wanted[0], days=len(wanted))


@_stage(task, pool="data", trigger_rule=TriggerRule.NONE_FAILED)
def days() -> list[str]:
    """The days of the run, oldest first: those to train on, and the one after to evaluate on.

    Fails, naming the first day without raw behaviours, before any work is done.
    """
    from pipeline import steps

    wanted = _days()
    with _front_door():
        return [day.isoformat() for day in steps.data_days(_settings(), wanted[0], wanted[-1])]


@_stage(task, pool="data", map_index_template=BY_DAY)
def events(day: str) -> None:
    """Raw rows of a day -> `events/`, canonical and deduplicated; refused rows -> `rejects/`."""
    _run("events", day=date.fromisoformat(day))


@_stage(task, pool="data", map_index_template=BY_DAY)
def quality(day: str) -> None:
    """Great Expectations over a day of events and catalog; a critical failure stops the run."""
    _run("quality", day=date.fromisoformat(day), of="events")


@_stage(task, pool="data")
def vocabulary(days: list[str]) -> None:
    """Ids -> rows of `vocabulary/` and `catalog/`, append-only, day after day.

    Between two days it brings `statistics/` on too: the catalog of a day takes its statistic tags
    and price edges from the statistics of the day before, and those count by catalog rows.
    """
    for position, day in enumerate(days):
        if position:
            _run("statistics", day=date.fromisoformat(days[position - 1]))
        _run("vocabulary", day=date.fromisoformat(day))


@_stage(task, pool="data")
def statistics(days: list[str]) -> None:
    """Counts, conversions, price quantiles and LR-CTR weights up to the last day."""
    _run("statistics", day=date.fromisoformat(days[-1]))


@_stage(task, pool="data")
def sequences(days: list[str]) -> None:
    """Yesterday's sequences + a day's events -> the last 100 behaviours of every user."""
    for day in days:
        _run("sequences", day=date.fromisoformat(day))


@_stage(task, pool="data")
def samples(days: list[str]) -> None:
    """Moments whose attribution window closes in a day -> `samples/`, histories strictly before."""
    for day in days:
        _run("samples", day=date.fromisoformat(day))


@_stage(task, pool="data")
def quality_samples(days: list[str]) -> None:
    """Great Expectations over every day of samples; a critical failure stops the run."""
    for day in days:
        _run("quality", day=date.fromisoformat(day), of="samples")


@_stage(task, pool="compute")
def train(days: list[str]) -> None:
    """The network on all days but the last -> `checkpoints/` and an MLflow run (the candidate)."""
    *training, _ = days
    _run("train", until=date.fromisoformat(training[-1]), days=len(training))


@_stage(task, pool="compute")
def evaluate(days: list[str]) -> None:
    """The candidate on the day after, beside yardsticks and ceiling -> report, logged to MLflow."""
    _run("evaluate", **_judged(days))


@_stage(task, pool="compute")
def bundle(days: list[str]) -> None:
    """Candidate + the tables it answers with -> a self-contained model, logged to MLflow."""
    _run("bundle", **_judged(days))


@_stage(task.short_circuit, pool="data")
def gate(days: list[str]) -> bool:
    """Report -> a verdict with every failed check. "Kept the champion" skips the rest, green."""
    return bool(_run("gate", **_judged(days))["promoted"])


@_stage(task, pool="compute", retries=1)
def canary(days: list[str]) -> None:
    """The logged model, loaded in a fresh process, answers recorded moments as evaluation did."""
    _run("canary", **_judged(days))


@_stage(task, pool="data")
def register(days: list[str]) -> None:
    """The logged model -> a version of the registered model `dupn`."""
    _run("register", **_judged(days))


@_stage(task, pool="data")
def promote(days: list[str]) -> None:
    """The alias `champion` moves to the new version; the move is entered in `ledger/`."""
    _run("promote", **_judged(days))


@_stage(task, pool="compute", retries=1)
def check(days: list[str]) -> None:
    """`models:/dupn@champion` loads and answers."""
    _run("check", **_judged(days))


def release(days: list[str]) -> list[Any]:
    """The tasks between a trained candidate and a champion that answers, to be chained."""
    order = (evaluate, bundle, gate, canary, register, promote, check)
    return [stage(days) for stage in order]


def _run(step: str, **arguments: Any) -> Mapping[str, Any]:
    from pipeline import steps

    with _front_door():
        summary: Mapping[str, Any] = getattr(steps, step)(_settings(), **arguments)
    return summary


def _judged(days: list[str]) -> dict[str, Any]:
    """The day to judge on, and the key of the model that was trained on the days before it."""
    run = f"{_settings().line}-{days[-2]}"
    return {"day": date.fromisoformat(days[-1]), "run": run}


def _settings() -> "Settings":
    """Preset and overrides of the run's Params (the home is the environment's `DUPN_HOME`)."""
    from pipeline.settings import load

    params = get_current_context()["params"]
    pairs = [line.strip() for line in str(params["overrides"] or "").splitlines() if line.strip()]
    with _front_door():
        return load(params["preset"], None, [f"dataset={params['dataset']}", *pairs])


def _days() -> list[date]:
    from pipeline.days import span

    params = get_current_context()["params"]
    return span(params["first_day"], int(params["days"]) + 1)


@contextmanager
def _front_door() -> Iterator[None]:
    """Errors that a retry cannot mend end the task: a person has to act on the sentence."""
    from infra import errors

    try:
        yield
    except (errors.RegistryUnavailable, errors.OrchestrationError):
        raise  # a server that does not answer may answer in twenty seconds
    except errors.DupnError as error:
        if type(error) is errors.StoreError:
            raise  # so may a disk or an object store
        raise AirflowFailException(f"{type(error).__name__}: {error}") from error
