"""From a trained candidate to the champion that answers: judged, tried, registered, promoted.

`dupn_nightly_update` triggers it at the end of a night. Trigger it yourself, with the day and the
candidate's run key, to release a model again or to look at one with the question `approval`: a
person then says yes or no in the UI before the champion changes. A gate that keeps the champion,
or a person who does, is a green run; `refresh`, `represent` and `watch` run all the same.
"""

from airflow.sdk import Param, chain, dag

from dags import release_stages as stages
from dags import running
from dags.params import approval, common, one_day

RUN = Param(
    "",
    type=["null", "string"],
    title="Candidate",
    description="Run key, `<line>-<last training day>`. Empty: the update of that day.",
)


@dag(
    schedule=None,
    params={
        **one_day("Judge on this day's moments.", required=True),
        "run": RUN,
        **common(),
        **approval(),
    },
    max_active_runs=1,
    is_paused_upon_creation=False,  # a night waits for its release
    **running.DAG,
    description=__doc__.partition("\n")[0],
    doc_md=__doc__,
)
def dupn_release() -> None:
    """Every stage of a release, in its order."""
    canary, asked, register = stages.canary(), stages.approval(), stages.register()
    chain(stages.evaluate(), stages.bundle(), stages.gate(), canary, asked, register)
    chain(canary, register)
    after = [stages.refresh(), stages.represent(), stages.watch()]
    chain(register, stages.promote(), stages.check(), *after)


dupn_release()
