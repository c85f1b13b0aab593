import os
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TARGETS = {"setup", "demo", "test", "check", "drills", "up", "down", "clean"}


def make(*arguments):
    return subprocess.run(
        ["make", *arguments], cwd=ROOT, capture_output=True, text=True, check=False, timeout=60
    )


def python_that_lacks(tmp_path, word):
    """A Python that fails on every one-liner with `word` in it."""
    path = tmp_path / "python3"
    path.write_text(f'#!/bin/sh\ncase "$2" in *{word}*) exit 1;; esac\nexit 0\n')
    path.chmod(0o755)
    return path


def test_make_alone_lists_every_target():
    listed = set(re.findall(r"make (\w+)", make().stdout))
    assert listed == TARGETS | {"help"}


@pytest.mark.parametrize(
    ("word", "sentence"),
    [
        ("version_info", "dupn needs Python 3.11 or newer"),
        ("ensurepip", "sudo apt-get install python3-venv"),
    ],
)
def test_what_the_machine_lacks_is_said_before_anything_is_made(tmp_path, word, sentence):
    python, venv = python_that_lacks(tmp_path, word), tmp_path / "venv"
    done = make("setup", f"PYTHON={python}", f"VENV={venv}")
    assert done.returncode != 0
    assert sentence in done.stderr
    assert not venv.exists()


def python_of(version, path):
    """A Python that says this of its version, and does nothing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f'#!/bin/sh\ncase "$2" in *print*) echo {version};; esac\nexit 0\n')
    path.chmod(0o755)
    return path


def test_a_path_that_is_no_python_is_said_to_be_none(tmp_path):
    python_of("3 11", tmp_path / "venv" / "bin" / "python")
    done = make("setup", f"PYTHON={tmp_path / 'none'}", f"VENV={tmp_path / 'venv'}")
    assert done.returncode != 0
    assert f"there is no Python at {tmp_path / 'none'}" in done.stderr


@pytest.mark.parametrize(("version", "refused"), [("3 13", True), ("3 11", False)])
def test_a_python_that_is_asked_for_is_never_another_one(tmp_path, version, refused):
    venv, asked = tmp_path / "venv", python_of(version, tmp_path / "asked")
    python_of("3 11", venv / "bin" / "python")
    (venv / ".dupn-installed").touch()
    done = make("setup", f"PYTHON={asked}", f"VENV={venv}")
    assert (done.returncode != 0) is refused
    assert (f"{venv} is of another Python than {asked}" in done.stderr) is refused


@pytest.mark.parametrize("target", sorted(TARGETS - {"setup", "clean"}))
def test_every_target_sets_up_what_it_needs(target, tmp_path):
    planned = make("--dry-run", target, f"VENV={tmp_path / 'venv'}").stdout
    assert "-m venv" in planned
    assert "--constraint constraints.txt --editable '.[dev]'" in planned


def test_ci_checks_tests_and_drills_and_stops_at_the_first_failure():
    script = ROOT / ".ci" / "run"
    text = script.read_text()
    assert os.access(script, os.X_OK)
    assert "set -euo pipefail" in text
    assert re.findall(r"^timed make (\w+)", text, re.M) == ["setup", "check", "test", "drills"]
