"""One word per stage: step, command, task, documentation."""

import ast
import re

import pytest

from pipeline.cli import app
from pipeline.cli.abtest import abtest
from tests.contracts.tree import ROOT, functions, pages, parsed

WORDS = {"import_log": "import"}
"""`import` is a keyword of Python."""
BY_HAND = {"rollback", "rebuild", "backfill", "sweep"}
"""Not (necessarily) part of a DAG: a person decides."""
OF_AN_EXPERIMENT = {"start", "readout", "verdict", "report", "conclude"}
"""Tasks of `dupn_ab_test`; each is a command below `abtest`."""


def steps():
    """Public functions of steps.py that take settings and give a summary."""
    found = [
        WORDS.get(function.name, function.name)
        for function in functions(ROOT / "pipeline" / "steps.py")
        if isinstance(function.returns, ast.Name) and function.returns.id == "Summary"
    ]
    assert len(found) >= 17
    return found


def commands():
    single = {command.name or command.callback.__name__ for command in app.app.registered_commands}
    return single | {group.name for group in app.app.registered_groups}


def tasks():
    return {
        WORDS.get(function.name, function.name)
        for page in sorted((ROOT / "dags").glob("*stages.py"))
        for function in functions(page)
        if any("stage(" in ast.unparse(decorator) for decorator in function.decorator_list)
    }


def test_every_step_is_a_command():
    assert set(steps()) <= commands()


def test_every_step_that_a_dag_has_is_in_the_flow_at_the_head_of_the_story():
    (flow,) = [
        part
        for part in ast.get_docstring(parsed(ROOT / "pipeline" / "steps.py")).split("\n\n")
        if part.startswith("raw ->")
    ]
    before = {"import", "simulate"}  # raw data is there
    assert set(steps()) - BY_HAND - before <= set(re.findall(r"\w+", flow))


def test_every_step_is_a_task():
    assert set(steps()) - BY_HAND <= tasks()


def test_every_task_runs_a_step_or_lists_the_days():
    others = {"days", "quality_samples", "onward", "plan", "rival", "cells", "cell"}
    assert tasks() - set(steps()) == others | OF_AN_EXPERIMENT


def test_every_task_of_an_experiment_is_a_command_about_it():
    known = {command.name or command.callback.__name__ for command in abtest.registered_commands}
    assert known >= OF_AN_EXPERIMENT


@pytest.mark.parametrize("command", sorted(commands()))
def test_every_command_is_documented(command):
    page = (ROOT / "docs" / "cli.md").read_text()
    assert re.search(rf"`(dupn )?{command}\b", page), f"docs/cli.md does not speak of {command}"


def test_every_command_of_the_documentation_exists():
    known = commands()
    for page in pages():
        for line in page.read_text().splitlines():
            for said in re.findall(r"`dupn ((?:-[^ `]+ [^ -`][^ `]* )*)([a-z]+)", line):
                assert said[1] in known, f"{page.name}: {line.strip()}"


def test_every_command_that_an_error_recommends_exists():
    known = commands()
    for floor in ("infra", "features", "training", "evaluation", "serving", "pipeline", "dags"):
        for path in (ROOT / floor).rglob("*.py"):
            for said in re.findall(r"`dupn ([a-z]+)", path.read_text()):
                assert said in known, f"{path}: dupn {said}"
