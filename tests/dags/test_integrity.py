import json
from pathlib import Path

import pytest

from dags import schedule
from features.raw import dataset as datasets
from infra.errors import ConfigError

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted((ROOT / "dags").glob("dupn_*.py"))


def test_every_file_imports(seen):
    assert seen["errors"] == {}


@pytest.mark.parametrize(
    ("variable", "value", "form"),
    [
        ("START", "2026-3-1", "a day like 2026-03-01"),
        ("ZONE", "Europe/Nowhere", "a time zone like Europe/Berlin"),
        ("LOOK_S", "a minute", "a number of seconds, above 0 and at most 86400"),
        ("LOOK_S", "-5", "a number of seconds"),
        ("LOOK_S", "nan", "a number of seconds"),
        ("CRON", "0 11 * * *", "once every day and before 11:00"),
    ],
)
def test_a_variable_that_cannot_be_read_is_named(in_airflow, variable, value, form):
    name = f"DUPN_NIGHTLY_{variable}"
    said = {"DUPN_NIGHTLY_START": "2026-03-01", name: value}
    errors = in_airflow("describe.py", ROOT / "dags", **said)["errors"]
    told = next(words for file, words in errors.items() if file.endswith("nightly_update.py"))
    assert f"{name} = '{value}' is not {form}" in told


@pytest.mark.parametrize("text", ["0", "inf", "1e300"])
def test_no_other_number_of_seconds_is_handed_to_airflow(text):
    with pytest.raises(ValueError, match=r"^$"):
        schedule._seconds(text)


def test_an_empty_variable_is_one_that_is_not_set(in_airflow):
    empty = {f"DUPN_NIGHTLY_{one}": "" for one in ("CRON", "ZONE", "DATASET", "PRESET", "LOOK_S")}
    first = {"DUPN_NIGHTLY_START": "2026-03-01"}
    found, unset = (in_airflow("describe.py", ROOT / "dags", **first, **e) for e in (empty, {}))
    assert found["errors"] == {}
    assert found["dags"] == unset["dags"]


BROKEN = ["name = ", "", 'time_zone = "Mars/Olympus"', "time_zone = 5", 'time_zone = "../"', "\xff"]


@pytest.mark.parametrize("text", BROKEN)
def test_a_description_that_cannot_be_read_breaks_no_dag_file(text, tmp_path):
    toml = tmp_path / "mine.toml"
    assert schedule.zone_of(str(toml)) == schedule.zone_of("mine") == "UTC"
    toml.write_text(text, encoding="latin-1")
    assert schedule.zone_of(str(toml)) == "UTC"


def test_every_shipped_data_set_says_its_zone():
    found = {name: schedule.zone_of(name) for name in datasets.shipped()}
    assert found == {name: datasets.load(name).time_zone for name in datasets.shipped()}
    assert found["taobao_userbehavior"] == "Asia/Shanghai"


@pytest.mark.parametrize(
    "cron",
    ["0 */6 * * *", "0,30 2 * * *", "* 2 * * *", "0 2 * * 1-5", "0 2 1 * *", "0 2 * * * 30"],
)
def test_a_schedule_that_is_not_once_every_morning_is_refused(cron, monkeypatch):
    monkeypatch.setenv("DUPN_NIGHTLY_START", "2026-03-01")
    monkeypatch.setenv("DUPN_NIGHTLY_CRON", cron)
    with pytest.raises(ConfigError, match="is not once every day and before 11:00"):
        schedule.nightly()


@pytest.mark.parametrize("cron", ["0 0 * * *", "59 10 * * *", "@daily", "30 2 */1 * *"])
def test_one_that_is_is_taken(cron, monkeypatch):
    monkeypatch.setenv("DUPN_NIGHTLY_START", "2026-03-01")
    monkeypatch.setenv("DUPN_NIGHTLY_CRON", cron)
    assert schedule.nightly()["schedule"] is not None


def test_a_dag_is_called_like_its_file(seen):
    assert {dag["file"]: name for name, dag in seen["dags"].items()} == {
        page.name: page.stem for page in PAGES
    }


def test_reading_the_folder_is_quick_and_imports_nothing_heavy(seen):
    assert seen["heavy"] == []
    assert seen["seconds"] < 2.0  # of the processor; a third of one here


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_dag_file_is_a_page(page):
    assert len(page.read_text().splitlines()) <= 60


def test_every_dag_is_documented_tagged_and_runs_once_at_a_time(seen):
    for name, dag in seen["dags"].items():
        assert dag["doc"], name
        assert dag["description"] == dag["doc"].splitlines()[0], name  # what the list shows
        assert "dupn" in dag["tags"], name
        assert dag["max_active_runs"] == 1, name


def test_every_task_is_documented_and_tried_again(seen):
    for dag in seen["dags"].values():
        for name, task in dag["tasks"].items():
            assert len(task["doc"] or "") > 20, name
            assert task["retries"] >= 1, name


def test_every_task_tells_that_it_failed_and_every_run_of_those_that_could_not(seen):
    for name, dag in seen["dags"].items():
        assert dag["failed"] == ["ended"], name
        assert all(task["failed"] == ["failed"] for task in dag["tasks"].values()), name


def test_every_task_runs_in_a_pool_that_we_create(seen):
    pools = json.loads((ROOT / "infra" / "deploy" / "airflow" / "pools.json").read_text())
    used = {task["pool"] for dag in seen["dags"].values() for task in dag["tasks"].values()}
    assert used == set(pools)
    assert pools["compute"]["slots"] == 1
