"""A run of another DAG that a task triggers and waits for, without a slot and not in silence.

Airflow's own operator waits for ever for a run that was deleted, or whose DAG is paused, and no
`execution_timeout` ends that: it does not count while a task is deferred. Only a deferral of our
own has a deadline, so the task is brought back once, as soon as the run is there, and defers anew.
At the deadline it asks for the run's state itself: a triggerer that is away has told it nothing.
"""

from datetime import timedelta
from typing import Any

from airflow.providers.standard.operators.trigger_dagrun import XCOM_RUN_ID, TriggerDagRunOperator
from airflow.providers.standard.triggers.external_task import DagStateTrigger
from airflow.sdk.exceptions import AirflowFailException, TaskDeferralTimeout
from airflow.utils.state import DagRunState

from dags import callbacks

PATIENCE = timedelta(hours=6)
"""After which somebody is told that the run has not ended; then again, and again."""
ENDS = (DagRunState.SUCCESS, DagRunState.FAILED)
GOES_ON = (DagRunState.QUEUED, DagRunState.RUNNING)
LONGEST = 250
"""Characters of a run's id that Airflow's database has room for."""


def called(*parts: str) -> str:
    """The id of a run by its parts, as Airflow takes it: it refuses two points in a row."""
    return "__".join(parts).replace("..", "._")[:LONGEST]


class Awaited(TriggerDagRunOperator):
    """Triggers a run and waits for its end; tells somebody when that takes long."""

    def execute(self, context: Any) -> None:
        """Trigger it, unless it would wait for somebody to unpause its DAG."""
        if context["ti"].get_dag(self.trigger_dag_id).is_paused:
            raise AirflowFailException(
                f"{self.trigger_dag_id} is paused, so no run of it would begin. Unpause it, then "
                "clear this task."
            )
        self.allowed_states = [*ENDS[:1], *GOES_ON]  # whatever it is, the task comes back
        super().execute(context)

    def execute_complete(self, context: Any, event: Any) -> None:
        """Its end; what has only begun is waited for."""
        _, seen = event
        for run in seen["run_ids"]:
            if seen.get(run) in GOES_ON:
                self._wait(run)
        super().execute_complete(context, event)

    def resume_execution(self, next_method: str, next_kwargs: Any, context: Any) -> Any:
        """Called by Airflow when the wait is over, or has lasted for `PATIENCE`."""
        try:
            return super().resume_execution(next_method, next_kwargs, context)
        except TaskDeferralTimeout:
            run = context["ti"].xcom_pull(task_ids=self.task_id, key=XCOM_RUN_ID)
        if not context["ti"].get_dr_count(dag_id=self.trigger_dag_id, run_ids=[run]):
            raise AirflowFailException(
                f"the run {run} of {self.trigger_dag_id} was deleted. Clear this task to have it "
                "done anew."
            )
        state = context["ti"].get_dagrun_state(self.trigger_dag_id, run)
        if state in GOES_ON:
            self._tell(run, context["ti"].dag_id)
        else:
            self.log.warning("%s has ended unheard: is a triggerer running?", run)
        return self.execute_complete(context, ("", {"run_ids": [run], run: state}))

    def _tell(self, run: str, waits: str) -> None:
        hours = PATIENCE.total_seconds() / 3600
        callbacks.tell(
            "late",
            f"{self.trigger_dag_id} has not ended",
            f"{run} is not over after {hours:g} h more, and {waits} waits for it. Look there: a "
            f"person may have to answer (Required Actions), {self.trigger_dag_id} may be paused, "
            "an earlier run of it may not have ended, a task may hang or have no slot. If it ends "
            f"and {waits} waits on, no triggerer is running.",
        )

    def _wait(self, run: str) -> None:
        self.defer(
            trigger=DagStateTrigger(
                dag_id=self.trigger_dag_id,
                states=list(ENDS),
                run_ids=[run],
                poll_interval=self.poke_interval,
            ),
            method_name="execute_complete",
            timeout=PATIENCE,
        )
