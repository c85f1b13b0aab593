"""The repository's own sources, as the contract tests read them."""

import ast
import gc
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FLOORS = ("infra", "features", "training", "evaluation", "serving", "pipeline", "dags")


def modules(*folders: str) -> list[Path]:
    """Python files below the folders (default: the floors), sorted."""
    found = [path for folder in folders or FLOORS for path in (ROOT / folder).rglob("*.py")]
    return sorted(path for path in found if "__pycache__" not in path.parts)


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def parsed(path: Path) -> ast.Module:
    """What Python makes of a file.

    Nothing is collected meanwhile: where a finalizer runs, ast of Python 3.11 may miscount its own
    depth (SystemError), and tests before leave tasks behind whose end is logged.
    """
    collects = gc.isenabled()
    gc.disable()
    try:
        return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))
    finally:
        if collects:
            gc.enable()


def strings(path: Path) -> Iterator[ast.Constant]:
    """String constants that are not docstrings."""
    tree = parsed(path)
    documentation = {
        id(node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }
    for node in ast.walk(tree):
        text = isinstance(node, ast.Constant) and isinstance(node.value, str)
        if text and id(node) not in documentation:
            yield node


def functions(path: Path) -> list[ast.FunctionDef]:
    """Top-level functions of a file."""
    return [node for node in parsed(path).body if isinstance(node, ast.FunctionDef)]


def pages() -> list[Path]:
    """Everything that people read."""
    return [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
