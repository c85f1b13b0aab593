"""The tasks of `dupn_nightly_update`: one day of data through the stages, then a release.

The day of a run is the same for every task (`running.day`), so tasks pass nothing on.
"""

from datetime import timedelta
from typing import Any

from airflow.providers.standard.operators.trigger_dagrun import TriggerDagRunOperator
from airflow.sdk import PokeReturnValue, TriggerRule, get_current_context, task, timezone
from airflow.sdk.exceptions import AirflowSkipException, DagRunTriggerException

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

    The rows that were read correctly are in `events/` all the same: mark this task as success to go
    on with them; the day is then carried into the sequences but not trained on.
    """
    run("quality", day=running.day(), of="events")


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
    run("quality", day=running.day(), of="samples")


@stage(task, pool="compute")
def update() -> None:
    """The champion, trained on what passed quality since its watermark -> the candidate."""
    run("update", day=running.day())


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


@stage(task, pool="data")
def onward() -> None:
    """The night has ended: its record says so, and a night that waited for it starts again.

    State past its retention is swept.
    """
    from pipeline import nightly

    context, settings, day = get_current_context(), running.settings(), running.day()
    run("sweep", day=day)
    with running.front_door():
        nightly.end(settings, day)
        after = nightly.waiting(settings, day)
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


def _conf(context: Any, day: str) -> dict[str, Any]:
    params = context["params"]
    return {"day": day} | {name: params[name] for name in SHARED}
