"""A night or a first training by the command tells people what one in Airflow does."""

from datetime import date, timedelta

import pyarrow as pa
import pytest

from infra import alerts
from infra.errors import OutOfTurn, QualityFailed, StoreError
from pipeline import chain, steps
from pipeline.nights import nightly
from pipeline.settings import load
from pipeline.upkeep import afterwards

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
def settings(tmp_path, monkeypatch):
    """A home whose day before is published, and stages that do nothing."""
    settings = load("smoke", str(tmp_path), ["dataset=rees46"])
    for key in (("samples", DAY.replace(day=12)), ("raw", DAY, "behaviors")):
        with settings.store.partition(*key).publish() as out:
            out.record([out.write_table("part", pa.table({"x": [1]}))])
    monkeypatch.setattr(chain, "_data", lambda *_: iter(()))
    learnt = {"run": RUN, "outcome": "updated", "abnormal": "three times the volume"}
    verdict = {"promoted": False, "day": str(DAY), "outcome": "kept", "failed": ["CTR fell."]}
    verdict["champion"] = "dupn-2026-03-12"
    answers = {"update": learnt, "refresh": {}, "represent": {}, "sweep": {}}
    answers["watch"] = {"alerts": ["AUC fell."], "page": ""}
    for step, answer in answers.items():
        monkeypatch.setattr(steps, step, lambda *_, answer=answer, **__: answer)
    monkeypatch.setattr(chain, "_release", lambda *_: verdict)
    monkeypatch.setattr(chain.recipes, "tonight", lambda settings: settings)
    return settings


def failing(error):
    def work():
        raise error

    return lambda *_: iter([work])


def test_a_candidate_that_was_kept_out_an_odd_day_and_a_worse_champion(settings, told, monkeypatch):
    monkeypatch.setattr(afterwards, "sentences", lambda _: [f"{DAY}: make it again."])
    assert chain.nightly(settings, DAY)["auc_alerts"] == ["AUC fell."]
    assert told == [
        ("abnormal", f"{DAY} is unlike the days before", "three times the volume"),
        ("gate", f"the gate kept the champion on {DAY} (kept)", "CTR fell."),
        ("auc", f"watch {DAY}", "AUC fell."),
        ("arrived_again", "what nights were made of has changed", f"{DAY}: make it again."),
    ]


def test_days_whose_samples_are_gone_in_the_nights_answer_too(settings, told, monkeypatch):
    learnt = {
        "run": "",
        "outcome": "updated",
        "left_out": {"2026-03-11": "gone", "2026-03-12": "x"},
    }
    monkeypatch.setattr(steps, "update", lambda *_: {**learnt, "lost": "2026-03-11: gone."})
    assert chain.nightly(settings, DAY)["left_out"] == learnt["left_out"]
    title = f"the night of {DAY} left days out of what is learnt"
    assert told == [("quality", title, "2026-03-11: gone.")]


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (QualityFailed("too many rejects"), "quality"),
        (OutOfTurn("an older one comes first"), "out_of_turn"),
        (StoreError("the disk is full"), "failed"),
        (OSError("No space left on device"), "failed"),
    ],
)
def test_a_night_that_failed(settings, told, monkeypatch, error, kind):
    monkeypatch.setattr(chain, "_data", failing(error))
    with pytest.raises(type(error)):
        chain.nightly(settings, DAY)
    assert told == [(kind, f"the night of {DAY} failed", str(error))]


def test_a_first_training_that_failed_and_one_that_is_let_through_by_nobody(
    settings, told, monkeypatch
):
    monkeypatch.setattr(steps, "data_days", lambda *_: [DAY])
    monkeypatch.setattr(steps, "train", lambda *_: {})
    first = DAY - timedelta(days=2)
    verdict = {**chain._release(), "champion": None, "outcome": "fail"}
    monkeypatch.setattr(chain, "_release", lambda *_: verdict)
    assert chain.initial(settings, first, 2) == verdict
    assert told == [("gate", f"the gate let no first model through on {DAY} (fail)", "CTR fell.")]
    monkeypatch.setattr(chain, "_data", failing(StoreError("the disk is full")))
    with pytest.raises(StoreError):
        chain.initial(settings, first, 2)
    assert told[1:] == [("failed", f"the initial training from {first} failed", "the disk is full")]


def test_a_day_that_is_left_out_since_it_failed_quality(settings, told, monkeypatch):
    monkeypatch.setattr(chain, "_data", failing(QualityFailed("too many rejects")))
    assert chain.nightly(settings, DAY, leave_out=True)["outcome"] == "left out"
    assert told == [("quality", f"{DAY} is left out of what is learnt", "too many rejects")]


def test_a_night_ends_well_over_a_manifest_that_no_stage_read(settings, told):
    with settings.store.partition("events", DAY, "behaviors").publish() as out:
        out.record([out.write_table("part", pa.table({"x": [1]}))])
    settings.store.put(f"events/dt={DAY}/behaviors/_manifest.json", b"")
    chain.nightly(settings, DAY)
    kind, _, text = told[-1]
    assert kind == "arrived_again"
    assert f"events/dt={DAY}/behaviors/_manifest.json cannot be read" in text
    assert nightly.read(settings, DAY).state == "ended"
