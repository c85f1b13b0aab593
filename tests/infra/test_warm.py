"""Imports before a fork: what a task finds, and that nothing is lost in the fork."""

import json
import logging
import subprocess
import sys
from importlib import import_module

import pytest
from airflow.executors.executor_loader import ExecutorLoader, ExecutorName
from airflow.executors.local_executor import LocalExecutor

from infra import warm
from infra.programs import EXECUTOR

LOOK = """
import json
import sys
import threading
from importlib import import_module
from pathlib import Path

import psutil

from infra import warm

warm.load()
process = psutil.Process()
kernel = {Path(f"/proc/self/task/{one.id}/comm").read_text().strip() for one in process.threads()}
python = [thread.name for thread in threading.enumerate()]
hidden = warm.UNFORKABLE not in sys.modules
height = import_module(warm.UNFORKABLE).DataFrame({"a": [1, 2]}).height
print(json.dumps([python, sorted(kernel), len(process.net_connections()), hidden, height]))
"""
SET_UP_ANEW = {"python", "jemalloc_bg_thd"}
"""The interpreter and OpenBLAS, and jemalloc: both libraries begin again after a fork."""


def test_airflow_finds_the_executor_by_its_name():
    found, _ = ExecutorLoader.import_executor_cls(ExecutorName(module_path=EXECUTOR))
    assert found is warm.WarmExecutor
    assert found.is_local  # else `airflow standalone` takes its own


def started(forks):
    """An executor whose workers are forked, or begun anew, was started."""
    executor = warm.WarmExecutor()
    executor.is_mp_using_fork = forks
    executor.start()


def test_libraries_are_imported_before_workers_are_forked_and_only_then(monkeypatch):
    order = []
    monkeypatch.setattr(warm, "import_module", order.append)
    monkeypatch.setattr(LocalExecutor, "start", lambda self: order.append("start"))
    started(forks=True)
    assert order == [*warm.LIBRARIES, "start"]
    order.clear()
    started(forks=False)
    assert order == ["start"]


def test_importing_is_silent_and_what_follows_is_not(monkeypatch, caplog):
    logger = logging.getLogger("test_warm")
    monkeypatch.setattr(warm, "import_module", lambda name: logger.warning("loading %s", name))
    monkeypatch.setattr(LocalExecutor, "start", lambda self: logger.warning("forking"))
    started(forks=True)
    assert [record.message for record in caplog.records] == ["forking"]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="names of threads are in /proc")
def test_importing_them_starts_no_thread_that_a_fork_would_miss_and_connects_to_nobody():
    done = subprocess.run([sys.executable, "-c", LOOK], capture_output=True, text=True, check=True)
    python, kernel, connections, hidden, height = json.loads(done.stdout.strip().splitlines()[-1])
    assert python == ["MainThread"]
    assert set(kernel) <= SET_UP_ANEW
    assert connections == 0
    assert hidden
    assert height == 2  # and a task may import it


def test_what_was_imported_before_is_not_hidden():
    assert "polars" in sys.modules or import_module("polars")
    with warm._hidden("polars"):
        assert import_module("polars").DataFrame
