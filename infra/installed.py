"""Which dupn this is: its version, the commit or wheel that it came from, and where its docs are.

Lineages and the runs in MLflow say so, and the front door when asked. The version alone does not
tell two commits apart; a checkout knows its commit, and pip notes what it installed from.
"""

import json
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

NAME = "dupn"
CODE = "code"
"""The fact of a lineage, and the tag of a run, that says so."""
_BESIDE = "CHANGELOG.md"
_ROOT = Path(__file__).resolve().parent.parent


def installed() -> Mapping[str, str]:
    """By name, what is known of it: `version`, `commit` or `wheel`, `docs`."""
    known = _known()
    version = known.version if known else "not installed"
    # its own .git: dupn may be installed within somebody's repository
    origin = _commit() if (_ROOT / ".git").exists() else _origin(known)
    found = {"version": version, **origin, "docs": _docs(known)}
    return {name: value for name, value in found.items() if value}


@cache
def code() -> str:
    """That in a line, without the docs, as it was when this process first asked: for a lineage."""
    return ", ".join(f"{name} {value}" for name, value in installed().items() if name != "docs")


def _known() -> Distribution | None:
    """What pip knows of it; None where only the folder is on the path."""
    try:
        return distribution(NAME)
    except PackageNotFoundError:
        return None


def _commit() -> Mapping[str, str]:
    """Of the checkout, with `-dirty` where files were changed since; nothing without git."""
    describe = ("describe", "--always", "--dirty", "--exclude=*", "--abbrev=40")
    with suppress(OSError, subprocess.CalledProcessError):
        command = ["git", "--no-optional-locks", "-C", str(_ROOT), *describe]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        return {"commit": done.stdout.strip()}
    return {}


def _origin(known: Distribution | None) -> Mapping[str, str]:
    """What pip installed it from (PEP 610); nothing where that was an index."""
    text = known.read_text("direct_url.json") if known else None
    origin = json.loads(text or "{}")
    if commit := origin.get("vcs_info", {}).get("commit_id"):
        return {"commit": commit}
    sha256 = origin.get("archive_info", {}).get("hashes", {}).get("sha256")
    return {"wheel": f"sha256 {sha256}"} if sha256 else {}


def _docs(known: Distribution | None) -> str:
    """Their folder, which lies beside the changelog."""
    if (_ROOT / _BESIDE).is_file():
        return str(_ROOT / "docs")
    installed_as = (file.locate() for file in (known and known.files) or [] if file.name == _BESIDE)
    changelog = next(installed_as, None)
    return str(Path(str(changelog)).resolve().parent / "docs") if changelog else ""
