"""What serving may take of training stands in one place, and nothing new slips in beside it."""

import ast
import tomllib

from tests.contracts.tree import ROOT, modules, parsed

SHARED = {"model", "batch", "collate", "moments", "config"}
"""Parts of `training` that answer as well as teach; docs/architecture.md says why."""
PARTS = {
    path.stem
    for path in (ROOT / "training").iterdir()
    if path.suffix == ".py" or (path / "__init__.py").is_file()
} - {"__init__"}


def imported(path):
    """Parts of `training` that a module imports, wherever in it."""
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.ImportFrom) and node.module == "training":
            yield from (one.name for one in node.names)
        elif isinstance(node, ast.ImportFrom | ast.Import):
            names = [getattr(node, "module", None), *(one.name for one in node.names)]
            yield from (n.split(".")[1] for n in names if n and n.startswith("training."))


def test_a_part_of_training_is_shared_with_serving_or_forbidden_to_it():
    """Also by way of others: import-linter follows imports of imports."""
    linter = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    (contract,) = (one for one in linter["contracts"] if one.get("source_modules") == ["serving"])
    assert "allow_indirect_imports" not in contract
    assert set(contract["forbidden_modules"]) == {f"training.{part}" for part in PARTS - SHARED}


def test_what_serving_is_lent_is_what_it_uses_and_what_the_page_says():
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    (told,) = (one for one in page.split("\n\n") if one.startswith("Of `training`, `serving` "))
    assert {part for path in modules("serving") for part in imported(path)} == SHARED
    assert {one for one in PARTS if f"`{one}`" in told} == SHARED
