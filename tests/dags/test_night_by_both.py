"""A night by tasks and one by the command tell people the same, and are recorded as the same.

The steps answer what a test says; everything around them is real, down to what is sent.
"""

from datetime import date, timedelta
from types import SimpleNamespace

import pyarrow as pa
import pytest
from airflow.sdk.exceptions import AirflowFailException

from dags import callbacks, nightly_stages, release_stages, running
from evaluation.gate import Outcome
from infra.alerts import WEBHOOK
from infra.errors import QualityFailed
from pipeline import chain
from pipeline.nights import nightly, workers
from pipeline.nights.outcomes import Learnt
from pipeline.settings import load
from pipeline.upkeep import afterwards
from tests import step_answers

DAY = date(2026, 3, 13)
RUN = f"dupn-{DAY}"
NOTHING = {"run": "", "outcome": Learnt.SKIPPED, "abnormal": "three times the volume", "lost": ""}
KEPT = {"promoted": False, "outcome": Outcome.KEEP_CHAMPION, "failed": ["CTR fell.", "PPP too."]}
WORSE = {"alerts": ["AUC fell.", "PPP too."], "page": ""}


@pytest.fixture
def answers(monkeypatch):
    """What steps answer, but for what a test says."""
    return step_answers.answering(monkeypatch, RUN)


@pytest.fixture
def homes(tmp_path, monkeypatch, hook):
    """One for each way, whose day before is published; whoever is told is told at the webhook."""
    monkeypatch.setenv(WEBHOOK, hook[0])
    monkeypatch.setattr(afterwards, "sentences", lambda _: ["2026-03-02: make it again."])
    made = [load("smoke", str(tmp_path / name), ["dataset=rees46"]) for name in ("tasks", "row")]
    for settings in made:
        for key in (("samples", DAY - timedelta(days=1)), ("raw", DAY, "behaviors")):
            with settings.store.partition(*key).publish() as out:
                out.record([out.write_table("part", pa.table({"x": [1]}))])
    return made


@pytest.fixture
def by_tasks(monkeypatch):
    """Run every task of the night and of its release, as far as Airflow would."""
    params = {"dataset": "rees46", "preset": "smoke", "overrides": "", "day": f"{DAY}"}
    said = {}
    task = {"task_id": "t", "dag_id": "dupn_nightly_update", "run_id": "r", "log_url": ""}
    context = {"dag_run": SimpleNamespace(run_id="r"), "said": said}
    context["ti"] = SimpleNamespace(**task, xcom_pull=lambda task_ids: said[task_ids])
    for module in (running, nightly_stages, release_stages, callbacks):
        monkeypatch.setattr(module, "get_current_context", lambda: context)

    def run(settings, leave_out):
        monkeypatch.setenv("DUPN_HOME", settings.home)
        context["params"] = {**params, "leave_out": leave_out, "run": "", "approval": False}
        for stage in ("events", "quality", "samples", "quality_samples"):
            getattr(nightly_stages, stage).function()
        said["update"] = nightly_stages.update.function()
        if said["update"]:
            context["params"]["run"] = said["update"]
            if release_stages.gate.function():
                release_stages.promote.function()
            release_stages.watch.function()
        nightly_stages.onward.function()

    return run


def told(heard):
    found = [(one["kind"], one["title"], one["text"], one["day"]) for one in heard]
    heard.clear()
    return found


@pytest.mark.parametrize("leave_out", [False, True])
@pytest.mark.parametrize(
    ("other", "outcome", "kinds"),
    [
        ({}, Outcome.PROMOTE, []),
        ({"gate": KEPT, "watch": WORSE}, Outcome.KEEP_CHAMPION, ["gate", "auc", "auc"]),
        ({"gate": KEPT | {"outcome": Outcome.NOT_ENOUGH_EVIDENCE}},
         Outcome.NOT_ENOUGH_EVIDENCE, ["gate"]),
        ({"update": {"lost": "gone.", "abnormal": "odd"}}, Outcome.PROMOTE,
         ["abnormal", "quality"]),
        ({"update": {"outcome": Learnt.FINISHED_BEFORE}}, Outcome.PROMOTE, []),
        ({"update": NOTHING}, Learnt.SKIPPED, ["abnormal"]),
    ],
)  # fmt: skip
def test_both_tell_the_same_and_record_the_same(
    answers, homes, by_tasks, hook, leave_out, other, outcome, kinds
):
    for step, said in other.items():
        answers[step] = answers[step] | said
    if leave_out:  # nothing is learnt then, whatever could be
        answers["quality"] = QualityFailed("too many rejects")
        outcome, kinds = Learnt.LEFT_OUT, ["quality", "quality"]
    by_tasks(homes[0], leave_out)
    by_airflow = told(hook[1])
    assert chain.nightly(homes[1], DAY, leave_out=leave_out)["outcome"] == outcome
    assert told(hook[1]) == by_airflow
    assert [kind for kind, *_ in by_airflow] == [*kinds, "arrived_again"]
    records = [nightly.read(one, DAY) for one in homes]
    assert [one.outcome for one in records] == [outcome, outcome]
    assert [one.run for one in records] == ["r", workers.this()]


def test_of_a_night_that_fails_both_tell_the_kind_and_the_sentence(answers, homes, by_tasks, hook):
    """The title is the task's, or the night's."""
    answers["quality"] = QualityFailed("too many rejects")
    with pytest.raises(AirflowFailException) as failed:
        by_tasks(homes[0], False)
    callbacks.failed(running.get_current_context() | {"exception": failed.value})
    with pytest.raises(QualityFailed):
        chain.nightly(homes[1], DAY)
    for kind, _, text, day in told(hook[1]):
        assert (kind, text.removeprefix("QualityFailed: "), day) == (
            "quality", "too many rejects", f"{DAY}",
        )  # fmt: skip
