"""The tasks of `dupn_release`: from a trained candidate to a champion that answers, or a kept one.

The day and the candidate's run key are Params; the steps do the rest.
"""

from typing import Any

from airflow.providers.standard.operators.hitl import ApprovalOperator
from airflow.sdk import TriggerRule, get_current_context, task
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from dags import callbacks, running
from dags.running import run, stage


@stage(task, pool="compute")
def evaluate() -> None:
    """Candidate and champion on moments that neither trained on -> report, logged to MLflow."""
    run("evaluate", **_candidate())


@stage(task, pool="compute")
def bundle() -> None:
    """Candidate + the tables it answers with -> a self-contained model, logged to MLflow."""
    run("bundle", **_candidate())


@stage(task.short_circuit, pool="data", ignore_downstream_trigger_rules=False)
def gate() -> bool:
    """Report -> a verdict with every failed check.

    "Kept the champion" is green: it skips everything up to `check`; an alert says why.
    """
    from pipeline.nights import alerting

    judged = run("gate", **_candidate())
    for words in alerting.of_gate(judged):
        callbacks.say(words)
    return bool(judged["promoted"])


@stage(task, pool="compute", retries=1)
def canary() -> None:
    """The logged model, loaded in a fresh process, answers recorded moments as evaluation did."""
    run("canary", **_candidate())


class Approval(ApprovalOperator):
    """A person's yes in the UI (Required Actions), if the run asks for one; else skipped."""

    def execute(self, context: Any) -> Any:
        """Ask, or skip."""
        if not context["params"]["approval"]:
            raise AirflowSkipException("nobody has to be asked: the Param approval is off")
        from pipeline.release import promotion

        candidate = _candidate()
        self.subject = f"Make {candidate['run']} the champion?"
        with running.front_door():
            self.body = promotion.question(running.settings(), **candidate)
        return super().execute(context)


def approval() -> Approval:
    """Optional: a person says yes or no in the UI; no keeps the champion."""
    return Approval(
        task_id="approval",
        subject="Promote the candidate?",
        doc_md="Asks a person if the Param `approval` is on: Approve goes on, Reject keeps the "
        "champion. The question has the sentences of the gate and the report's address.",
        pool="data",
    )


# After a gate that kept the champion both parents are skipped, and so is this one; without a
# question only `approval` is.
@stage(task, pool="compute", trigger_rule=TriggerRule.NONE_FAILED_MIN_ONE_SUCCESS)
def register() -> None:
    """The logged model -> a version of the registered model `dupn`, and its bundle."""
    run("register", **_candidate())


@stage(task, pool="data")
def promote() -> None:
    """The alias `champion` moves to the new version; the move is entered in `ledger/`."""
    run("promote", **_candidate())


@stage(task, pool="compute", retries=1)
def check() -> None:
    """`models:/dupn@champion` loads and answers what was recorded for it."""
    run("check", **_candidate())


@stage(task, pool="compute", trigger_rule=TriggerRule.NONE_FAILED)
def refresh() -> None:
    """What answers in production is published anew with the tables of the day.

    A champion that was kept would be served with those of its own evaluation for ever.
    """
    run("refresh", day=running.day())


@stage(task, pool="compute", trigger_rule=TriggerRule.NONE_FAILED)
def represent() -> None:
    """The champion's 256 numbers of every user of the day -> `representations/`."""
    run("represent", day=running.day())


@stage(task, pool="compute", trigger_rule=TriggerRule.NONE_FAILED)
def watch() -> None:
    """How the champion does on the day, night after night -> figures, the page of nights, MLflow.

    Runs after a kept champion too; an alert says when its AUC drops.
    """
    from pipeline.nights import alerting

    for words in alerting.of_watch(running.day(), run("watch", **_candidate())):
        callbacks.say(words)


def _candidate() -> dict[str, Any]:
    """The day to judge on, and the run key of the form; else that of the day's own update."""
    from infra import run_key

    day, given = running.day(), get_current_context()["params"]["run"]
    if given:
        return {"day": day, "run": given}
    settings = running.settings()
    key = run_key.of(settings.line, day)
    if not settings.store.partition("checkpoints", None, key, "final").exists():
        raise AirflowFailException(
            f"line {settings.line} has no update of {day} (checkpoints/{key}/final is not "
            f"published). Name the candidate in the Param run; "
            f"`ls {settings.store.address('checkpoints')}` shows the keys."
        )
    return {"day": day, "run": key}
