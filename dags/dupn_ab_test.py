"""A day of an online experiment: declared, read out, judged, shown, and concluded if it is over.

`dupn_nightly_update` triggers it at the end of every night whose day belongs to the experiment
that runs. Trigger it yourself to declare one: paste the TOML into `declaration` and leave the day
empty. Continue, ship and stop are green runs; ship moves the champion, stop retires the challenger,
both through the ledger. A person is asked first if the experiment or `approval` says so; a no
changes nothing, and the next day asks again. While the experiment goes on, the challenger's line is
updated with its recipe and released, as the champion's was in the night.
"""

from airflow.sdk import chain, dag

from dags import abtest_stages as stages
from dags import running
from dags.params import approval, common, declaration, one_day


@dag(
    schedule=None,
    params={
        **one_day("A day whose night has ended. Empty: the experiment is only registered."),
        **declaration(),
        **common(),
        **approval(),
    },
    max_active_runs=1,
    is_paused_upon_creation=False,  # a night triggers it and does not look back
    **running.DAG,
    description=__doc__.partition("\n")[0],
    doc_md=__doc__,
)
def dupn_ab_test() -> None:
    """Every stage of a look, in its order."""
    report, conclude = stages.linked_report(), stages.conclude()
    chain(stages.start(), stages.readout(), stages.verdict(), report)
    chain(report, stages.approval(), conclude)
    chain(report, conclude, stages.rival(), stages.release_of_rival())


dupn_ab_test()
