"""docs/extending.md names files and names that are there."""

import ast
import re

import pytest

from tests.contracts.tree import ROOT, parsed

PAGE = (ROOT / "docs" / "extending.md").read_text(encoding="utf-8")
NAMED = re.findall(r"`([\w/]+\.py)(?:: (\w+))?`", PAGE)


def names(path):
    """What a module defines at its top."""
    for node in parsed(path).body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef):
            yield node.name
        for target in getattr(node, "targets", [getattr(node, "target", None)]):
            if isinstance(target, ast.Name):
                yield target.id


def test_the_page_names_something():
    assert len(NAMED) > 50


@pytest.mark.parametrize(("file", "name"), sorted(set(NAMED)))
def test_what_is_named_is_there(file, name):
    assert (ROOT / file).is_file()
    assert not name or name in set(names(ROOT / file))
