"""Folders for what is made before it is published, on this machine's disk.

A killed process removes nothing, and a night that is killed each night would fill the disk. So each
folder is locked by whoever made it, and the kernel gives a lock back however its holder ends: the
next one who needs a folder removes those that nobody holds any more.
"""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from infra.files import writing

PREFIX = "dupn-scratch-"
_UNLOCKED = "dupn-new-"
"""Until it is locked, a folder has a name that nobody looks for."""


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """An empty folder below the system's temporary one (`TMPDIR`), removed when it is left.

    Raises:
        StoreError: there is no room, or no right to write there.
    """
    remove_abandoned()
    with writing(tempfile.gettempdir()):
        made = Path(tempfile.mkdtemp(prefix=_UNLOCKED))
    held = _opened(made)
    try:
        with writing(str(made)):  # a file system without locks
            fcntl.flock(held, fcntl.LOCK_EX)
        folder = made.rename(made.with_name(made.name.replace(_UNLOCKED, PREFIX)))
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    finally:
        os.close(held)


def remove_abandoned() -> list[Path]:
    """Remove the folders whose makers have ended; those of other users are theirs."""
    return [one for one in Path(tempfile.gettempdir()).glob(f"{PREFIX}*") if _removed(one)]


def _removed(folder: Path) -> bool:
    with suppress(OSError):  # somebody's who lives, somebody else's, or gone meanwhile
        held = _opened(folder)
        try:
            if os.fstat(held).st_uid != os.getuid():
                return False
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder, ignore_errors=True)
            return True
        finally:
            os.close(held)
    return False


def _opened(folder: Path) -> int:
    """Never through a link, which may point to what is nobody's scratch."""
    return os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
