"""The tasks of `dupn_initial_train`, one per stage; the DAG file only puts them in order.

Tasks pass keys (a list of days), never data. `dags/running.py` is what every task does around its
one step.
"""

from datetime import date
from pathlib import Path
from typing import Any

from airflow.sdk import TriggerRule, get_current_context, task
from airflow.sdk.exceptions import AirflowSkipException

from dags import callbacks, running
from dags.running import run, stage
from pipeline.days import LONGEST

BY_DAY = "{{ task.op_kwargs['day'] }}"
"""What the grid writes on a mapped task."""
MOST = min(LONGEST, running.MAPPED - 1)
"""Days to train on: they and the one to evaluate on have a task each."""


@stage(task, task_id="import", pool="data")
def import_log() -> None:
    """Files of the Param `files` -> `raw/` by arrival day, as received. Skipped without files.

    With the Param `replace` also over days that hold rows of other files. A form does not read the
    worker's own files (`pipeline.form.check_files`), nor does an error quote one that it names.
    """
    from features.raw.dataset import load
    from features.raw.quoting import unquoted
    from pipeline import form

    params, settings = get_current_context()["params"], running.settings()
    files = form.lines(params["files"] or [])
    if not files:
        raise AirflowSkipException("no files were given: raw/ is used as it stands")
    with running.front_door():
        form.check_files(files, load(settings.dataset).tables(), settings.home)
    with unquoted():
        run(
            "import_log",
            dataset=settings.dataset,
            files=[*map(Path, files)],
            replace=params["replace"],
        )


@stage(task, pool="data")
def simulate() -> None:
    """The simulated marketplace lives the missing days of the run -> `raw/` and `truth/`.

    Skipped for any other data set, if the days are there already, and beside days of a real log.
    """
    from pipeline.raw import simulated_days

    settings = running.settings()
    if settings.dataset != "marketplace":
        raise AirflowSkipException(f"{settings.dataset} is a log of yours: nothing to simulate")
    stretches = simulated_days.stretches(settings, _days())
    if not stretches:
        raise AirflowSkipException("the days are there already, or they are those of a real log")
    for first, days in stretches:
        run("simulate", first=first, days=days)


@stage(task, pool="data", trigger_rule=TriggerRule.NONE_FAILED)
def days() -> list[str]:
    """The days of the run, oldest first: those to train on, and the one after to evaluate on.

    Fails before any work is done: naming the first day without raw behaviours, what is wrong with
    MLflow, which is needed at the end, or who has learnt the day to evaluate on.
    """
    from pipeline import steps

    wanted = _days()
    with running.front_door():
        return [
            day.isoformat() for day in steps.data_days(running.settings(), wanted[0], wanted[-1])
        ]


@stage(task, pool="data", map_index_template=BY_DAY)
def events(day: str) -> None:
    """Raw rows of a day -> `events/`, canonical and deduplicated; refused rows -> `rejects/`."""
    run("events", day=date.fromisoformat(day))


@stage(task, pool="data", map_index_template=BY_DAY)
def quality(day: str) -> None:
    """Great Expectations over a day of events and catalog; a critical failure stops the run."""
    run("quality", day=date.fromisoformat(day), of="events")


@stage(task, pool="data")
def vocabulary(days: list[str]) -> None:
    """Ids -> rows of `vocabulary/` and `catalog/`, append-only, day after day.

    Between two days it brings `statistics/` on too: the catalog of a day takes its statistic tags
    and price edges from the statistics of the day before, and those count by catalog rows.
    """
    for position, day in enumerate(days):
        if position:
            run("statistics", day=date.fromisoformat(days[position - 1]))
        run("vocabulary", day=date.fromisoformat(day))


@stage(task, pool="data")
def statistics(days: list[str]) -> None:
    """Counts, conversions, price quantiles and LR-CTR weights up to the last day."""
    run("statistics", day=date.fromisoformat(days[-1]))


@stage(task, pool="data")
def sequences(days: list[str]) -> None:
    """Yesterday's sequences + a day's events -> the last 100 behaviours of every user."""
    for day in days:
        run("sequences", day=date.fromisoformat(day))


@stage(task, pool="data")
def samples(days: list[str]) -> None:
    """Moments whose attribution window closes in a day -> `samples/`, histories strictly before."""
    for day in days:
        run("samples", day=date.fromisoformat(day))


@stage(task, pool="data", map_index_template=BY_DAY)
def quality_samples(day: str) -> None:
    """Great Expectations over a day of samples; a critical failure stops the run."""
    run("quality", day=date.fromisoformat(day), of="samples")


@stage(task, pool="compute")
def train(days: list[str]) -> None:
    """The network on all days but the last -> `checkpoints/` and an MLflow run (the candidate)."""
    *training, _ = days
    run("train", until=date.fromisoformat(training[-1]), days=len(training))


@stage(task, pool="compute")
def evaluate(days: list[str]) -> None:
    """The candidate on the day after, beside yardsticks and ceiling -> report, logged to MLflow."""
    run("evaluate", **_judged(days))


@stage(task, pool="compute")
def bundle(days: list[str]) -> None:
    """Candidate + the tables it answers with -> a self-contained model, logged to MLflow."""
    run("bundle", **_judged(days))


@stage(task.short_circuit, pool="data")
def gate(days: list[str]) -> bool:
    """Report -> a verdict with every failed check.

    "Kept the champion" is green: it skips the rest; an alert says why.
    """
    from pipeline.nights import alerting

    judged = run("gate", **_judged(days))
    for words in alerting.of_gate(judged):
        callbacks.say(words)
    return bool(judged["promoted"])


@stage(task, pool="compute", retries=1)
def canary(days: list[str]) -> None:
    """The logged model, loaded in a fresh process, answers recorded moments as evaluation did."""
    run("canary", **_judged(days))


@stage(task, pool="compute")
def register(days: list[str]) -> None:
    """The logged model -> a version of the registered model `dupn`, and its bundle."""
    run("register", **_judged(days))


@stage(task, pool="data")
def promote(days: list[str]) -> None:
    """The alias `champion` moves to the new version; the move is entered in `ledger/`."""
    run("promote", **_judged(days))


@stage(task, pool="compute", retries=1)
def check(days: list[str]) -> None:
    """`models:/dupn@champion` loads and answers what was recorded for it."""
    run("check", **_judged(days))


def release(days: list[str]) -> list[Any]:
    """The tasks between a trained candidate and a champion that answers, to be chained."""
    order = (evaluate, bundle, gate, canary, register, promote, check)
    return [step(days) for step in order]


def _judged(days: list[str]) -> dict[str, Any]:
    """The day to judge on, and the key of the model that was trained on the days before it."""
    from infra import run_key

    key = run_key.of(running.settings().line, date.fromisoformat(days[-2]))
    return {"day": date.fromisoformat(days[-1]), "run": key}


def _days() -> list[date]:
    from pipeline.days import span

    params = get_current_context()["params"]
    with running.front_door():
        return span(params["first_day"], int(params["days"]) + 1)
