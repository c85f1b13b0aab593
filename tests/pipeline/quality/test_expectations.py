"""Great Expectations judges a day, also beside other days, and shows the newest verdicts."""

import multiprocessing
from datetime import date, timedelta
from pathlib import Path

import pytest

from infra.store import Store
from pipeline.quality import expectations
from pipeline.quality.expectations import Expected, judge

DAY = date(2026, 3, 2)
ASKED = [Expected(figure="behaviors.rows", low=1.0)]


@pytest.fixture
def store(tmp_path):
    return Store(str(tmp_path))


def docs(store):
    """The folder of Data Docs."""
    return Path(store.address("reports/quality/gx/uncommitted/data_docs/local_site"))


def test_a_figure_that_is_no_number_fails(store):
    figures = {"behaviors.rows": float("nan")}
    (failed,) = judge(store, f"events_{DAY}", "events", figures, ASKED)
    assert "behaviors has rows no number, so nothing is known of it" in failed.sentence


def test_the_first_page_of_data_docs_names_the_newest_and_the_others_stay(store, monkeypatch):
    monkeypatch.setattr(expectations, "INDEXED", 2)
    days = [DAY + timedelta(days=n) for n in range(4)]
    for day in days:
        assert not judge(store, f"events_{day}", "events", {"behaviors.rows": 5.0}, ASKED)
    first = (docs(store) / "index.html").read_text()
    assert [f"events_{day}" in first for day in days] == [False, False, True, True]
    pages = {one.parts[-3] for one in (docs(store) / "validations").rglob("*.html")}
    assert pages == {f"events_{day}" for day in days}


def test_what_a_project_says_of_its_first_page_is_kept(store):
    judge(store, f"events_{DAY}", "events", {"behaviors.rows": 5.0}, ASKED)
    told = Path(store.address("reports/quality/gx/great_expectations.yml"))
    wanted = told.read_text().replace(f"limit: {expectations.INDEXED}", "limit: 7")
    told.write_text(wanted)
    judge(store, f"events_{DAY}", "events", {"behaviors.rows": 5.0}, ASKED)
    assert "validation_results_limit: 7\n" in told.read_text()


@pytest.mark.parametrize("name", ["great_expectations.yml", "expectations/events.json"])
def test_a_project_with_a_file_that_was_cut_off_is_moved_aside(store, name, caplog):
    """As a kill leaves it, between the opening of a file and its first byte."""
    quality = Path(store.address("reports/quality"))
    judge(store, f"events_{DAY}", "events", {"behaviors.rows": 5.0}, ASKED)
    (quality / "gx" / name).write_bytes(b"")
    (failed,) = judge(store, f"events_{DAY}", "events", {"behaviors.rows": 0.0}, ASKED)
    assert failed.figure == "behaviors.rows"
    assert (quality / expectations.ASIDE / name).read_bytes() == b""
    assert (quality / "gx" / name).read_bytes()
    assert f"It is moved to {quality / expectations.ASIDE}, and a new one is begun" in caplog.text
    assert f"events_{DAY}" in (docs(store) / "index.html").read_text()


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), ValueError("other")])
def test_a_project_that_is_not_to_blame_stays(store, error, monkeypatch):
    judge(store, f"events_{DAY}", "events", {"behaviors.rows": 5.0}, ASKED)
    before = sorted(Path(store.address("reports/quality")).rglob("*"))

    def refuse(*_):
        raise error

    monkeypatch.setattr(expectations, "_judge", refuse)
    with pytest.raises(type(error), match=str(error.args[-1])):
        judge(store, f"events_{DAY}", "events", {"behaviors.rows": 5.0}, ASKED)
    assert sorted(Path(store.address("reports/quality")).rglob("*")) == before


def test_a_setting_that_cannot_be_followed_just_now_costs_no_project(store, monkeypatch):
    """A second site of Data Docs, in a folder that a variable names."""
    judge(store, f"events_{DAY}", "events", {"behaviors.rows": 5.0}, ASKED)
    file = Path(store.address("reports/quality")) / "gx" / "great_expectations.yml"
    site = (
        "data_docs_sites:\n  team_site:\n    class_name: SiteBuilder\n    store_backend:\n"
        "      class_name: TupleFilesystemStoreBackend\n      base_directory: ${TEAM_DOCS}\n"
    )
    text = file.read_text().replace("data_docs_sites:\n", site)
    file.write_text(text)
    with pytest.raises(Exception, match="config substitution variable"):
        judge(store, f"events_{DAY}", "events", {"behaviors.rows": 5.0}, ASKED)
    assert file.read_text() == text
    monkeypatch.setenv("TEAM_DOCS", str(file.parents[1] / "team"))
    assert not judge(store, f"events_{DAY}", "events", {"behaviors.rows": 5.0}, ASKED)


def test_no_project_that_was_moved_aside_is_overwritten(store):
    quality = Path(store.address("reports/quality"))
    for _ in range(2):
        judge(store, f"events_{DAY}", "events", {"behaviors.rows": 5.0}, ASKED)
        file = quality / "gx" / "great_expectations.yml"
        file.write_text(file.read_text()[: file.stat().st_size // 2])  # as YAML it may be whole
    judge(store, f"events_{DAY}", "events", {"behaviors.rows": 5.0}, ASKED)
    assert {one.name for one in quality.glob("gx*")} == {"gx", "gx-spoilt", "gx-spoilt-2"}


def test_days_are_judged_side_by_side(tmp_path):
    """As the tasks of ten days do; their suites differ, as their figures do."""
    spawn = multiprocessing.get_context("spawn")
    together = spawn.Barrier(2)
    children = [
        spawn.Process(target=judge_often, args=(str(tmp_path), together, number))
        for number in range(2)
    ]
    for child in children:
        child.start()
    for child in children:
        child.join()
    assert [child.exitcode for child in children] == [0, 0]


def judge_often(home, together, number):
    together.wait()
    for turn in range(6):
        asked = [Expected(figure="behaviors.rows", low=float(10 * number + turn))]
        name = f"events_2026-03-{10 + 10 * number + turn}"
        assert not judge(Store(home), name, "events", {"behaviors.rows": 100.0}, asked)
