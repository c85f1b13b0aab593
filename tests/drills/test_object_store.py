"""A home in an object store and an MLflow server: what a shop has where no disk is shared."""

import tempfile
from datetime import timedelta

import pytest

from pipeline import chain, steps
from pipeline.release.incumbent import registry_of
from pipeline.release.standing import status
from pipeline.settings import load
from tests import buckets, mlflow_server
from tests.chain import FIRST, PAIRS

DAYS = [FIRST + timedelta(days=n) for n in range(4)]


@pytest.mark.drill
@pytest.mark.timeout(1_800)
def test_a_model_is_released_represents_users_and_is_updated_where_no_disk_is_shared(
    tmp_path, monkeypatch
):
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setenv("TMPDIR", str(scratch))
    monkeypatch.setattr(tempfile, "tempdir", None)
    with buckets.serving() as bucket, mlflow_server.serving(tmp_path) as uri:
        told = ["beam.buckets=1", "evaluate.shuffles=false", f"tracking.uri={uri}"]
        mine = load("smoke", f"{bucket}/home", [*PAIRS, *told])
        chain.initial(mine, DAYS[0], 2)
        champion = registry_of(mine).champion()
        assert champion is not None
        assert champion.number == "1"
        assert steps.represent(mine, DAYS[2])["users"] > 0
        assert chain.nightly(mine, DAYS[3])["outcome"] != "failed"
        assert mine.store.days("samples") == DAYS
        found = status(mine)
        assert (found["days that are behind"], found["nights that have not ended"]) == ("none",) * 2
        assert found["bundle"].startswith(bucket)
    assert list(scratch.rglob("MLmodel")) == []  # people's histories are recorded beside it
