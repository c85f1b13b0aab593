"""Past days made again from their raw data, and everything after them that was built on them.

For data that arrived late, twice or corrected (`dupn status` names such days). `plan` says what
may be redone and which models have learnt from the day, before anything is; with `only_plan` the
run ends there. What comes out as it was is left alone. Models keep what they have learnt. Let no
night run at the same time: pause `dupn_nightly_update` first.
"""

from airflow.sdk import Param, chain, dag

from dags import backfill_stages as stages
from dags import running
from dags.params import common, one_day

ONLY_PLAN = Param(
    True,
    type="boolean",
    title="Only say what would be redone",
    description="Change nothing: the plan is in the log of the task `plan`. Untick it to redo.",
)
LAST = Param(
    None,
    type=["null", "string"],
    format="date",
    title="To",
    description="The last day of a range that is read again. Empty: `Day` alone.",
)


@dag(
    schedule=None,
    params={
        **one_day("The past day to publish again, or the first of several.", required=True),
        "last": LAST,
        "only_plan": ONLY_PLAN,
        **common(),
    },
    max_active_runs=1,
    is_paused_upon_creation=False,  # only a trigger starts it, and is not left queued
    **running.DAG,
    description=__doc__.partition("\n")[0],
    doc_md=__doc__,
)
def dupn_backfill() -> None:
    """Say it, then do it."""
    chain(stages.plan(), stages.backfill())


dupn_backfill()
