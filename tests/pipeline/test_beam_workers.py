"""A job that loses a worker ends at once, says why, and leaves nobody behind."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import apache_beam
import psutil
import pytest

from infra.store import Attempt, Store
from pipeline.beam import BeamConfig, Spread, pipeline
from pipeline.beam_workers import lost

SCRIPT = """
import sys
from pathlib import Path
from tests.pipeline.test_beam_workers import run
run(Path(sys.argv[1]))
"""
LONG_S = 600


def busy(number: int, out: Attempt, home: Path) -> int:
    """One element a worker, which takes longer than anybody waits for it."""
    out.write_bytes(f"part-{number}.bin", b"half")
    (home / f"{os.getpid()}.busy").touch()
    time.sleep(LONG_S)
    return number


def run(home: Path) -> None:
    config = BeamConfig(runner="multiprocess", workers=2)
    with Store(home).partition("events").publish() as out, pipeline(config) as flow:
        numbers = flow | "Numbers" >> apache_beam.Create([1, 2])
        numbers | "Spread" >> Spread() | "Be busy" >> apache_beam.Map(busy, out, home)


def test_a_killed_worker_ends_the_job_and_the_other_workers(tmp_path):
    """In a process of its own: a job that hears nothing could not be ended here."""
    with Store(tmp_path).partition("events").publish() as out:
        out.record([out.write_bytes("good.bin", b"good")])
    command = [sys.executable, "-c", SCRIPT, str(tmp_path)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as job:
        family = [psutil.Process(job.pid)]
        try:
            until = time.monotonic() + 60
            while len(pids := [int(f.stem) for f in tmp_path.glob("*.busy")]) < 2:
                assert time.monotonic() < until
                time.sleep(0.05)
            family += family[0].children(recursive=True)
            os.kill(pids[0], signal.SIGKILL)
            _, said = job.communicate(timeout=20)
        finally:
            for left in (alive := [one for one in family if one.is_running()]):
                left.kill()
    assert not alive
    assert said.splitlines()[-1].startswith(
        "infra.errors.OrchestrationError: a Beam worker was killed (137, usually for want of "
    ), said
    (entry,) = Store(tmp_path).partition("events").manifest().files
    assert entry.name.startswith("good")


@pytest.mark.parametrize("code", [137, -9])
def test_a_killed_worker_is_told_with_what_to_lower(code):
    said = lost(f"Worker subprocess exited with return code {code}")
    assert said.startswith(f"a Beam worker was killed ({code}, usually for want of memory)")
    assert "Lower beam.workers or raise beam.buckets" in said


def test_a_worker_lost_otherwise_is_told_as_beam_says_it():
    said = lost("Worker subprocess exited with return code 1")
    assert said.startswith("a Beam worker was lost (Worker subprocess exited with return code 1)")
    assert "beam.workers" not in said
