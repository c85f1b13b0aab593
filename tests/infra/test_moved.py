"""Files of a home that was moved or copied are where it is now, and what it was is left alone."""

import shutil
import sqlite3
from contextlib import closing

import pytest
from mlflow.tracking._tracking_service.utils import _artifact_repos_cache

from infra.errors import StoreError
from infra.registry import Registry
from infra.store import Store
from infra.tracking import MlflowTracker, TrackingConfig, connect, tracking_uri


@pytest.fixture
def home(tmp_path):
    """A home, and a run of it that has a file."""
    folder = tmp_path / "Läden 1"
    tracker = MlflowTracker(TrackingConfig(), Store(folder))
    run = tracker.start("first")
    tracker.text("one", "one.txt")
    tracker.end()
    return folder, run


def _run(folder, run):
    return connect(f"sqlite:///{folder}/mlflow/mlflow.db").get_run(run).info.artifact_uri


def _log(folder, run, name):
    _artifact_repos_cache.clear()  # as in a process that begins after the move
    tracker = MlflowTracker(TrackingConfig(), Store(folder))
    tracker.start("first", run)
    tracker.text(name, f"{name}.txt")
    tracker.end()


def _files(folder):
    return {path.relative_to(folder): path.stat().st_mtime_ns for path in folder.rglob("*")}


def test_a_moved_home_writes_and_reads_where_it_is_now(home, tmp_path, caplog):
    old, run = home
    new = old.rename(tmp_path / "new")
    _log(new, run, "two")
    _log(new, "", "three")
    assert not old.exists()
    assert _run(new, run) == f"{(new / 'mlflow/artifacts').as_uri()}/{run}/artifacts"
    assert sorted(p.name for p in new.rglob("*.txt")) == ["one.txt", "three.txt", "two.txt"]
    told = [r.getMessage() for r in caplog.records if "this home was at" in r.getMessage()]
    assert len(told) == 1
    assert f"{old}: MLflow's addresses of its files are those of {new} now" in told[0]


def test_a_copy_never_writes_into_the_original(home, tmp_path):
    old, run = home
    new = tmp_path / "copy"
    shutil.copytree(old, new)
    before = _files(old)
    _log(new, run, "two")
    assert _files(old) == before
    assert (new / "mlflow/artifacts" / run / "artifacts/two.txt").is_file()
    assert _run(old, run).startswith(old.as_uri())


def test_models_and_versions_move_as_well(home, tmp_path):
    old, run = home
    store, uri = Store(old), f"sqlite:///{old}/mlflow/mlflow.db"
    client = connect(uri)
    experiment = client.get_run(run).info.experiment_id
    model = client.create_logged_model(experiment, "model", run)
    client.log_model_artifact(model.model_id, str(_bundle(tmp_path)))
    client.finalize_logged_model(model.model_id, "READY")
    Registry(uri, store).register(f"models:/{model.model_id}", run, {})
    new = old.rename(tmp_path / "new")
    registry = Registry(f"sqlite:///{new}/mlflow/mlflow.db", Store(new))
    found = registry.download("1", "weights", tmp_path / "fetched")
    assert found.read_text() == "weights"
    assert not old.exists()


def _bundle(folder):
    (folder / "weights").write_text("weights")
    return folder / "weights"


def test_what_was_written_where_the_home_had_been_keeps_its_address(home, tmp_path):
    old, run = home
    new = old.rename(tmp_path / "new")
    stray = new / "mlflow/artifacts" / run
    (old / "mlflow/artifacts").mkdir(parents=True)
    stray.rename(old / "mlflow/artifacts" / run)  # by a release that did not follow
    _log(new, "", "two")
    assert _run(new, run).startswith(old.as_uri())
    assert [p.name for p in new.rglob("*.txt")] == ["two.txt"]


def test_a_home_by_another_name_is_no_moved_one(home, tmp_path):
    old, run = home
    (tmp_path / "link").symlink_to(old)
    tracking_uri(TrackingConfig(), Store(tmp_path / "link"))
    assert _run(old, run).startswith(old.as_uri())


@pytest.mark.parametrize("chosen", ["file:///srv/mlflow/artifacts", "s3://bucket/mlflow/artifacts"])
def test_files_that_were_put_elsewhere_stay_there(tmp_path, chosen):
    config = TrackingConfig(artifacts=chosen)
    store = Store(tmp_path / "home")
    client = connect(tracking_uri(config, store))
    client.create_experiment("dupn", chosen)
    tracking_uri(config, store)
    assert client.get_experiment_by_name("dupn").artifact_location == chosen


def test_a_moved_home_whose_database_cannot_be_written_says_so(home, tmp_path):
    new = home[0].rename(tmp_path / "new")
    with closing(sqlite3.connect(new / "mlflow/mlflow.db")) as database:
        database.execute(
            "CREATE TRIGGER closed BEFORE UPDATE ON experiments "
            "BEGIN SELECT RAISE(ABORT, 'attempt to write a readonly database'); END"
        )
    with pytest.raises(StoreError, match=r"new/mlflow/mlflow.db could not be written: it is read"):
        tracking_uri(TrackingConfig(), Store(new))
