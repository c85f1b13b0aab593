"""What tasks write to their log and say when they fail, beside what their step does."""

import logging
from datetime import date

import pytest
from airflow.sdk.exceptions import AirflowFailException

from dags import backfill_stages, release_stages, running
from pipeline import steps
from pipeline.upkeep import backfill

DAY = date(2026, 3, 7)


@pytest.fixture
def params(monkeypatch, tmp_path, caplog):
    caplog.set_level(logging.INFO)
    given = {"preset": "smoke", "overrides": "", "day": str(DAY), "run": "", "only_plan": True}
    given["last"] = None
    monkeypatch.setenv("DUPN_HOME", str(tmp_path))
    for module in (running, backfill_stages, release_stages):
        monkeypatch.setattr(module, "get_current_context", lambda: {"params": given})
    return given


def test_the_summary_of_a_step_is_in_the_log_of_its_task(params, monkeypatch, caplog):
    params["run"] = "dupn-2026-03-06"
    made = {"champion": "2", "why": "it passed", "at": "http://me:secret@here/x", "places": ["a"]}
    monkeypatch.setattr(steps, "promote", lambda *_, **__: made)
    release_stages.promote.function()
    assert caplog.messages == ["promote: champion 2, why it passed, at http://here/x"]


@pytest.mark.parametrize(
    ("models", "learnt"),
    [
        ([], "no model has learnt from 2026-03-07"),
        (["a", "b"], "what was learnt from 2026-03-07 stays in a, b"),
    ],
)
def test_a_plan_is_written_in_sentences(params, monkeypatch, caplog, models, learnt):
    redo = {"stage": "samples", "day": str(DAY), "why": "if events of the day change"}
    planned = {"day": str(DAY), "last": str(DAY), "plan": [redo], "models": models}
    monkeypatch.setattr(backfill, "describe", lambda *_: planned)
    assert not backfill_stages.plan.function()
    assert caplog.messages == ["samples 2026-03-07: if events of the day change", learnt]


def test_a_release_of_a_day_without_an_update_asks_for_the_param(params):
    with pytest.raises(
        AirflowFailException, match=r"no update of 2026-03-07 .* Param run;"
    ) as told:
        release_stages.evaluate.function()
    assert "--run" not in str(told.value)
