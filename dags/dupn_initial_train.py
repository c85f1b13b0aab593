"""From a raw log to a registered champion, for the first time.

Trigger it with the form: a data set (the simulated marketplace, or your log by the absolute path of
its description, with its `files` by absolute paths and `replace` as `--replace`), the first day,
how many days to train on (the day after them is the one to evaluate on), a preset. `events`,
`quality` and `quality_samples` have a task a day, side by side; the stages between them build each
day on the one before. A run may be repeated: every stage replaces what it made before. If the gate
lets nobody through, the run is green, nothing is registered, and an alert says why.
"""

from airflow.sdk import Param, chain, dag

from dags import running, stages
from dags.params import common, imported

PARAMS = {
    **common(),
    "first_day": Param(
        "2026-03-02",
        type="string",
        format="date",
        title="First day",
        description="Of those to train on. 2026-03-02 is the simulated one's: write your log's.",
    ),
    "days": Param(
        10,
        type="integer",
        minimum=1,
        maximum=stages.MOST,
        title="Days to train on",
        description="The day after them is judged on, so the log must have one more. More than "
        f"{stages.MOST}: `AIRFLOW__CORE__MAX_MAP_LENGTH`, or the command `dupn run initial`.",
    ),
    **imported(),
}


@dag(
    schedule=None,
    params=PARAMS,
    max_active_runs=1,
    is_paused_upon_creation=False,  # only a trigger starts it, and is not left queued
    **running.DAG,
    description=__doc__.partition("\n")[0],
    doc_md=__doc__,
)
def dupn_initial_train() -> None:
    """Every stage of the flow, in its order."""
    days = stages.days()
    checked = stages.quality.expand(day=days)
    samples = stages.samples(days)
    chain([stages.import_log(), stages.simulate()], days, stages.events.expand(day=days), checked)
    chain(checked, stages.vocabulary(days), stages.statistics(days), samples)
    chain(checked, stages.sequences(days), samples)  # raw ids: they need no vocabulary
    trained = [stages.quality_samples.expand(day=days), stages.train(days)]
    chain(samples, *trained, *stages.release(days))


dupn_initial_train()
