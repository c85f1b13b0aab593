"""Disks that refuse to be written: too small, read-only, or with a limit on the size of files; and
folders that are closed.
"""

import os
import resource
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import pytest


@contextmanager
def disk(folder: Path, size: str = "256k") -> Iterator[Path]:
    """A real, tiny file system on `folder`; the test is skipped where mounting is not allowed."""
    folder.mkdir(exist_ok=True)
    if os.getuid() or _mount("-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder):
        pytest.skip("a disk of our own needs the right to mount (the file size limit is tested)")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


def read_only(folder: Path) -> None:
    """From now on the disk of `disk` takes no write."""
    assert not _mount("-o", "remount,ro", folder)


def fill(folder: Path) -> None:
    """Write until the system says that the disk is full."""
    with (folder / "ballast").open("wb", 0) as sink, pytest.raises(OSError, match="No space"):
        _write_for_ever(sink)


def _write_for_ever(sink: IO[bytes]) -> None:
    while True:
        sink.write(bytes(1024))


@contextmanager
def files_up_to(size: int) -> Iterator[None]:
    """No process of ours can write a file of more bytes; needs no rights, and is inherited."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@contextmanager
def closed(folder: Path) -> Iterator[None]:
    """Nobody who runs the block may enter the folder, root as little as others."""
    me = os.geteuid()
    folder.chmod(0)
    os.seteuid(me or 65534)
    try:
        yield
    finally:
        os.seteuid(me)
        folder.chmod(0o700)


def _mount(*arguments: object) -> int:
    return subprocess.run(
        ["mount", *map(str, arguments)], capture_output=True, check=False
    ).returncode
