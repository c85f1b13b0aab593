"""One day of data, every night: events to samples, an update of the champion, a release.

If the day is one of an experiment's, `dupn_ab_test` is triggered at the end.

One run a data day, oldest first, never two at once. The day of a scheduled run is that in which its
data interval starts; of one that you trigger, it is the Param `day`. Set `DUPN_NIGHTLY_START` (the
first day that has a night) to have it scheduled; without it nothing is, and you trigger each day by
hand or over REST. It is paused at first, and a run of a paused DAG stays queued: unpause it.

`raw` waits for the day's raw data and alerts past the deadline. A night that failed stops those
after it, which need what it leaves: mend the cause, clear the failed task, and they go on by
themselves, oldest first. If a day's data will not get better, trigger the day with `leave_out`.
A gate that keeps the champion is a green night. A past day is made again, with everything after
it, by `dupn_backfill`. On call: docs/operations.md.
"""

from airflow.sdk import chain, dag

from dags import nightly_stages as stages
from dags import running, schedule
from dags.params import approval, common, leave_out, one_day


@dag(
    **schedule.nightly(),
    catchup=True,
    params={
        **one_day(
            "Of data, to learn: the day after the newest of `samples days` in `dupn status`. Empty "
            "only in scheduled runs."
        ),
        **common(),
        **approval(),
        **leave_out(),
    },
    max_active_runs=1,
    **running.DAG,
    description=__doc__.partition("\n")[0],
    doc_md=__doc__,
)
def dupn_nightly_update() -> None:
    """Every stage of a night, in its order."""
    checked, samples = stages.quality(), stages.samples()
    last = [stages.onward(), stages.abtest()]
    chain(stages.raw(), stages.simulate(), stages.events(), checked)
    chain(checked, stages.vocabulary(), stages.statistics(), samples)
    chain(checked, stages.sequences(), samples)  # raw ids: they need no vocabulary
    chain(samples, stages.quality_samples(), stages.update(), stages.release(), last)


dupn_nightly_update()
