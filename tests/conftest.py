"""What all tests may share."""

import logging
import os
import shutil
import sys
import uuid
from pathlib import Path

import psutil
import pytest
from hypothesis import HealthCheck, settings

from infra import cores, mlflow_file
from infra.logs import OURS
from tests import once

# a busy machine is slow, and that is no defect of what is tested
settings.register_profile("dupn", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("dupn")

WORKER_BYTES = 3 << 30
"""Of a worker of xdist, with what its tests start."""
LIMIT = Path("/sys/fs/cgroup/memory.max")
"""Of control groups of Linux (version 2), as a container sees its own."""


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int | None:
    """One more than cores: many a test waits for a process that it started.

    At most what memory holds, and four, since each pays for the fixtures that it shares.
    """
    if "PYTEST_XDIST_AUTO_NUM_WORKERS" in os.environ:
        return None  # xdist takes it
    return max(1, min(4, cores.usable() + 1, _memory() // WORKER_BYTES))


def _memory() -> int:
    """Of the machine, or what a container may have of it."""
    said = LIMIT.read_text().strip() if LIMIT.exists() else "max"
    total = psutil.virtual_memory().total
    return total if said == "max" else min(total, int(said))


@pytest.fixture(autouse=True)
def _process_as_before():
    """A command sets levels of our loggers, and `--json`, for its process: here tests follow it."""
    for name in OURS:
        if (logger := logging.getLogger(name)).level != logging.NOTSET:  # all loggers forget much
            logger.setLevel(logging.NOTSET)
    if (loaded := sys.modules.get("pipeline.cli.front")) is not None:
        loaded.front.as_json = loaded.front.debug = False


@pytest.fixture(scope="session", autouse=True)
def _tables_of_mlflow(tmp_path_factory):
    """MLflow makes its tables once a session, for a second; homes begin with a copy of that file.

    Programs that tests start have them made, each its own, and so has a disk that takes no copy.
    """
    make = mlflow_file.make

    def copied(file: Path) -> None:
        folder = once.folder(tmp_path_factory, "tables-of-mlflow", lambda it: make(it / "it.db"))
        aside = file.with_name(f"{file.name}.{uuid.uuid4().hex[:10]}.new")
        try:
            shutil.copyfile(folder / "it.db", aside)
        except OSError:
            aside.unlink(missing_ok=True)
            make(file)  # whose error is the one to be told
        else:
            aside.replace(file)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mlflow_file, "make", copied)
        yield


@pytest.fixture(scope="session")
def chain(tmp_path_factory):
    """The smoke chain, run whole, once a session. Read it; copy before you change anything."""
    from tests import chain as chains  # a narrow run does without it, and seconds sooner

    return chains.at(once.folder(tmp_path_factory, "chain", chains.run))
