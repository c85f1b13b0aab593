"""Nothing lies about that only tests use: a parameter is read, a module is part of the product."""

import ast

import pytest

from tests.contracts.tree import FLOORS, functions, modules, name, parsed

CALLED_ALIKE = {
    ("features/questions/negatives.py", "who"): "one protocol of three asks who is at the moment",
    ("pipeline/jobs/before.py", "run"): "what a worker reads once is made for its run",
    ("pipeline/jobs/readout.py", "run"): "the same",
    ("pipeline/jobs/samples.py", "run"): "the same",
}
"""Parameters of functions that are called like their siblings, which read them."""
DOORS = {
    "infra/warm.py": "Airflow imports the executor by its name",
    "pipeline/cli/app.py": "the `dupn` command",
    "pipeline/settings_page.py": "`python -m` makes docs/settings.md",
    "serving/model_code.py": "MLflow takes it along with a model, and runs it",
}
"""Modules that no module of ours imports; beside them, Airflow finds the pages of DAGs."""


@pytest.mark.parametrize("path", modules(*[one for one in FLOORS if one != "dags"]), ids=name)
def test_a_function_reads_every_parameter_that_it_takes(path):
    for function in functions(path):
        taken = {one.arg for one in ast.walk(function.args) if isinstance(one, ast.arg)}
        read = {one.id for one in ast.walk(function) if isinstance(one, ast.Name)}
        dead = {one for one in taken - read if (name(path), one) not in CALLED_ALIKE}
        dead = {one for one in dead if not one.startswith("_")}
        refuses = isinstance(function.body[-1], ast.Raise)  # whatever it is given
        assert refuses or not dead, f"{function.name}, line {function.lineno}, never reads {dead}"


def imported(path):
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Import):
            yield from (one.name for one in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield str(node.module)
            yield from (f"{node.module}.{one.name}" for one in node.names)


def test_every_module_is_imported_by_another_one_that_is_no_test():
    known = {one for path in modules() for one in imported(path)}
    known |= {f"dags.{one}" for one in known}  # the folder itself is on Airflow's path
    ours = {name(path) for path in modules() if path.name != "__init__.py"}
    lone = {path for path in ours if path.removesuffix(".py").replace("/", ".") not in known}
    assert {path for path in lone if not path.startswith("dags/dupn_")} == set(DOORS)
