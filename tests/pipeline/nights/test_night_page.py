"""The page of nights says what became of those that were never watched."""

import re
from datetime import date
from pathlib import Path

import pytest

from evaluation import filed, nights
from evaluation.gate import Outcome
from evaluation.watch import Night
from infra.errors import QualityFailed
from infra.ledger import Ledger
from pipeline import steps
from pipeline.nights import night_page, nightly, workers
from pipeline.nights.outcomes import Learnt
from pipeline.release import standing
from pipeline.settings import load
from tests.pipeline.quality.test_quality import publish

WATCHED, STOPPED = date(2026, 3, 2), date(2026, 3, 3)


@pytest.fixture
def settings(tmp_path):
    made = load("smoke", str(tmp_path))
    watched = Night(day=WATCHED.isoformat(), run="dupn-2026-03-02", parent="", figures=())
    nights.put(made.store, made.line, watched)
    with made.store.partition("samples", WATCHED).publish() as out:
        out.record([])
    nightly.begin(made, STOPPED, workers.this())
    return made


def page(settings):
    return (settings.store.get(f"{filed.nightly('dupn')}/{nights.PAGE}") or b"").decode()


def test_a_night_that_quality_stopped_is_on_the_page_at_once(settings):
    assert standing.status(settings)["page of nights"] == "none"
    publish(settings.store, STOPPED, bad_types=50)
    with pytest.raises(QualityFailed):
        steps.quality(settings, STOPPED, "events")
    assert "2026-03-03</a></td><td" in page(settings)
    assert "stopped by quality of events; not ended" in page(settings)
    assert standing.status(settings)["page of nights"].endswith("/dupn/nights.html")


def test_rows_lead_to_their_judgement_and_their_offline_report_where_there_are_any(settings):
    publish(settings.store, WATCHED)
    publish(settings.store, STOPPED, bad_types=50)
    settings.store.put(filed.page("dupn-2026-03-02"), "")
    steps.quality(settings, WATCHED, "events")
    with pytest.raises(QualityFailed):
        steps.quality(settings, STOPPED, "events")
    links = set(re.findall(r'href="([^"]*)"', page(settings)))
    assert len(links) == 3
    for link in links:
        file, _, place = link.partition("#")
        there = Path(settings.home, filed.nightly("dupn"), file).read_text()
        assert not place or f'id="{place}"' in there
    assert {link.rpartition("/")[2] for link in links} == {
        "index.html#events-2026-03-02", "index.html#events-2026-03-03", "report.html",
    }  # fmt: skip


def test_a_page_that_cannot_be_drawn_does_not_hide_what_quality_says(settings, caplog, monkeypatch):
    monkeypatch.setattr(nights, "write_page", lambda *_: 1 / 0)
    publish(settings.store, STOPPED, bad_types=50)
    with pytest.raises(QualityFailed):
        steps.quality(settings, STOPPED, "events")
    assert "the page of nights could not be drawn" in caplog.text


def test_a_night_that_a_person_left_out_says_so_and_a_watched_one_is_not_drawn_again(settings):
    night_page.draw_unwatched(settings, WATCHED)
    assert not page(settings)
    nightly.end(settings, STOPPED, workers.this(), Learnt.LEFT_OUT)
    night_page.draw_unwatched(settings, STOPPED)
    assert "ended, not watched: left out" in page(settings)


def test_after_another_line_has_won_its_page_has_what_became_of_every_night(settings):
    """The records of nights stay where they were: under the line of the settings."""
    ledger = Ledger(settings.store)
    moved = {"action": "promote", "aliases": {"champion": "2"}, "facts": {"line": "rival"}}
    ledger.finish(ledger.append([], why="it has won", **moved))
    won = date(2026, 3, 4)
    nightly.end(settings, STOPPED, workers.this(), Learnt.LEFT_OUT)
    with settings.store.partition("samples", STOPPED).publish() as out:
        out.record([])
    nightly.begin(settings, won, workers.this())
    nightly.end(settings, won, workers.this(), Outcome.PROMOTE)
    for day in (WATCHED, won):
        nights.put(
            settings.store, "rival", Night(day=day.isoformat(), run="", parent="", figures=())
        )
    night_page.draw_unwatched(settings, STOPPED)
    told = (settings.store.get(f"{filed.nightly('rival')}/{nights.PAGE}") or b"").decode()
    assert "ended, not watched: left out" in told
    assert "not watched: promote" not in told
    assert night_page.champions_line(settings) == "rival"


def test_where_no_night_was_watched_there_is_no_page(tmp_path):
    assert night_page.draw(load("smoke", str(tmp_path))) == ""


def test_status_has_the_newest_report_of_every_experiment(settings):
    for day in ("2026-03-02", "2026-03-03"):
        settings.store.put(f"{filed.experiment('rival')}/dt={day}/report.html", "")
    settings.store.put(f"{filed.experiment('rival')}/dt=2026-03-04/look.json", "")  # not told yet
    (found,) = standing.status(settings)["experiment reports"]
    assert found.endswith(f"{filed.experiment('rival')}/dt=2026-03-03/report.html")
