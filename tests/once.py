"""What is built once a session, also where several processes share its tests (`make test`)."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from infra.files import alone


def folder(factory: pytest.TempPathFactory, name: str, build: Callable[[Path], object]) -> Path:
    """A folder that the first who asks for it fills; whoever asks meanwhile waits.

    Args:
        factory: pytest's; processes of one session have folders of their own in a common one.
        name: the folder's, and what is built.
        build: fills it. If it fails, the next process tries again, and shows its own failure.
    """
    common = factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        common = common.parent
    wanted, whole = common / name, common / f"{name}.whole"
    with alone(common / f"{name}.building"):
        if not whole.exists():
            shutil.rmtree(wanted, ignore_errors=True)
            wanted.mkdir()
            build(wanted)
            whole.touch()
    return wanted
