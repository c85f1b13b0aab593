"""The commands that look after state: what they ask before they do anything."""

import json
from datetime import date

import pyarrow as pa
import pytest
from typer.testing import CliRunner

from infra.errors import ConfigError
from infra.store import Store
from pipeline.cli import app
from pipeline.cli.front import front

DAY = date(2026, 3, 2)


@pytest.fixture
def dupn(tmp_path, monkeypatch):
    with Store(tmp_path).partition("raw", DAY, "behaviors").publish() as out:
        out.record([out.write_table("part", pa.table({"x": [1]}))])

    def run(*line, as_json=False):
        monkeypatch.setattr(front, "as_json", as_json)
        return CliRunner().invoke(app.app, ["--preset", "smoke", "--home", str(tmp_path), *line])

    return run


def test_a_backfill_can_be_looked_at(dupn, tmp_path):
    said = dupn("backfill", "--day", str(DAY), "--plan", as_json=True)
    assert said.exit_code == 0
    plan = json.loads(said.stdout)
    stages = [one["stage"] for one in plan["plan"]]
    assert stages[:3] == ["events", "quality", "vocabulary"]
    assert stages[-1] == "quality_samples"
    assert plan["models"] == []
    assert not Store(tmp_path).partition("events", DAY, "behaviors").exists()


def test_a_backfill_says_its_plan_and_does_nothing_that_nobody_agreed_to(dupn, tmp_path):
    said = dupn("backfill", "--day", str(DAY))
    assert said.exit_code == 2
    assert "its raw rows are read again" in said.stdout
    assert "--yes" in said.stderr
    assert not Store(tmp_path).partition("events", DAY, "behaviors").exists()


def test_sweep_says_what_it_removed(dupn):
    said = dupn("sweep", "--day", str(DAY), as_json=True)
    assert json.loads(said.stdout) == {
        "day": str(DAY),
        "removed": "nothing",
        "bytes": 0,
        "lost files": 0,
    }


def test_status_names_files_beside_an_imported_table(dupn, tmp_path):
    asked = "raw files that are not read"
    assert json.loads(dupn("status", as_json=True).stdout)[asked] == "none"
    Store(tmp_path).put(f"raw/dt={DAY}/behaviors/late.csv", b"u,i\n")
    [said] = json.loads(dupn("status", as_json=True).stdout)[asked]
    assert said.startswith(f"raw/dt={DAY}/behaviors: not read beside an imported table: late.csv (")


def test_status_counts_days_of_plain_files(dupn, tmp_path):
    for day in ("2026-03-03", "2026-03-04"):
        Store(tmp_path).put(f"raw/dt={day}/behaviors/log.csv", b"u,i\n")
    Store(tmp_path).put("raw/dt=2026-03-05/impressions/served-1.jsonl", b"{}\n")  # makes no day
    said = json.loads(dupn("status", as_json=True).stdout)
    assert said["raw days"] == "2026-03-02 to 2026-03-04 (3)"


def test_status_gives_null_or_what_to_do_where_no_table_is_current(dupn):
    assert json.loads(dupn("status", as_json=True).stdout)["representations"] is None
    assert "none: run `dupn represent --day D`" in dupn("status").stdout


@pytest.mark.parametrize(
    "line", [["status"], ["log"], ["whereis", "anna"], ["abtest", "list"]], ids=" ".join
)
@pytest.mark.parametrize("as_json", [False, True])
def test_looking_at_a_home_where_nothing_is_says_so_and_makes_nothing(
    tmp_path, monkeypatch, caplog, line, as_json
):
    monkeypatch.setattr(front, "as_json", as_json)
    home = tmp_path / "mistyped"
    said = CliRunner().invoke(app.app, ["--preset", "smoke", "--home", str(home), *line])
    assert said.exit_code == 0
    told = " ".join((said.stdout + caplog.text).replace("\u2502", " ").split())
    assert f"there is nothing in {home} yet. See that --home or DUPN_HOME" in told
    assert bool(as_json) == (said.stdout[0] in "[{")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("user", ["", "  "])
def test_whoever_asks_where_nobody_is_gets_no_answer(dupn, user):
    """An empty id stands in every table: each of its rows would be a hit."""
    said = dupn("whereis", user)
    assert (said.exit_code, said.stdout) == (2, "")
    assert "an empty id is nobody's. Give the id" in said.stderr


@pytest.mark.parametrize("line", ["status", "log", "down", "whereis anna", "simulate"])
@pytest.mark.parametrize("home", ["file", "file/below", "s3://"])
def test_a_home_that_cannot_be_is_refused_by_every_command(tmp_path, home, line):
    (tmp_path / "file").write_text("x")
    at = home if "://" in home else str(tmp_path / home)
    said = CliRunner().invoke(app.app, ["--preset", "smoke", "--home", at, *line.split()])
    assert isinstance(said.exception, ConfigError)
    assert said.stdout == ""


@pytest.mark.parametrize(
    "line",
    ["rollback --why x", "promote --version 3 --why x", "gate --day 2026-03-12", "represent"],
)
def test_a_release_refused_in_a_mistyped_home_leaves_none(tmp_path, line):
    home = tmp_path / "mistyped"
    words = [*line.split(), *(["--day", str(DAY)] if line == "represent" else [])]
    said = CliRunner().invoke(app.app, ["--preset", "smoke", "--home", str(home), *words])
    assert said.exit_code != 0
    assert not list(tmp_path.iterdir())


def test_a_home_that_has_days_is_not_told_as_empty_and_no_database_is_made(dupn, tmp_path):
    assert "note" not in json.loads(dupn("status", as_json=True).stdout)
    assert json.loads(dupn("log", as_json=True).stdout) == []
    assert [one.name for one in tmp_path.iterdir()] == ["raw"]
