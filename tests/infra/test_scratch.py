"""What is made before it is published lies in folders that outlive no process for long."""

import os
import subprocess
import sys
import tempfile

import pytest

from infra.errors import StoreError
from infra.scratch import PREFIX, remove_abandoned, scratch_folder

HOLD = """
import sys
from infra.scratch import scratch_folder
with scratch_folder() as folder:
    (folder / "half").write_text("written")
    print(folder, flush=True)
    sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def below(tmp_path, monkeypatch):
    """The system's temporary folder."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)  # which Python asks for once
    return tmp_path


@pytest.fixture
def maker(below):
    """A process that has made a folder and stays in it."""
    command = [sys.executable, "-c", HOLD]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, text=True, **pipes) as process:
        process.folder = below / process.stdout.readline().strip()
        yield process
        process.kill()


def test_a_folder_is_empty_and_gone_afterwards(below):
    with scratch_folder() as folder:
        assert folder.parent == below
        assert not list(folder.iterdir())
        (folder / "file").write_text("x")
    assert not list(below.iterdir())


def test_a_folder_whose_block_fails_is_gone_as_well(below):
    with pytest.raises(KeyError), scratch_folder():
        raise KeyError
    assert not list(below.iterdir())


def test_the_folder_of_a_killed_process_is_removed_by_the_next_one(maker):
    assert (maker.folder / "half").exists()
    maker.kill()
    maker.wait()
    assert maker.folder.exists()
    with scratch_folder():
        assert not maker.folder.exists()


def test_the_folder_of_a_living_process_stays(maker):
    with scratch_folder():
        assert (maker.folder / "half").exists()
    assert remove_abandoned() == []


def test_what_a_name_points_to_is_not_removed(below):
    elsewhere = below / "elsewhere"
    elsewhere.mkdir()
    (below / f"{PREFIX}link").symlink_to(elsewhere)
    (below / f"{PREFIX}file").write_text("x")
    assert remove_abandoned() == []
    assert elsewhere.exists()


def test_a_folder_of_another_user_stays(below, monkeypatch):
    theirs = below / f"{PREFIX}theirs"
    theirs.mkdir()
    monkeypatch.setattr(os, "getuid", lambda: theirs.stat().st_uid + 1)
    assert remove_abandoned() == []
    assert theirs.exists()


def test_no_room_for_a_folder_is_said_with_its_place(below, monkeypatch):
    def full(**_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(tempfile, "mkdtemp", full)
    with pytest.raises(StoreError, match=str(below)), scratch_folder():
        pytest.fail("there is room")
