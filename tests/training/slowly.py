"""Learning that pauses at every step, in a process of its own, so that a test can kill it."""

import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


class Slow:
    steps = 0

    def advance(self, done=1, **figures):
        """From the sixth step on it waits to be killed, however late that comes."""
        self.steps += 1
        time.sleep(0.1 if self.steps < 6 else 3600)


@contextmanager
def slow(*args, **options):
    yield Slow()


def killed_after_three_steps(script, progress, *told):
    """Run a script beside this file, and kill it once its checkpoint has three steps.

    Args:
        script: its name.
        progress: where it leaves the checkpoint.
        told: what its `main` takes.
    """
    command = [sys.executable, Path(__file__).with_name(script), *map(str, told)]
    child = subprocess.Popen(command, env={**os.environ, "PYTHONPATH": str(ROOT)})
    while not (progress.exists() and progress.manifest().lineage["tally"]["steps"] >= 3):
        assert child.poll() is None
        time.sleep(0.02)
    os.kill(child.pid, signal.SIGKILL)
    assert child.wait() == -signal.SIGKILL
