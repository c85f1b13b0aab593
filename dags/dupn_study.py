"""The paper's experiments (Section 6): every cell of a study a task, then the report.

Trigger it with the form. `table2`: nine networks, each task alone. `letter`: the paper's own heads
beside ours. `multitask`: one task or all together (Figure 6). `transfer`: four ways to a new task
(Figure 7). `attention`: where the network looks (Figures 8 and 9). `excerpts`: beside DIN and DIEN
on real logs. `drift`: frozen, nightly, retrained. `abtest`: Table 3 in twin worlds. A full study
takes hours; a finished cell is never run again, so a run may be stopped and triggered anew. MLflow
holds a run for the study, and one inside it for every cell.
"""

from airflow.sdk import Param, chain, dag

from dags import running
from dags import study_stages as stages
from dags.params import common

STUDIES = ["table2", "letter", "multitask", "transfer", "attention", "excerpts", "drift", "abtest"]
PARAMS = {
    "study": Param(
        "table2",
        type="string",
        enum=STUDIES,
        title="Study",
        description="Which of the paper's experiments.",
    ),
    "seeds": Param(
        5, type="integer", minimum=1, title="Seeds", description="Worlds: the seeds 1, 2, ..."
    ),
    "quick": Param(
        False, type="boolean", title="Quick", description="A size that only shows that it runs."
    ),
    **common(),
    "preset": Param(
        None,
        type=["null", "string"],
        title="Preset",
        description="Empty: the preset that the study is made for.",
    ),
}
del PARAMS["dataset"]  # a study says itself what it runs on


@dag(
    schedule=None,
    params=PARAMS,
    max_active_runs=1,
    is_paused_upon_creation=False,  # only a trigger starts it, and is not left queued
    **running.DAG,
    description=__doc__.partition("\n")[0],
    doc_md=__doc__,
)
def dupn_study() -> None:
    """Stages one after the other, the cells of a stage side by side."""
    pairs = [stages.of_stage(place) for place in range(stages.STAGES)]
    chain(*(task for pair in pairs for task in pair), stages.report())


dupn_study()
