"""Whether a run of MLflow is there, was deleted or never was, or cannot be asked for."""

import pytest

from infra.mlflow_client import Refused
from infra.runs import is_there
from infra.store import Store
from infra.tracking import MlflowTracker, TrackingConfig, connect
from tests import refusing


def test_a_run_is_there_until_it_is_deleted_and_again_once_it_is_restored(tmp_path):
    tracker = MlflowTracker(TrackingConfig(), Store(tmp_path))
    run, client = tracker.start("one"), tracker.client
    assert is_there(client, run)
    client.delete_run(run)
    assert not is_there(client, run)
    client.restore_run(run)
    assert is_there(client, run)


@pytest.mark.parametrize("run", ["0" * 32, "", "no such run"])
def test_a_run_that_mlflow_does_not_know_is_not_there(tmp_path, run):
    assert not is_there(MlflowTracker(TrackingConfig(), Store(tmp_path)).client, run)


def test_who_may_not_ask_is_told_so():
    with refusing.mlflow(403) as (address, _), pytest.raises(Refused, match="refused"):
        is_there(connect(address), "0" * 32)
