"""The tasks of `dupn_nightly_update`: one day of data through the stages, then a release.

The day of a run is the same for every task (`running.day`), so tasks pass nothing on.
"""

import json
from datetime import date, timedelta
from typing import Any

from airflow.providers.standard.operators.trigger_dagrun import TriggerDagRunOperator
from airflow.sdk import PokeReturnValue, TriggerRule, get_current_context, task, timezone
from airflow.sdk.exceptions import (
    AirflowFailException,
    AirflowSkipException,
    DagRunTriggerException,
)

from dags import callbacks, running, schedule
from dags.running import run, stage

RELEASE = "dupn_release"
SHARED = ("dataset", "preset", "overrides", "approval")
"""Params that the release gets from the night."""


@stage(
    task.sensor,
    pool="data",
    mode="reschedule",
    poke_interval=schedule.LOOK_S,
    timeout=timedelta(days=30),  # the deadline and the end of patience are settings (nightly)
)
def raw() -> PokeReturnValue:
    """Waits for its turn and for the raw data of the day; frees its slot between two looks.

    Fails at once while the night before has not ended (and is started again when it has). Past
    `nightly.deadline_hours` an alert says what is missing; past `nightly.give_up_hours` it fails.
    """
    from pipeline import nightly

    context, settings, day = get_current_context(), running.settings(), running.day()
    waited = timezone.utcnow() - (context["dag_run"].start_date or timezone.utcnow())
    with running.front_door():
        nightly.begin(settings, day, context["dag_run"].run_id, _conf(context, day.isoformat()))
        seen = nightly.look(settings, day, waited)
    if seen.late and nightly.first_time_late(settings, day):
        callbacks.tell("late", f"raw data of {day} is late", seen.sentence)
    return PokeReturnValue(is_done=seen.ready, xcom_value=day.isoformat())


@stage(task, pool="data")
def simulate() -> None:
    """The simulated marketplace lives the day -> `raw/` and `truth/`.

    Skipped for any other data set, and if the day is there already.
    """
    settings, day = running.settings(), running.day()
    if settings.dataset != "marketplace":
        raise AirflowSkipException(f"{settings.dataset} is a log of yours: nothing to simulate")
    if settings.store.partition("raw", day, "behaviors").names():
        raise AirflowSkipException(f"{day} is there already")
    run("simulate", first=day, days=1)


@stage(task, pool="data", trigger_rule=TriggerRule.NONE_FAILED)
def events() -> None:
    """Raw rows of the day -> `events/`, canonical and deduplicated; refused rows -> `rejects/`."""
    run("events", day=running.day())


@stage(task, pool="data")
def quality() -> None:
    """Great Expectations over events and catalog; a critical failure stops this night and the next.

    With the Param `leave_out` it does not: what could be read is carried on, unlearnt.
    """
    _judge("events")


@stage(task, pool="data")
def vocabulary() -> None:
    """New ids -> new rows of `vocabulary/` and `catalog/`; old rows stay."""
    run("vocabulary", day=running.day())


@stage(task, pool="data")
def statistics() -> None:
    """Counts, conversions, price quantiles and LR-CTR weights up to the day."""
    run("statistics", day=running.day())


@stage(task, pool="data")
def sequences() -> None:
    """Yesterday's sequences + the day's events -> the last 100 behaviours of every user."""
    run("sequences", day=running.day())


@stage(task, pool="data")
def samples() -> None:
    """Moments whose attribution window closes in the day -> `samples/`, histories before them."""
    run("samples", day=running.day())


@stage(task, pool="data")
def quality_samples() -> None:
    """Great Expectations over the day's samples; a critical failure stops the night."""
    _judge("samples")


@stage(task.short_circuit, pool="compute", ignore_downstream_trigger_rules=False)
def update() -> bool:
    """The champion, trained on what passed quality since its watermark -> the candidate.

    Without a candidate (the day is left out, or abnormal and skipped) there is no release.
    """
    if get_current_context()["params"]["leave_out"]:
        return False
    learnt = run("update", day=running.day())
    if learnt.get("abnormal"):
        callbacks.tell("abnormal", f"{running.day()} is unlike the days before", learnt["abnormal"])
    return bool(learnt["run"])


class Release(TriggerDagRunOperator):
    """A run of `dupn_release` for the night; started again, that very run is cleared."""

    def execute(self, context: Any) -> None:
        """Trigger it with the night's day, candidate and Params."""
        settings, day = running.settings(), running.day().isoformat()
        self.conf = _conf(context, day) | {"run": f"{settings.line}-{day}"}
        self.trigger_run_id = f"night__{day}__{context['run_id']}"
        super().execute(context)


def release() -> Release:
    """Evaluate to watch, in a DAG run of its own that can be looked at and cleared alone."""
    return Release(
        task_id="release",
        trigger_dag_id=RELEASE,
        doc_md="Triggers `dupn_release` with the day and the candidate, and waits for its end.",
        pool="data",
        logical_date=None,
        reset_dag_run=True,
        wait_for_completion=True,
        deferrable=True,
        poke_interval=2,
    )


@stage(task, pool="data", trigger_rule=TriggerRule.NONE_FAILED)
def onward() -> None:
    """The night has ended: its record says so, and a night that waited for it starts again.

    State past its retention is swept.
    """
    from pipeline import nightly

    context, settings, day = get_current_context(), running.settings(), running.day()
    run("sweep", day=day)
    with running.front_door():
        nightly.end(settings, day, _outcome(context, settings, day))
        after, again = nightly.waiting(settings, day), nightly.arrived_again(settings)
    if again:
        callbacks.tell("arrived_again", "raw data changed after its night", " ".join(again))
    if after is None:
        return
    raise DagRunTriggerException(
        trigger_dag_id=context["dag_run"].dag_id,
        dag_run_id=after.run,
        conf=dict(after.conf),
        logical_date=None,
        reset_dag_run=True,
        skip_when_already_exists=False,
        wait_for_completion=False,
        allowed_states=[],
        failed_states=[],
        poke_interval=1,
        deferrable=False,
    )


def _judge(of: str) -> None:
    from infra.errors import QualityFailed
    from pipeline import steps

    try:
        with running.front_door():
            steps.quality(running.settings(), running.day(), of)
    except AirflowFailException as stopped:
        leave_out = get_current_context()["params"]["leave_out"]
        if not (leave_out and isinstance(stopped.__cause__, QualityFailed)):
            raise
        callbacks.tell("quality", f"{running.day()} is left out of what is learnt", str(stopped))


def _outcome(context: Any, settings: Any, day: date) -> str:
    """What the release said, or why there was none."""
    if context["params"]["leave_out"]:
        return "left out"
    verdict = settings.store.get(f"reports/gate/{settings.line}-{day}.json")
    return str(json.loads(verdict)["outcome"]) if verdict else "skipped"


def _conf(context: Any, day: str) -> dict[str, Any]:
    params = context["params"]
    return {"day": day} | {name: params[name] for name in SHARED}
