"""What people are told of a night or a first training by the command.

That a night in Airflow tells the same: tests/dags/test_night_by_both.py.
"""

from datetime import date, timedelta

import pyarrow as pa
import pytest

from evaluation.gate import Outcome
from infra import alerts
from infra.errors import OutOfTurn, QualityFailed, StoreError
from pipeline import chain, steps
from pipeline.nights import alerting, nightly
from pipeline.nights.outcomes import Learnt
from pipeline.settings import load
from pipeline.upkeep import afterwards
from tests import step_answers

DAY = date(2026, 3, 13)
RUN = f"dupn-{DAY}"


@pytest.fixture
def told(monkeypatch):
    """Kind, title and text of each alert."""
    found = []
    monkeypatch.setattr(
        alerts, "send", lambda one, _: found.append((one.kind, one.title, one.text))
    )
    return found


@pytest.fixture
def settings(tmp_path):
    """A home whose day before is published."""
    settings = load("smoke", str(tmp_path), ["dataset=rees46"])
    for key in (("samples", DAY.replace(day=12)), ("raw", DAY, "behaviors")):
        with settings.store.partition(*key).publish() as out:
            out.record([out.write_table("part", pa.table({"x": [1]}))])
    return settings


@pytest.fixture
def answers(monkeypatch):
    """What steps answer, but for what a test says: the gate keeps the champion."""
    said = step_answers.answering(monkeypatch, RUN)
    said["gate"] |= {
        "promoted": False, "outcome": Outcome.KEEP_CHAMPION, "failed": ["CTR fell."],
    }  # fmt: skip
    return said


def test_a_candidate_that_was_kept_out_an_odd_day_and_a_worse_champion(
    settings, answers, told, monkeypatch
):
    monkeypatch.setattr(afterwards, "sentences", lambda _: [f"{DAY}: make it again."])
    answers["update"] |= {"abnormal": "three times the volume"}
    answers["watch"] |= {"alerts": ["AUC fell."]}
    assert chain.nightly(settings, DAY)["auc_alerts"] == ["AUC fell."]
    assert told == [
        ("abnormal", f"{DAY} is unlike the days before", "three times the volume"),
        (
            "gate",
            f"the gate kept the champion dupn-2026-03-12 on {DAY} (keep the champion)",
            f"{RUN}: CTR fell.",
        ),
        ("auc", f"watch {DAY}", "AUC fell."),
        ("arrived_again", "what nights were made of has changed", f"{DAY}: make it again."),
    ]


def test_a_rivals_candidate_that_was_kept_out_leaves_the_challenger_in_place(settings, answers):
    answers["gate"] |= {"role": "challenger", "champion": "wide-2026-03-12"}
    judged = steps.gate(settings, DAY, f"wide-{DAY}")
    title = f"the gate kept the challenger wide-2026-03-12 on {DAY} (keep the challenger)"
    assert list(alerting.of_gate(judged)) == [("gate", title, f"wide-{DAY}: CTR fell.")]


def test_days_whose_samples_are_gone_in_the_nights_answer_too(settings, answers, told):
    gone = {"2026-03-11": "gone", "2026-03-12": "x"}
    answers["update"] |= {"left_out": gone, "lost": "2026-03-11: gone."}
    assert chain.nightly(settings, DAY)["left_out"] == gone
    title = f"the night of {DAY} left days out of what is learnt"
    assert told[0] == ("quality", title, "2026-03-11: gone.")


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (QualityFailed("too many rejects"), "quality"),
        (OutOfTurn("an older one comes first"), "out_of_turn"),
        (StoreError("the disk is full"), "failed"),
        (OSError("No space left on device"), "failed"),
    ],
)
def test_a_night_that_failed(settings, answers, told, error, kind):
    answers["quality"] = error
    with pytest.raises(type(error)):
        chain.nightly(settings, DAY)
    assert told == [(kind, f"the night of {DAY} failed", str(error))]


def test_a_first_training_that_failed_and_one_that_is_let_through_by_nobody(
    settings, answers, told, monkeypatch
):
    monkeypatch.setattr(steps, "data_days", lambda *_: [DAY])
    monkeypatch.setattr(steps, "train", lambda *_: {})
    first = DAY - timedelta(days=2)
    answers["gate"] |= {"champion": "", "role": "", "outcome": Outcome.REFUSE}
    assert chain.initial(settings, first, 2)["outcome"] == Outcome.REFUSE
    title = f"the gate let no first model through on {DAY} (refuse)"
    assert told == [("gate", title, "dupn-2026-03-12: CTR fell.")]
    answers["quality"] = StoreError("the disk is full")
    with pytest.raises(StoreError):
        chain.initial(settings, first, 2)
    assert told[1:] == [("failed", f"the initial training from {first} failed", "the disk is full")]


def test_a_day_that_is_left_out_since_it_failed_quality(settings, answers, told):
    answers["quality"] = QualityFailed("too many rejects")
    assert chain.nightly(settings, DAY, leave_out=True)["outcome"] == Learnt.LEFT_OUT
    left_out = ("quality", f"{DAY} is left out of what is learnt", "too many rejects")
    assert told == [left_out] * 2  # events and samples


def test_a_night_ends_well_over_a_manifest_that_no_stage_read(settings, answers, told):
    with settings.store.partition("events", DAY, "behaviors").publish() as out:
        out.record([out.write_table("part", pa.table({"x": [1]}))])
    settings.store.put(f"events/dt={DAY}/behaviors/_manifest.json", b"")
    chain.nightly(settings, DAY)
    kind, _, text = told[-1]
    assert kind == "arrived_again"
    assert f"events/dt={DAY}/behaviors/_manifest.json cannot be read" in text
    assert nightly.read(settings, DAY).state == "ended"
