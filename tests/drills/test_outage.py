"""MLflow away for a minute: the step waits for it; away for good: nothing is entered."""

import contextlib
import os
import socket
import subprocess
import sys
import time

import pytest

from tests.drills.drill import decisions
from tests.drills.test_races import consistent, promotion


def free_port() -> int:
    with socket.socket() as some:
        some.bind(("127.0.0.1", 0))
        return some.getsockname()[1]


@contextlib.contextmanager
def server(home, port: int):
    """The MLflow server of a home."""
    backend = f"sqlite:///{home}/mlflow/mlflow.db"
    command = [sys.executable, "-m", "mlflow", "server", "--backend-store-uri", backend]
    command += ["--workers", "1", "--host", "127.0.0.1", "--port", str(port)]
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    try:
        yield
    finally:
        os.killpg(process.pid, 15)
        process.wait()


@pytest.mark.drill
def test_a_minute_without_mlflow_is_waited_out(warm, homes):
    home, port = homes.back("chain"), free_port()
    warm.done(home, ("version", {"name": "two"}))
    uri = (f"tracking.uri=http://127.0.0.1:{port}",)
    started = time.monotonic()
    running = warm.start(home, promotion("2"), pairs=uri)
    time.sleep(60)
    assert len(decisions(home)) == 1
    with server(home, port):
        told = running.wait()
    assert told.code == 0, told.sentence
    assert time.monotonic() - started > 60
    consistent(home)
    assert [entry[1]["champion"] for entry in decisions(home)] == ["1", "2"]
