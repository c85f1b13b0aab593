"""The command as a shell sees it: exit code, stdout, stderr."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from infra import errors
from pipeline.cli import app
from pipeline.studies.studying import STUDIES
from tests.chain import EVALUATED, copy_data, smoke
from tests.disks import disk, files_up_to, fill

DUPN = Path(sys.executable).with_name("dupn")


def test_help_lists_every_command(dupn):
    code, out, _ = dupn("--help")
    assert code == 0
    names = {command.name or command.callback.__name__ for command in app.app.registered_commands}
    listed = {line.split()[1] for line in out.splitlines() if len(line.split()) > 2}
    assert names <= listed


@pytest.mark.parametrize("command", ["events", "train", "promote", "run", "import"])
def test_every_command_explains_itself(dupn, command):
    code, out, _ = dupn(command, "--help")
    assert code == 0
    assert f"dupn {command}" in out


def test_the_help_of_study_names_every_study(dupn):
    _, out, _ = dupn("study", "--help")
    said = set(re.findall(r"\w+", out))
    assert set(STUDIES) <= said


FAR = {
    "before any log": ["raw", "--day", "0001-01-01"],
    "a range to the end of days": ["events", "--from", "2026-03-02", "--to", "9999-12-31"],
    "a world at the end of days": ["simulate", "--first", "9999-12-30", "--days", "3"],
    "an experiment then": ["abtest", "simulate", "--first", "9999-12-30"],
    "more days than there are": ["run", "initial", "--days", "4000000"],
}


@pytest.mark.parametrize("what", FAR)
def test_days_at_the_ends_of_the_calendar_are_out_of_reach(dupn, tmp_path, what):
    code, out, err = dupn("--home", tmp_path, *FAR[what])
    assert (code, out) == (2, "")
    assert re.search("is out of reach|less than or equal to 36500", err)


@pytest.mark.parametrize("option", app.BEFORE)
def test_an_option_that_stands_behind_the_command_is_told_where_it_belongs(dupn, option):
    code, _, err = dupn("raw", "--day", "2026-03-02", option, "x")
    assert code == 2
    said = " ".join(re.sub("[│╭╮╰╯─]", " ", err).split())
    assert f"No such option: {option}. Write it before the command, right after `dupn`." in said


def test_help_says_where_home_comes_from(dupn):
    _, out, _ = dupn("--help")
    said = " ".join(out.replace("│", " ").split())
    assert "[env var: DUPN_HOME] [default: (./artifacts)]" in said


PLAN = ["abtest", "plan", "--effect", "0.02", "--days", "14"]
USAGE = {
    "no such command": ["nope"],
    "no such option": ["status", "--colour", "red"],
    "a day that is none": ["events", "--day", "2026-02-30"],
    "no day": ["events"],
    "half a range": ["events", "--from", "2026-03-02"],
    "a range backwards": ["samples", "--from", "2026-03-03", "--to", "2026-03-02"],
    "a day and a range": ["events", "--day", "2026-03-02", "--to", "2026-03-03"],
    "no such group": ["quality", "--of", "orders", "--day", "2026-03-02"],
    "nothing to promote": ["promote"],
    "nothing to bundle": ["bundle"],
    "two things to bundle": ["bundle", "--day", "2026-03-02", "--version", "1"],
    "no such chain": ["run", "weekly"],
    "a night without a day": ["run", "nightly"],
    "rollback without a reason": ["rollback"],
    "rollback with an empty reason": ["rollback", "--why", " "],
    "a plan without traffic": [*PLAN, "--mean", "1"],
    "a plan with two kinds of traffic": [*PLAN, "--like", "e", "--mean", "1"],
}


@pytest.mark.parametrize("what", USAGE)
def test_is_a_usage_error(dupn, tmp_path, what):
    code, out, err = dupn("--home", tmp_path, *USAGE[what])
    assert (code, out) == (2, "")
    assert "Usage: dupn" in err


DAY = ["--day", "2026-03-02"]
FOREIGN = {
    "run initial takes no --day,": ["run", "initial", *DAY],
    "run initial takes no --leave-out,": ["run", "initial", "--leave-out"],
    "run initial takes no --take-over,": ["run", "initial", "--take-over"],
    "run nightly takes no --first,": ["run", "nightly", *DAY, "--first", "2026-03-01"],
    "run nightly takes no --days,": ["run", "nightly", *DAY, "--days", "10"],
    "run nightly goes through one day. Say which": ["run", "nightly", "--first", "2026-03-01"],
    "run demo takes no --days,": ["run", "demo", "--days", "3"],
    "run demo takes no --day,": ["run", "demo", *DAY],
    "promote what?": ["promote", *DAY, "--version", "2", "--why", "x"],
    "--challenger is for `--version N`": ["promote", *DAY, "--challenger"],
    "promote --version 2 takes no --run": ["promote", "--version", "2", "--why", "x", "--run", "k"],
    "bundle --version 2 takes no --run": ["bundle", "--version", "2", "--run", "k"],
}


@pytest.mark.parametrize("said", FOREIGN)
def test_an_option_that_would_do_nothing_is_refused(dupn, tmp_path, said):
    code, out, err = dupn("--home", tmp_path, *FOREIGN[said])
    assert (code, out) == (2, "")
    assert said in re.sub(r"[\s|\u2502]+", " ", err)
    assert not list(tmp_path.iterdir())


REFUSED = {
    "a plan like nothing": (
        [*PLAN, "--like", "e"],
        "ConfigError: experiment 'e' is not registered (known: none).",
        "Start it with `dupn abtest start FILE`.",
    ),
    "a day that is missing": (
        ["events", "--day", "2026-03-02"],
        "PartitionMissing: raw/dt=2026-03-02/behaviors",
        "Run `dupn import` or `dupn simulate`",
    ),
    "a stage before its time": (
        ["sequences", "--day", "2026-03-02"],
        "PartitionMissing: events/dt=2026-03-02/behaviors is not published",
        "Run `dupn events --day 2026-03-02` first.",
    ),
    "a model that is missing": (
        ["evaluate", "--day", "2026-03-02"],
        "PartitionMissing: no model of line dupn",
        "Run `dupn --set line=dupn train --until D --days N`",
    ),
    "no such preset": (
        ["--preset", "huge", "status"],
        "ConfigError: preset 'huge' does not exist.",
        "Choose one of abtest, demo, drift, paper, smoke",
    ),
    "no such preset for a study": (
        ["study", "table2", "--preset", "huge"],
        "ConfigError: preset 'huge' does not exist.",
        "or give a .toml file",
    ),
    "a line with a path in it": (
        ["--set", "line=a/../b", "status"],
        "ConfigError: line = 'a/../b'",
        "String should match pattern",
    ),
    "no such setting": (
        ["--set", "gate.max_ctr_margn=0.1", "status"],
        "ConfigError: gate.max_ctr_margn is not a setting.",
        "Did you mean gate.max_ctr_margin?",
    ),
    "a value out of range": (
        ["--set", "train.batch_size=0", "status"],
        "ConfigError: train.batch_size = 0 is refused",
        "greater than or equal to 1",
    ),
    "settings that do not go together": (
        ["--set", "model.price_offers=true", "status"],
        "ConfigError: model.price_offers has to be in the samples",
        "set samples.price_offers = true, or model.price_offers = false.",
    ),
    "offers without a memory": (
        ["--set", "model.price_offers=true", "--set", "model.price_memory=false", "status"],
        "ConfigError: model.price_offers is heard by the memory of prices",
        "set model.price_memory = true, or model.price_offers = false.",
    ),
    "no pair": (["--set", "seed", "status"], "ConfigError: --set seed", "Write it like seed=7."),
    "no such data set": (
        ["import", "ebay", "log.csv"],
        "ConfigError: data set 'ebay' is not described.",
        "or give the path of a .toml file",
    ),
    "no such file": (
        ["import", "marketplace", "behaviors=gone.csv"],
        f"InputError: {Path.cwd()}/gone.csv is not a file.",
        "Check the path.",
    ),
    "no such bench": (["bench", "coffee"], "ConfigError: bench coffee", "Choose one of"),
    "no such bundle": (
        ["serve", "--bundle", "dupn-2026-03-02"],
        "PartitionMissing: no disassembled bundle dupn-2026-03-02 is published",
        "`dupn bundle --version N` builds that of a version.",
    ),
    "a bundle of no version": (
        ["bundle", "--version", "3"],
        "RegistryError: 3 is no version of dupn that dupn registered.",
        "`dupn status` lists the aliases",
    ),
    "no previous champion": (
        ["rollback", "--why", "x"],
        "RegistryError: there is no previous champion",
        "Look at `dupn log`",
    ),
}


@pytest.mark.parametrize("what", REFUSED)
def test_is_refused_in_a_sentence_that_names_thing_and_remedy(dupn, tmp_path, what):
    arguments, thing, remedy = REFUSED[what]
    code, out, err = dupn("--home", tmp_path, "--json", *arguments)
    assert (code, out) == (1, "")
    said = " ".join(err.split())
    assert said.startswith(thing)
    assert remedy in said
    assert "Traceback" not in err


def test_debug_shows_where_an_error_came_from(monkeypatch, tmp_path):
    command = ["dupn", "--home", str(tmp_path), "--debug", "events", "--day", "2026-03-02"]
    monkeypatch.setattr(sys, "argv", command)
    with pytest.raises(errors.PartitionMissing):
        app.main()


READ = [["status"], ["log"], ["gate", "--day", EVALUATED]]


@pytest.mark.parametrize("command", READ, ids=lambda command: command[0])
def test_people_get_a_table(at_home, command):
    code, out, _ = at_home(*command)
    assert code == 0
    assert out.startswith(command[0])
    assert "{" not in out


def test_the_gate_that_keeps_the_champion_exits_with_3(dupn, chain, tmp_path):
    mine = shutil.copytree(chain.settings.home, tmp_path / "home")  # others promote meanwhile
    given = ("--preset", "smoke", "--home", mine, "--set", "gate.min_positives=1000000", "--json")
    code, out, _ = dupn(*given, "gate", "--day", EVALUATED)
    assert code == 3
    assert json.loads(out)["outcome"] == "not enough evidence"


def test_settings_come_from_preset_then_environment_then_line(dupn, chain, monkeypatch):
    monkeypatch.setenv("DUPN_PRESET", "smoke")
    monkeypatch.setenv("DUPN_HOME", chain.settings.home)
    assert json.loads(dupn("--json", "status")[1])["home"] == chain.settings.home
    monkeypatch.setenv("DUPN_SET", "gate.min_positives=7,gate.min_users=1000000")
    _, out, _ = dupn("--json", "--set", "gate.min_users=3", "gate", "--day", EVALUATED)
    assert "(needed: 7 and 3)" in json.loads(out)["checks"][0]["sentence"]


def test_a_range_is_worked_through_day_by_day(dupn, chain, tmp_path):
    copy_data(chain, tmp_path)
    days = [str(day) for day in sorted(chain.store.days("events", "behaviors"))[:2]]
    base = ["--preset", "smoke", "--home", tmp_path, "--json"]
    code, out, _ = dupn(*base, "events", "--from", days[0], "--to", days[1])
    assert code == 0
    assert list(json.loads(out)) == days
    for day in chain.store.days("events", "behaviors")[:2]:
        once = chain.store.partition("events", day, "behaviors").digest()
        assert smoke(tmp_path).store.partition("events", day, "behaviors").digest() == once


def test_a_shell_sees_json_on_stdout_and_only_our_sentences_on_stderr(chain, tmp_path):
    copy_data(chain, tmp_path / "home")
    command = [DUPN, "--preset", "smoke", "--home", tmp_path / "home"]
    environment = {k: v for k, v in os.environ.items() if not k.startswith("DUPN_")}
    done = subprocess.run(
        [*command, "statistics", "--day", "2026-03-02", "--json"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)
    assert done.stderr == ""
    assert [path.name for path in tmp_path.iterdir()] == ["home"]


def test_a_trace_is_shown_only_to_who_asks(tmp_path):
    command = [DUPN, "--home", tmp_path, "events", "--day", "2026-03-02"]
    plain, debug = (
        subprocess.run([*command, *more], capture_output=True, text=True, check=False)
        for more in ([], ["--debug"])
    )
    assert plain.returncode == debug.returncode == 1
    assert "Traceback" not in plain.stderr
    assert "Traceback" in debug.stderr
    assert "apitools not found" not in plain.stderr + debug.stderr


def test_a_home_that_cannot_be_written_is_one_sentence(dupn, chain, tmp_path):
    copy_data(chain, tmp_path / "home")
    with files_up_to(1_000):  # worker processes, whose stderr it would cut: test_beam
        code, out, err = dupn(
            *("--preset", "smoke", "--home", tmp_path / "home", "--json"),
            *("sequences", "--day", EVALUATED),
        )
    assert (code, out) == (1, "")
    told = err.strip().splitlines()[-1]
    assert told.startswith(f"StoreError: {tmp_path}/home/sequences/dt={EVALUATED}/")
    assert "could not be written" in told
    assert len(err.splitlines()) == 1


def test_a_full_disk_is_one_sentence(dupn, tmp_path):
    with disk(tmp_path / "home") as home:
        fill(home)
        for command in (["simulate", "--days", "1"], ["run", "initial", "--days", "1"]):
            code, out, err = dupn("--preset", "smoke", "--home", home, "--json", *command)
            assert (code, out) == (1, ""), command
            assert len(err.splitlines()) == 1
            assert "could not be written: the disk is full. Make room" in err


def test_an_update_is_forced_with_a_reason_or_not_at_all(dupn):
    for wrong in (["--force"], ["--why", "because"], ["--force", "--why", " "]):
        code, out, err = dupn("update", "--day", EVALUATED, *wrong)
        assert (code, out) == (2, "")
        assert "--force needs a reason" in err


def test_a_bench_has_settings_of_its_own(dupn, tmp_path):
    code, out, err = dupn("--home", tmp_path, "--set", "seed=1", "bench", "coffee")
    assert (code, out) == (2, "")
    assert "bench takes no --set" in err


def test_a_version_is_promoted_by_hand_with_a_reason_or_not_at_all(dupn):
    code, _, err = dupn("promote", "--version", "3")
    assert code == 2
    assert '--version 3 --why "..."' in err


def test_an_error_does_not_steer_the_terminal(dupn, tmp_path):
    code, _, err = dupn("--home", tmp_path, "import", "rees46", tmp_path / "a\x1b[2J\rb.csv")
    assert code == 1
    assert r"a\x1b[2J\rb.csv is not a file" in err
