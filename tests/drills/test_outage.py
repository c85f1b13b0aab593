"""MLflow away for a minute: the step waits for it; away for good: nothing is entered."""

import time
from pathlib import Path

import pytest

from tests import mlflow_server
from tests.drills.drill import decisions
from tests.drills.test_races import consistent, promotion
from tests.ports import silent_port


@pytest.mark.drill
def test_a_minute_without_mlflow_is_waited_out(warm, homes):
    home = homes.back("chain")
    warm.done(home, ("version", {"name": "two"}))
    with silent_port() as port:
        uri = (f"tracking.uri=http://127.0.0.1:{port}",)
        started = time.monotonic()
        running = warm.start(home, promotion("2"), pairs=uri)
        time.sleep(60)
        assert len(decisions(home)) == 1
    with mlflow_server.serving(Path(home, "mlflow"), port):
        told = running.wait()
    assert told.code == 0, told.sentence
    assert time.monotonic() - started > 60
    consistent(home)
    assert [entry[1]["champion"] for entry in decisions(home)] == ["1", "2"]
