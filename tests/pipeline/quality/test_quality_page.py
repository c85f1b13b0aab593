"""The quality page, and Data Docs: which day is judged, how badly it failed, beside which limit."""

import re
from datetime import timedelta
from pathlib import Path

import pytest

from infra.errors import QualityFailed
from pipeline.quality import checks, judged, quality_page
from pipeline.release import standing
from pipeline.settings import load
from tests.pipeline.quality.test_quality import DAY, publish


@pytest.fixture
def settings(tmp_path):
    return load("smoke", str(tmp_path))


def words_of(page: Path) -> str:
    return " ".join(re.sub(r"<[^>]*>", " ", page.read_text()).split())


def test_data_docs_show_day_severity_and_each_figure_beside_its_limit(settings, tmp_path):
    publish(settings.store, DAY, bad_types=33, rejected=5)
    with pytest.raises(QualityFailed):
        checks.run(settings, DAY, "events")
    (page,) = (tmp_path / "reports/quality/gx").rglob("validations/events/**/*.html")
    assert "events_2026-03-02" in page.parts
    words = words_of(page)
    assert re.search(r"behaviors\.type\.bad_share Status .*? critical: at most 0 0\.165 ", words)
    assert re.search(
        r"behaviors\.reject_share Status .*? warning: at most 0\.01 [≈~ ]*0\.024", words
    )


def test_the_quality_page_says_day_verdict_severity_figure_and_limit(settings, tmp_path):
    assert standing.status(settings)["quality page"] == "none"
    publish(settings.store, DAY - timedelta(days=2))
    publish(settings.store, DAY - timedelta(days=1), rejected=5)
    publish(settings.store, DAY, bad_types=33, rejected=5)
    for back in (2, 1):
        checks.run(settings, DAY - timedelta(days=back), "events")
    with pytest.raises(QualityFailed, match=r" See /\S+/index\.html; ") as failed:
        checks.run(settings, DAY, "events")
    page = standing.status(settings)["quality page"]
    assert f" See {page}; " in str(failed.value)
    rows = [
        r"2026-03-02 events stopped \d+ critical : behaviors\.type bad share 0\.165 at most 0",
        r"warning : behaviors reject share 0\.0243902 at most 0\.01",
        r"2026-03-01 events warnings \d+ warning : behaviors reject share 0\.0243902",
        r"2026-02-28 events passed \d+ nothing",
    ]
    assert re.search(".* ".join(rows), words_of(Path(page)))
    (docs, *_) = re.findall(r'href="([^"]*)"', Path(page).read_text())
    assert "events_2026-03-02" in docs
    assert (Path(page).parent / docs).exists()
    assert "//" not in Path(page).read_text()  # an internet is not needed


def test_the_quality_page_says_what_to_do_of_a_stopped_day_alone(settings):
    publish(settings.store, DAY - timedelta(days=1))
    checks.run(settings, DAY - timedelta(days=1), "events")
    page = Path(quality_page.there(settings.store))
    assert "What to do" not in words_of(page)
    publish(settings.store, DAY, rejected=20)
    with pytest.raises(QualityFailed):
        checks.run(settings, DAY, "events")
    words = words_of(page)
    assert "rejects/dt=2026-03-02 with their reasons" in words
    assert "Mend the raw day and run it again" in words
    assert "dupn run nightly --day 2026-03-02 --leave-out" in words
    assert re.search(
        r"critical : behaviors reject share \S+ at most 0.05 quality.max_reject_", words
    )
    judged.leave_out(settings.store, DAY, out=True)  # somebody has answered
    quality_page.write(settings.store, checks.SUITES)
    assert "What to do" not in words_of(page)


@pytest.mark.parametrize("content", [b"", b"{}"])
def test_a_report_that_cannot_be_read_has_its_row_and_hides_no_other(settings, caplog, content):
    for back in (2, 1):
        publish(settings.store, DAY - timedelta(days=back), rejected=5 * (back == 2))
        checks.run(settings, DAY - timedelta(days=back), "events")
    settings.store.put(judged.report(DAY - timedelta(days=1), "events"), content)
    publish(settings.store, DAY, bad_types=33)
    with pytest.raises(QualityFailed):  # judged all the same, beside the days that can be read
        checks.run(settings, DAY, "events")
    words = words_of(Path(quality_page.there(settings.store)))
    rows = [
        "2026-03-02 events stopped",
        "2026-03-01 events its report cannot be read dupn quality --day 2026-03-01 --of events",
        "2026-02-28 events warnings",
    ]
    assert re.search(".* ".join(rows), words)
    assert "What to do" in words
    assert "2026-03-01 is compared with nothing: reports/quality/events/2026-03-01" in caplog.text


def test_a_day_is_compared_with_those_before_whose_tally_can_be_read(settings, caplog):
    for back in (3, 2, 1):
        publish(settings.store, DAY - timedelta(days=back))
        checks.run(settings, DAY - timedelta(days=back), "events")
    newest = settings.store.partition("quality", DAY - timedelta(days=1), "events")
    Path(newest.path, "_manifest.json").write_bytes(b"")
    known = checks._before(settings.store, DAY, "events", 2)
    assert len(known) == 2
    assert "quality/dt=2026-03-01/events/_manifest.json cannot be read" in caplog.text


def test_the_quality_page_shows_the_newest_days_and_counts_the_others(settings, monkeypatch):
    monkeypatch.setattr(quality_page, "DAYS", 1)
    for back in (1, 0):
        publish(settings.store, DAY - timedelta(days=back))
        checks.run(settings, DAY - timedelta(days=back), "events")
    words = words_of(Path(quality_page.there(settings.store)))
    assert "1 older one, 2026-03-01 to 2026-03-01, has no row here" in words
    assert "2026-03-02 events passed" in words
    assert "2026-03-01 events" not in words
    assert quality_page.places(settings.store) == {
        "2026-03-01": "reports/quality/events/2026-03-01.json",
        "2026-03-02": "reports/quality/index.html#events-2026-03-02",
    }
