"""`--json` on every command: the result, as JSON, is all that stands on stdout.

What takes a second or two is run; of all commands the source is asked, too: a result leaves a
command by `front.say` and by nothing else.
"""

import ast
import inspect
import json
import textwrap
from importlib import metadata

import pytest

from pipeline.cli import app as cli
from tests.chain import EVALUATED, copy_data
from tests.contracts.tree import modules, name, parsed

DAY = ("--day", EVALUATED)
AT_HOME = {
    **{command: (command,) for command in ("status", "log")},
    **{command: (command, *DAY) for command in ("gate", "register", "promote", "refresh")},
    "raw": ("raw", *DAY),
    "whereis": ("whereis", "u0000000"),
    "abtest list": ("abtest", "list"),
}
"""In the home of the finished chain, which they leave as it is."""
ON_DATA = {
    **{step: (step, *DAY) for step in ("events", "vocabulary", "statistics", "sequences")},
    **{step: (step, *DAY) for step in ("samples", "rebuild", "sweep")},
    "quality": ("quality", "--of", "events", *DAY),
    "backfill": ("backfill", "--plan", *DAY),
}
"""On a copy of its data."""
FROM_NOTHING = {
    "simulate": ("simulate", "--days", 1),
    "import": ("import", "taobao_userbehavior", "UserBehavior.csv"),
    "down": ("down",),
    "abtest plan": (
        *("abtest", "plan", "--effect", "0.02", "--days", "14", "--users-per-day", "5000"),
        *("--mean", "1", "--variance", "2"),
    ),
}
UNTRIED = {
    *("train", "update", "evaluate", "bundle", "canary", "check", "rollback", "watch", "represent"),
    *("run", "bench", "study", "up", "abtest aa", "abtest simulate"),
    *(f"abtest {step}" for step in ("start", "readout", "verdict", "report", "conclude")),
}
"""They take long, or more than a champion; what their steps return is tested beside each step."""
ENDLESS = {"serve"}
"""Ends when it is stopped, and has no result."""
MAY_WRITE = {"pipeline/cli/front.py", "pipeline/settings_page.py", "serving/canary.py"}
"""The front door; and two programs of their own, whose stdout is their result."""


def commands(app=cli.app, before=""):
    """Function by name, those of groups included."""
    found = {
        f"{before}{one.name or one.callback.__name__}": one.callback
        for one in app.registered_commands
    }
    for group in app.registered_groups:
        found |= commands(group.typer_instance, f"{group.name} ")
    return found


def result_of(answer):
    code, out, err = answer
    assert code == 0, err
    assert out.count("\n") == 1
    return json.loads(out)


@pytest.mark.parametrize("command", AT_HOME)
def test_on_what_the_chain_left_json_is_all_that_stands_on_stdout(at_home, command):
    found = result_of(at_home(*AT_HOME[command], "--json"))
    assert found or command == "abtest list"


@pytest.mark.parametrize("command", ON_DATA)
def test_of_a_day_too(dupn, chain, tmp_path, command):
    copy_data(chain, tmp_path)
    assert result_of(dupn("--preset", "smoke", "--home", tmp_path, *ON_DATA[command], "--json"))


@pytest.mark.parametrize("command", FROM_NOTHING)
def test_where_nothing_is_yet_too(dupn, tmp_path, monkeypatch, command):
    (tmp_path / "UserBehavior.csv").write_text("1,2,3,pv,1511658000\n")
    monkeypatch.chdir(tmp_path)
    home = tmp_path / "home"
    result_of(dupn("--json", "--preset", "smoke", "--home", home, *FROM_NOTHING[command]))


def test_no_command_is_forgotten():
    groups = [set(AT_HOME), set(ON_DATA), set(FROM_NOTHING), UNTRIED, ENDLESS]
    assert set(commands()) == set().union(*groups)
    assert len(commands()) == sum(map(len, groups))


@pytest.mark.parametrize("command", sorted(set(commands()) - ENDLESS))
def test_a_result_goes_through_the_front_door(command):
    assert says(commands()[command])


def says(function):
    """Whether it, or what it calls of its own module, gives a result to `front.say`."""
    source = ast.parse(textwrap.dedent(inspect.getsource(function)))
    called = {ast.unparse(node.func) for node in ast.walk(source) if isinstance(node, ast.Call)}
    near = vars(inspect.getmodule(function))
    own = [near[one] for one in called if inspect.isfunction(near.get(one))]
    inside = [one for one in own if one.__module__ == function.__module__]
    return "front.say" in called or any(map(says, inside))


def test_nothing_else_writes_to_stdout():
    for path in modules():
        calls = {
            ast.unparse(node.func) for node in ast.walk(parsed(path)) if isinstance(node, ast.Call)
        }
        written = calls & {"print", "sys.stdout.write", "typer.echo", "typer.secho"}
        assert not written or name(path) in MAY_WRITE, f"{name(path)} calls {written}"


def test_the_version_is_told_to_people_and_programs(dupn):
    code, out, _ = dupn("--version")
    assert (code, out.split()[:2]) == (0, ["dupn", metadata.version("dupn")])
    code, out, _ = dupn("--json", "--version")
    assert (code, json.loads(out)["version"]) == (0, metadata.version("dupn"))
