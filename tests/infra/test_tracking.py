"""Runs land where they should, whatever the working directory; nothing is imported too early."""

import os
import subprocess
import sys

import pytest

from infra.errors import ConfigError, RegistryError
from infra.installed import CODE, code
from infra.store import Store
from infra.tracking import (
    MlflowTracker,
    SilentTracker,
    TrackingConfig,
    connect,
    experiment_id,
    tracking_uri,
)
from tests import refusing


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return Store(tmp_path_factory.mktemp("home"))


@pytest.fixture
def tracker(store):
    return MlflowTracker(TrackingConfig(), store)


def test_the_default_is_sqlite_under_the_home_by_absolute_address(store, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert tracking_uri(TrackingConfig(), store) == f"sqlite:///{store.root}/mlflow/mlflow.db"
    relative = Store("home")
    assert tracking_uri(TrackingConfig(), relative) == f"sqlite:///{tmp_path}/home/mlflow/mlflow.db"


@pytest.mark.parametrize("uri", ["sqlite:///mlflow.db", "sqlite+pysqlite:///a/b.db", "sqlite://"])
def test_a_database_that_depends_on_the_working_folder_is_refused(store, uri):
    with pytest.raises(ConfigError, match=r"every working folder.* sqlite:////absolute"):
        tracking_uri(TrackingConfig(uri=uri), store)


def test_a_home_without_sqlite_needs_a_server():
    away = Store("memory://bucket/home")
    with pytest.raises(ConfigError, match=r"tracking.uri is not set"):
        tracking_uri(TrackingConfig(), away)
    assert tracking_uri(TrackingConfig(uri="http://mlflow:5000"), away) == "http://mlflow:5000"


@pytest.mark.parametrize("uri", ["./mlruns", "file:///tmp/mlruns"])
def test_the_file_store_is_refused(store, uri):
    with pytest.raises(ConfigError, match="file store is gone"):
        tracking_uri(TrackingConfig(uri=uri), store)


def test_a_run_has_params_metrics_and_files(tracker, store, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run = tracker.start("first")
    tracker.params({"train": {"rate": 0.1, "tasks": ["ctr"]}, "long": "x" * 9000})
    tracker.params({f"many{k}": k for k in range(150)})
    tracker.metrics({"loss": 0.5, "ctr_auc": 0.7}, step=1)
    tracker.metrics({"loss": 0.4}, step=2)
    tracker.text('{"days": 2}', "lineage.json")
    (tmp_path / "plots").mkdir()
    (tmp_path / "plots" / "loss.txt").write_text("plot")
    tracker.file(tmp_path / "plots", "plots")
    tracker.end()
    client = connect(tracking_uri(TrackingConfig(), store))
    found = client.get_run(run)
    assert found.info.status == "FINISHED"
    assert found.data.tags[CODE] == code()
    assert found.data.params["train.rate"] == "0.1"
    assert found.data.params["many149"] == "149"
    assert found.data.metrics == {"loss": 0.4, "ctr_auc": 0.7}
    assert [point.step for point in client.get_metric_history(run, "loss")] == [1, 2]
    assert {f.path for f in client.list_artifacts(run)} == {"lineage.json", "plots"}
    assert found.info.artifact_uri.startswith(f"file://{store.root}/mlflow/artifacts")
    assert [path.name for path in tmp_path.iterdir()] == ["plots"]


def test_a_run_that_was_cut_off_is_reopened(tracker, store):
    run = tracker.start("cut")
    tracker.params({"seed": 1})
    again = MlflowTracker(TrackingConfig(), store)
    assert again.start("cut", run) == run
    again.params({"seed": 2, "days": 3})  # a param cannot change: what was logged first stays
    again.end(failed=True)
    found = connect(tracking_uri(TrackingConfig(), store)).get_run(run)
    assert found.info.status == "FAILED"
    assert found.data.params == {"seed": "1", "days": "3"}


def test_a_run_that_is_gone_is_begun_anew(tracker):
    assert tracker.start("other", "0" * 32) != "0" * 32
    tracker.end()


def test_the_experiment_is_made_once(store):
    client = connect(tracking_uri(TrackingConfig(), store))
    ids = {experiment_id(TrackingConfig(), store, client) for _ in range(2)}
    assert len(ids) == 1
    assert client.get_experiment_by_name("dupn").experiment_id in ids


def test_an_experiment_that_was_deleted_is_named_and_can_be_restored(tmp_path):
    store, config = Store(tmp_path), TrackingConfig(experiment="mine")
    tracker = MlflowTracker(config, store)
    run = tracker.start("first")
    made = experiment_id(config, store, tracker.client)
    tracker.client.delete_experiment(made)
    told = rf"'mine' was deleted.*MLFLOW_TRACKING_URI=sqlite:.*restore --experiment-id {made}`"
    for known in (None, run):
        with pytest.raises(ConfigError, match=told):
            MlflowTracker(config, store).start("second", known)
    tracker.client.restore_experiment(made)
    assert MlflowTracker(config, store).start("first", run) == run


def test_the_silent_tracker_takes_everything(tmp_path):
    tracker = SilentTracker()
    assert tracker.start("run") == ""
    tracker.params({"a": 1})
    tracker.metrics({"b": 2.0}, 3)
    tracker.text("c", "d")
    tracker.file(tmp_path)
    tracker.end(failed=True)


def test_mlflow_is_not_imported_before_the_first_run():
    code = "import sys, infra.tracking, training.fit; assert 'mlflow' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_curves_come_back_by_step(tracker):
    run = tracker.start("curves")
    for step in (10, 20, 30):
        tracker.metrics({"progressive_ctr_loss": 1 / step, "other": 1.0}, step)
    found = tracker.history(run, ("progressive_",))
    assert found == {"progressive_ctr_loss": {10: 0.1, 20: 0.05, 30: pytest.approx(1 / 30)}}


def test_a_run_that_is_gone_has_no_curves(tracker, caplog):
    assert tracker.history("0" * 32, ("progressive_",)) == {}
    assert "not in MLflow" in caplog.text


def test_a_run_that_was_cut_off_is_picked_up_or_left_as_killed(tmp_path):
    first, second, third = (MlflowTracker(TrackingConfig(), Store(tmp_path)) for _ in range(3))
    begun = first.start("dupn-2026-03-02")
    first.params({"seed": 1})  # and the process is killed
    assert second.start("dupn-2026-03-02") == begun
    second.params({"seed": 1, "device": "cpu"})
    assert second.run_id == begun
    assert not second.ended(begun)
    third.start("dupn-2026-03-02")
    third.params({"seed": 2})
    assert third.run_id != begun
    assert third.client.get_run(begun).info.status == "KILLED"
    third.end()
    assert third.ended(begun)
    assert third.ended(third.run_id)
    assert third.ended("no such run")


@pytest.mark.parametrize("seeds", [(1, 1), (1, 2)])
def test_a_home_picks_up_and_ends_no_run_of_another_home(tmp_path, seeds):
    config = TrackingConfig(
        uri=f"sqlite:///{tmp_path}/shared.db", artifacts=str(tmp_path / "files")
    )
    ours, theirs = (MlflowTracker(config, Store(tmp_path / name)) for name in "ab")
    for tracker, seed in zip((ours, theirs), seeds, strict=True):
        tracker.start("dupn-2026-03-02")
        tracker.params({"seed": seed})
    assert ours.run_id != theirs.run_id
    assert not ours.ended(ours.run_id)
    again = MlflowTracker(config, ours.store)
    assert again.start("dupn-2026-03-02") == ours.run_id
    again.params({"seed": 3})  # it is left as killed, and the new one is ours, too
    assert MlflowTracker(config, ours.store).start("dupn-2026-03-02") == again.run_id


def test_a_run_of_before_runs_had_a_home_is_picked_up(tracker, store):
    client, known = tracker.client, experiment_id(TrackingConfig(), store, tracker.client)
    left = client.create_run(known, run_name="of before").info.run_id
    assert tracker.start("of before") == left


def test_figures_that_mlflow_does_not_take_hold_up_no_work(tmp_path, caplog, monkeypatch):
    """It is asked twice, then not for minutes, which is said once."""
    for name in ("BACKOFF_FACTOR", "BACKOFF_JITTER"):
        monkeypatch.setenv(f"MLFLOW_HTTP_REQUEST_{name}", "0")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "99")
    with refusing.mlflow(503) as (address, asked):
        tracker = MlflowTracker(TrackingConfig(uri=address), Store(tmp_path))
        tracker.run_id = "x"
        for step in range(3):
            tracker.metrics({"loss": 1.0}, step)
        assert len(asked) == 2
        assert caplog.text.count("figures of step") == 1
        assert "next 10 minutes are not sent" in caplog.text
        tracker._mute_until = 0.0
        tracker.metrics({"loss": 1.0}, 3)
        assert len(asked) == 4
    assert "MLFLOW_HTTP_REQUEST_MAX_RETRIES" not in os.environ
    assert os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"] == "99"


def test_figures_that_mlflow_refuses_do_not_end_the_work(tmp_path, caplog):
    with refusing.mlflow(403) as (address, _):
        tracker = MlflowTracker(TrackingConfig(uri=address), Store(tmp_path))
        tracker.metrics({"loss": 1.0}, 7)
    assert "the figures of step 7 are not in MLflow" in caplog.text


def test_the_name_of_an_experiment_that_mlflow_refuses_is_told(store):
    config = TrackingConfig(experiment="x" * 600)
    with pytest.raises(RegistryError, match=r"refused: .*500"):
        experiment_id(config, store, connect(tracking_uri(config, store)))
