"""The tasks of `dupn_ab_test`: a day of an experiment, from its declaration to its conclusion.

`start` says which experiment; the others take its id from there and the day from the run.
"""

import logging
from collections.abc import Callable
from datetime import date
from typing import Any

from airflow.providers.standard.operators.hitl import ApprovalOperator
from airflow.sdk import BaseOperatorLink, TriggerRule, get_current_context, task
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException
from airflow.sdk.execution_time.xcom import XCom

from dags import callbacks, nightly_stages, running
from dags.running import stage

logger = logging.getLogger(__name__)

PAGE = "page"
"""XCom of `report`: where a browser finds it."""


@stage(task.short_circuit, pool="data")
def start() -> str:
    """Registers the experiment of the Param `declaration`, else finds the one of the day; its id.

    From now on users are split as it says. Without a day the run ends here, and so does that of a
    day before which its experiment had ended.
    """
    from pipeline.abtest import experiments

    context, settings = get_current_context(), running.settings()
    declaration, name = str(context["params"]["declaration"] or "").strip(), ""
    with running.front_door():
        if declaration:
            declared = experiments.declared(declaration)
            if not experiments.was_started(settings.store, declared):
                experiments.start(settings, declared)
            if not running.day_of(context, settings):
                return ""
            name = declared.id
        day = running.day()
        name = name or experiments.of_day(settings.store, day)
        over = "" if name else experiments.over_by(settings.store, day)
    if over:
        logger.info("%s: there is nothing to look at.", over)
        return ""
    if not name:
        raise AirflowFailException(
            f"{day} is no day of an experiment. Declare one, or see `dupn abtest list`."
        )
    return name


@stage(task, pool="data")
def readout() -> None:
    """Events of the day and the day before -> sums per user and arm, and how pages were answered.

    A page counts on the day in which its attribution window closes.
    """
    from pipeline.abtest import looks

    _today(looks.readout)


@stage(task, pool="data")
def verdict() -> str:
    """All days so far -> continue, ship or stop, with every reason; moves nothing."""
    from pipeline.abtest import verdicts

    return str(_today(verdicts.verdict)["outcome"])


@stage(task, pool="data")
def report() -> str:
    """Table 3, the confidence sequence, Figure 10, checks -> a page, logged to MLflow and linked.

    Its address comes back; the button `Report` leads to it.
    """
    from pipeline.abtest import reporting

    made = _today(reporting.write)
    page = _in_mlflow(made["mlflow_run"], made["mlflow_page"]) or made["report"]
    get_current_context()["ti"].xcom_push(key=PAGE, value=page)
    return str(made["report"])


class ReportLink(BaseOperatorLink):
    """The button `Report` of the task."""

    name = "Report"

    def get_link(self, operator: Any, *, ti_key: Any) -> str:
        """What the task has left of its address."""
        del operator
        return str(XCom.get_value(ti_key=ti_key, key=PAGE) or "")


def linked_report() -> Any:
    """The task `report` with its button."""
    made = report()
    made.operator.operator_extra_links = (ReportLink(),)
    return made


class Approval(ApprovalOperator):
    """A person's yes in the UI (Required Actions) to a final verdict, if anybody asks for one."""

    def execute(self, context: Any) -> Any:
        """Ask, or skip."""
        from pipeline.abtest import experiments, verdicts

        found = _today(lambda settings, name, day: experiments.find(settings.store, name))
        outcome = context["ti"].xcom_pull(task_ids="verdict")
        if outcome == "continue" or found.ended is not None:
            raise AirflowSkipException(f"nothing to approve: {outcome}")
        if not (found.experiment.approval or context["params"]["approval"]):
            raise AirflowSkipException("nobody has to be asked: approval is off")
        arms = f"{found.experiment.challenger} against {found.experiment.control}"
        self.subject = f"{found.experiment.id}: {outcome} {arms}?"
        self.body = _today(verdicts.question)
        return super().execute(context)


def approval() -> Approval:
    """Optional: a person says yes or no in the UI; no changes nothing today."""
    return Approval(
        task_id="approval",
        subject="Make the verdict so?",
        doc_md="Asks a person about a final verdict, if the experiment or the Param `approval` "
        "says so: Approve goes on, Reject changes nothing. It has the reasons and the report.",
        pool="data",
    )


# Without a question only `approval` is skipped.
@stage(task, pool="data", trigger_rule=TriggerRule.NONE_FAILED_MIN_ONE_SUCCESS)
def conclude() -> str:
    """A final verdict is made so, through the ledger, and told; any other changes nothing."""
    from pipeline.abtest import verdicts
    from pipeline.nights import alerting

    done = _today(verdicts.conclude)
    if done["moved"]:
        callbacks.say(alerting.concluded(done))
    return str(done["outcome"])


# After a no `conclude` is skipped, and the experiment goes on.
@stage(
    task.short_circuit,
    pool="compute",
    trigger_rule=TriggerRule.NONE_FAILED,
    ignore_downstream_trigger_rules=False,
)
def rival() -> str:
    """The challenger's line learns the night, with its recipe -> the rival's candidate.

    Skipped once the experiment is over, on a day that nothing is learnt from, and on one that the
    line has learnt with a later night.
    """
    return str(_today(_learn)["run"])


def release_of_rival() -> nightly_stages.Release:
    """Its release: judged within its own line, it becomes the challenger's newest version."""
    return nightly_stages.release(learner="rival", named="rival")


def _learn(settings: Any, name: str, day: date) -> Any:
    from infra.errors import QualityFailed
    from pipeline import steps
    from pipeline.abtest import experiments, rivals
    from pipeline.learn import recipes

    found = experiments.find(settings.store, name)
    if found.ended is not None:
        raise AirflowSkipException(f"{name} is over: {found.ended['outcome']}")
    plain = running.plain(get_current_context())
    theirs = recipes.of_line(plain, found.experiment.challenger)
    if why := rivals.learnt_since(theirs, day):
        raise AirflowSkipException(why)
    try:
        return steps.update(theirs, day)
    except QualityFailed as error:
        raise AirflowSkipException(str(error)) from error


def _today(work: Callable[[Any, str, date], Any]) -> Any:
    """What some work makes of the run's settings, experiment and day."""
    settings, day = running.settings(), running.day()
    name = get_current_context()["ti"].xcom_pull(task_ids="start")
    with running.front_door():
        return work(settings, name, day)


def _in_mlflow(run: str, page: str) -> str:
    """A page among the files of an MLflow run, if there is a UI to show it."""
    from pathlib import Path

    from infra import runtime
    from infra.addresses import bare
    from pipeline.release.incumbent import registry_of

    settings = running.settings()
    tracking, server = settings.tracking.uri, ""
    if tracking and runtime.is_server(tracking):
        server = bare(tracking)
    elif settings.store.is_local:
        server = runtime.where(Path(settings.home)).get("mlflow", "")
    if not server:
        return ""
    experiment = registry_of(settings).client.get_run(run).info.experiment_id
    return f"{server}/#/experiments/{experiment}/runs/{run}/artifacts/{page}"
