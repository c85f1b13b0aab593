"""What errors and docstrings say to run can be run."""

import ast
import re
import shlex

import pytest
import typer

from infra.manifest import mend, remedy
from pipeline.cli import app
from tests.contracts import tree

GROUP = typer.main.get_command(app.app)
SPAN = re.compile(r"`(dupn [^`]+)`")
SAID = {"D": "2026-03-02", "N": "2000", "%s": "2026-03-02"}
"""What a person writes in place of a letter."""
KEYS = [
    *("raw/dt=2026-03-02/behaviors", "raw/dt=2026-03-02/items", "rejects/dt=2026-03-02"),
    *("events/dt=2026-03-02/behaviors", "samples/dt=2026-03-02", "vocabulary/dt=2026-03-02/item"),
    *("catalog/dt=2026-03-02", "catalog/dt=2026-03-02/items", "statistics/dt=2026-03-02/price"),
    *("sequences/dt=2026-03-02/history", "truth/dt=2026-03-02/state"),
    *("quality/dt=2026-03-02/events", "quality/dt=2026-03-02/samples"),
    *("checkpoints/dupn-2026-03-11/final", "bundles/dupn-2026-03-11", "bundles/my-2026-03-11/v3"),
    *("representations/dupn-2026-03-11/dt=2026-03-12", "experiments/one/before"),
    *("experiments/one/readout/dt=2026-03-12", "experiments/one/hours/dt=2026-03-12"),
    *("reports/offline/dupn-2026-03-11/answers", "study/worlds/seed-1-0a1b2c"),
]


def texts(path):
    """Every text of a module; what is filled in is a day."""
    for node in ast.walk(tree.parsed(path)):
        if isinstance(node, ast.JoinedStr):
            parts = [p.value if isinstance(p, ast.Constant) else "D" for p in node.values]
            yield "".join(parts)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def wrong_with(line):
    """Why a command line is none; the bare name of a command stands for any of its lines."""
    words = [SAID.get(word, word) for word in shlex.split(line)[1:]]
    words = ["gate", *words[1:]] if words[0] == SAID["D"] else words
    before = ["", *words[:-1]]
    words = ["events" if b == "--of" else word for b, word in zip(before, words, strict=True)]
    if len(words) == 1 and words[0] in GROUP.commands:
        return ""
    try:
        context = GROUP.make_context("dupn", ["--home", "nowhere", *words])
        name, command, rest = GROUP.resolve_command(
            context, [*context._protected_args, *context.args]
        )
        command.make_context(name, rest, parent=context)
    except Exception as error:
        return f"{line}: {error}"
    return f"{line}: two commands in one" if words.count("dupn") else ""


def wrong(said):
    return [found for line in SPAN.findall(said) if (found := wrong_with(line))]


@pytest.mark.parametrize("path", tree.modules(), ids=tree.name)
def test_commands_that_a_module_names_can_be_run(path):
    assert not [found for text in texts(path) for found in wrong(text)]


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("advice", [remedy, mend], ids=["missing", "spoilt"])
def test_what_to_run_about_a_missing_or_spoilt_partition_can_be_run(advice, key):
    assert SPAN.search(advice(key))
    assert wrong(advice(key)) == []
