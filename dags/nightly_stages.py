"""The tasks of `dupn_nightly_update`: a day of data through the stages, a release, an experiment.

The day of a run is the same for every task (`running.day`), so tasks pass nothing on.
"""

import json
import logging
from datetime import timedelta
from typing import Any

from airflow.providers.standard.operators.trigger_dagrun import TriggerDagRunOperator
from airflow.sdk import PokeReturnValue, TriggerRule, get_current_context, task, timezone
from airflow.sdk.exceptions import (
    AirflowException,
    AirflowFailException,
    AirflowSkipException,
    DagRunTriggerException,
)

from dags import callbacks, running, schedule, silence
from dags.awaited import Awaited, called
from dags.running import run, stage

logger = logging.getLogger(__name__)

RELEASE, AB_TEST = "dupn_release", "dupn_ab_test"
SHARED = ("dataset", "preset", "overrides", "approval")
"""Params that the runs which a night triggers get from it."""


@stage(
    task.sensor,
    pool="data",
    mode="reschedule",
    poke_interval=schedule.LOOK_S,
    timeout=timedelta(days=30),  # the deadline and the end of patience are settings (nightly)
)
def raw() -> PokeReturnValue:
    """Waits for its turn and for the raw data of the day; frees its slot between two looks.

    Its log says at each look what is there and what is missing. Fails at once while the night
    before has not ended (and is started again when it has), and in a home of another data set.
    Past `nightly.deadline_hours` an alert says what is missing; past `nightly.give_up_hours` it
    fails. A look that the store or MLflow does not answer is one of waiting, too.
    """
    from infra.errors import RegistryUnavailable, StoreError

    context = get_current_context()
    waited = timezone.utcnow() - (context["dag_run"].start_date or timezone.utcnow())
    try:
        return _look(waited)
    except (OSError, RegistryUnavailable, StoreError) as error:  # what `front_door` lets through
        return _unanswered(context, waited, error)


@stage(task, pool="data")
def simulate() -> None:
    """The simulated marketplace lives the day -> `raw/` and `truth/`.

    Skipped for any other data set, if the day is there already, and after a day that somebody sent.
    """
    from pipeline.raw import simulated_days

    settings, day = running.settings(), running.day()
    if settings.dataset != "marketplace":
        raise AirflowSkipException(f"{settings.dataset} is a log of yours: nothing to simulate")
    if not simulated_days.is_next(settings, day):
        raise AirflowSkipException(f"{day} is there already, or follows a day that somebody sent")
    run("simulate", first=day, days=1)


@stage(task, pool="data", trigger_rule=TriggerRule.NONE_FAILED)
def events() -> None:
    """Raw rows of the day -> `events/`, canonical and deduplicated; refused rows -> `rejects/`.

    Cleared without `raw`, it takes the turn as `raw` does: a day that a later night was built on is
    not changed here.
    """
    _take_turn()
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
def update() -> str:
    """The promoted version of the line, trained on what it has not learnt -> the candidate.

    Without a candidate (the day is left out, or abnormal and skipped) there is no release.
    """
    from pipeline.nights import conduct

    context, day = get_current_context(), running.day()
    out = bool(context["params"]["leave_out"])
    running.settings()  # refuses a run that is not admitted
    with running.front_door():
        learnt = conduct.learn(running.plain(context), day, callbacks.say, leave_out=out)
    return str(learnt["run"])


class Release(Awaited):
    """A run of `dupn_release` for what a task has learnt; started again, that very run is cleared.

    Another candidate has a run of its own: a run that Airflow clears keeps the Params it had.

    Args:
        learner: the task that gives the candidate's run key.
        named: what the run is called by, before the candidate's run key.
    """

    def __init__(self, *, learner: str, named: str, **options: Any) -> None:
        super().__init__(**options)
        self.learner, self.named = learner, named

    def execute(self, context: Any) -> None:
        """Trigger it with the run's day, candidate, the candidate's line and Params."""
        from infra import run_key

        key = context["ti"].xcom_pull(task_ids=self.learner)
        if not key:
            raise AirflowFailException(
                f"`{self.learner}` has left no run key, as where a person marked it as success. "
                "Clear it and what lies after it."
            )
        conf = _conf(context, running.day().isoformat())
        line = json.dumps(run_key.line(key))  # in quotes: a line may be called 2026
        overrides = f"{conf['overrides'] or ''}\nline={line}".strip()
        self.conf = conf | {"run": key, "overrides": overrides}
        self.trigger_run_id = called(self.named, key, context["run_id"])
        super().execute(context)

    def execute_complete(self, context: Any, event: Any) -> None:
        """Its end; one that failed is for a person to mend, and not to be started all over."""
        try:
            super().execute_complete(context, event)
        except AirflowException as failed:
            raise AirflowFailException(
                f"{failed}. Clear the task that failed there; when that run is green, mark "
                "`release` here as success and clear what lies after it."
            ) from failed


def release(learner: str = "update", named: str = "night") -> Release:
    """Evaluate to watch, in a DAG run of its own that can be looked at and cleared alone."""
    return Release(
        learner=learner,
        named=named,
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


class Abtest(TriggerDagRunOperator):
    """A run of `dupn_ab_test` for the night's day; skipped if it is no day of an experiment."""

    def execute(self, context: Any) -> None:
        """Trigger it and go on: no night waits for it, or fails because of it."""
        from infra.errors import DupnError
        from pipeline.abtest import experiments
        from pipeline.nights import alerting

        day = running.day()
        try:
            found = experiments.of_day(running.settings().store, day)
        except DupnError as error:
            callbacks.say(alerting.unlooked(day, str(error)))
            found = ""
        if not found:
            raise AirflowSkipException(f"{day} is no day of an experiment")
        self.conf = _conf(context, day.isoformat())
        self.trigger_run_id = called("night", str(day), context["run_id"])
        super().execute(context)


def abtest() -> Abtest:
    """The day's look at the experiment, if one runs, in a DAG run of its own."""
    return Abtest(
        task_id="abtest",
        trigger_dag_id=AB_TEST,
        doc_md="Triggers `dupn_ab_test` with the day, if an experiment runs, and does not wait.",
        pool="data",
        logical_date=None,
        reset_dag_run=True,
        trigger_rule=TriggerRule.NONE_FAILED,
    )


@stage(task, pool="data", trigger_rule=TriggerRule.NONE_FAILED)
def onward() -> None:
    """The night has ended: its record says so, and a night that waited for it starts again.

    State past its retention is swept.
    """
    from pipeline.nights import conduct, outcomes

    context, settings, day = get_current_context(), running.settings(), running.day()
    run("sweep", day=day)
    out = bool(context["params"]["leave_out"])
    learnt = "" if out else context["ti"].xcom_pull(task_ids="update") or ""
    with running.front_door():
        outcome = outcomes.of(settings.store, learnt, leave_out=out)
        after = conduct.close(settings, day, context["dag_run"].run_id, outcome, callbacks.say)
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


def _look(waited: timedelta) -> PokeReturnValue:
    from pipeline.nights import alerting, nightly

    settings, day = running.settings(), running.day()
    _take_turn()
    with running.front_door():
        seen = nightly.look(settings, day, waited)
        logger.info("%s", seen.sentence)
        if seen.late:
            words = alerting.late(day, seen.sentence)
            nightly.tell_late(settings, day, lambda: callbacks.say(words))
    return PokeReturnValue(is_done=seen.ready, xcom_value=day.isoformat())


def _unanswered(context: Any, waited: timedelta, error: Exception) -> PokeReturnValue:
    """Wait on: Airflow counts a look that fails as a try, and a night of many looks has three.

    Somebody is told some minutes after the silence began, as it may be for a person to mend; of one
    that goes on past the deadline again, about once an hour.
    """
    settings, now = running.plain(context), timezone.utcnow()
    if waited >= timedelta(hours=settings.nightly.give_up_hours):
        raise error
    logger.warning("%s: %s The night waits on.", type(error).__name__, error)
    late = waited >= timedelta(hours=settings.nightly.deadline_hours)
    found = silence.of_this_look(context)
    if found.is_to_be_told(now, again=late):
        title = f"nobody can look for the raw data of {running.day_of(context, settings)}"
        if callbacks.tell("late", title, str(error)):
            found = found.after_telling(now)
    silence.keep(context, found)
    return PokeReturnValue(is_done=False)


def _take_turn() -> None:
    """Harmless for who has it."""
    from pipeline.learn import recipes
    from pipeline.nights import nightly

    context, settings, day = get_current_context(), running.settings(), running.day()
    again = _conf(context, day.isoformat()) | {"leave_out": context["params"]["leave_out"]}
    with running.front_door():
        recipes.require_updated(settings)
        nightly.begin(settings, day, context["dag_run"].run_id, again)


def _judge(of: str) -> None:
    from pipeline.nights import conduct

    settings, day = running.settings(), running.day()
    out = bool(get_current_context()["params"]["leave_out"])
    with running.front_door():
        conduct.judge(settings, day, of, callbacks.say, leave_out=out)


def _conf(context: Any, day: str) -> dict[str, Any]:
    params = context["params"]
    return {"day": day} | {name: params[name] for name in SHARED}
