"""Learning as a whole: determinism, resuming, refusing, recording."""

from contextlib import contextmanager
from functools import partial
from unittest.mock import Mock

import numpy as np
import pyarrow as pa
import pytest

from infra.errors import PartitionMissing, TrainingError
from infra.tracking import MlflowTracker, TrackingConfig
from tests import refusing
from tests.training.growing import correct_catalog
from tests.training.slowly import killed_after_three_steps
from tests.training.small import same
from training import checkpoint
from training.checkpoint import load_model
from training.config import Task, TrainConfig
from training.data import Position, Samples
from training.fit import carry_out, fit, prepared
from training.learner import Learner
from training.run import Run
from training.validation import judge, judging


def weights(fitted):
    return load_model(fitted.checkpoint).state_dict()


class Cut(Exception):
    pass


def stopping_after(steps):
    """A progress bar that breaks off the run."""

    class Bar:
        left = steps

        def advance(self, done=1, **figures):
            self.left -= 1
            if not self.left:
                raise Cut

    @contextmanager
    def bar(*args, **options):
        yield Bar()

    return bar


def replace_samples(store, day, **columns):
    """The day's samples with some columns replaced (None: all null)."""
    partition = store.partition("samples", day)
    table = partition.table()
    for name, value in columns.items():
        place = table.column_names.index(name)
        field = table.schema.field(place)
        array = pa.nulls(len(table), field.type) if value is None else value
        table = table.set_column(place, field, array)
    with partition.publish() as out:
        out.record([out.write_table("part", table)])


@pytest.fixture
def own(make_store, tmp_path):
    return make_store(tmp_path)


@pytest.fixture
def eager(quick):
    """Two epochs, a checkpoint after every step."""
    return quick.model_copy(update={"epochs": 2, "checkpoint_every_s": 0.0})


def test_the_same_seed_gives_the_same_weights(own, days, tiny, quick):
    one = fit(own, days, tiny, quick, seed=1, run_name="one")
    two = fit(own, days, tiny, quick, seed=1, run_name="two")
    other = fit(own, days, tiny, quick, seed=2, run_name="other")
    assert same(weights(one), weights(two))
    assert not same(weights(one), weights(other))
    assert one.metrics == two.metrics
    assert one.moments == 600


@pytest.mark.parametrize(("cuts", "shards"), [((1,), 1), ((4, 7), 1), ((11, 1), 1), ((5,), 2)])
def test_a_run_that_is_cut_off_goes_on_to_the_same_weights(own, days, tiny, eager, cuts, shards):
    eager = eager.model_copy(update={"shards": shards})
    whole = fit(own, days, tiny, eager, seed=1, run_name="whole")
    for steps in cuts:
        with pytest.raises(Cut):
            fit(own, days, tiny, eager, seed=1, run_name="cut", progress=stopping_after(steps + 1))
    resumed = fit(own, days, tiny, eager, seed=1, run_name="cut")
    assert resumed.resumed
    assert same(weights(resumed), weights(whole))
    assert resumed.metrics == whole.metrics
    assert (resumed.steps, resumed.moments) == (whole.steps, 1200)


def test_how_often_a_checkpoint_is_written_changes_nothing(own, days, tiny, eager):
    rare = eager.model_copy(update={"checkpoint_every_s": 1e9})
    one = fit(own, days, tiny, eager, seed=1, run_name="often")
    two = fit(own, days, tiny, rare, seed=1, run_name="rarely")
    assert same(weights(one), weights(two))


def test_kill_9_and_go_on_equals_an_undisturbed_run(own, days, tiny, eager, tmp_path):
    whole = fit(own, days, tiny, eager, seed=1, run_name="whole")
    told = [tmp_path, "killed", tiny.model_dump_json(), eager.model_dump_json(), *days]
    killed_after_three_steps("train_slowly.py", checkpoint.progress(own, "killed"), *told)
    assert not checkpoint.final(own, "killed").exists()
    resumed = fit(own, days, tiny, eager, seed=1, run_name="killed")
    assert resumed.resumed
    assert same(weights(resumed), weights(whole))


def test_a_finished_run_is_not_trained_again(own, days, tiny, quick):
    one = fit(own, days, tiny, quick, seed=1, run_name="run")
    written = one.checkpoint.manifest().written_at
    again = fit(own, days, tiny, quick, seed=1, run_name="run")
    assert again.metrics == one.metrics
    assert again.checkpoint.manifest().written_at == written
    fresh = fit(own, days, tiny, quick, seed=1, run_name="run", resume=False)
    assert same(weights(fresh), weights(one))
    assert not fresh.resumed


def test_a_finished_run_with_other_settings_is_trained_anew(own, days, tiny, quick):
    one = fit(own, days, tiny, quick, seed=1, run_name="run")
    before = weights(one)
    two = fit(own, days, tiny, quick, seed=2, run_name="run")
    assert not same(before, weights(two))


def test_a_checkpoint_that_does_not_fit_says_what_differs(own, days, tiny, eager):
    with pytest.raises(Cut):
        fit(own, days, tiny, eager, seed=1, run_name="cut", progress=stopping_after(3))
    other = eager.model_copy(update={"learning_rate": 0.5})
    with pytest.raises(TrainingError, match=r"train.learning_rate was 0.1 and is 0.5"):
        fit(own, days, tiny, other, seed=1, run_name="cut")
    with pytest.raises(TrainingError, match=r"inputs.2026-03-03 was \w+ and is absent"):
        fit(own, days[:1], tiny, eager, seed=1, run_name="cut")
    assert fit(own, days, tiny, other, seed=1, run_name="cut", resume=False).steps


def test_a_corrected_catalog_is_learnt_anew(own, days, tiny, quick):
    before = weights(fit(own, days, tiny, quick, seed=1, run_name="run"))
    correct_catalog(own, days[1])
    after = weights(fit(own, days, tiny, quick, seed=1, run_name="run"))
    assert not same(before, after)
    assert same(after, weights(fit(own, days, tiny, quick, seed=1, run_name="fresh")))


def test_a_run_that_is_cut_off_does_not_go_on_with_another_catalog(own, days, tiny, eager):
    with pytest.raises(Cut):
        fit(own, days, tiny, eager, seed=1, run_name="cut", progress=stopping_after(3))
    correct_catalog(own, days[0])
    with pytest.raises(TrainingError, match=r"catalogs.2026-03-02 was \w+ and is \w+. Start"):
        fit(own, days, tiny, eager, seed=1, run_name="cut")


def test_what_there_is_to_learn_is_learnt(own, days, tiny, quick):
    config = quick.model_copy(update={"epochs": 6})
    fitted = fit(own, days, tiny, config, seed=1, run_name="run")
    first = {name: value for name, value in fitted.metrics.items() if "progressive" in name}
    last = {name: value for name, value in fitted.metrics.items() if "repeated" in name}
    for task in ("ctr", "l2r", "ppp"):
        assert last[f"repeated_{task}_loss"] < first[f"progressive_{task}_loss"] * 0.95
    assert last["repeated_ctr_auc"] > 0.75
    assert last["repeated_l2r_auc"] > 0.9
    assert fitted.moments_per_s == pytest.approx(fitted.moments / fitted.seconds)
    assert fitted.candidates_per_s == pytest.approx(fitted.candidates / fitted.seconds)


def poison(store, day, value):
    """Every ranking feature of the day is `value`."""
    lists = store.partition("samples", day).table()["cand_features"].combine_chunks()
    inner = lists.flatten()
    poisoned = pa.ListArray.from_arrays(
        inner.offsets, pa.array(np.full(len(inner.flatten()), value, np.float32))
    )
    features = pa.ListArray.from_arrays(lists.offsets, poisoned, mask=lists.is_null())
    replace_samples(store, day, cand_features=features)


def test_a_loss_that_is_not_a_number_names_step_and_task(own, days, tiny, quick):
    poison(own, days[0], np.nan)
    with pytest.raises(TrainingError, match="the l2r loss is nan at step 0"):
        fit(own, days[:1], tiny, quick, seed=1, run_name="run")
    assert not checkpoint.final(own, "run").exists()


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_judging_loss_that_is_not_a_number_names_day_and_task(own, days, tiny, quick, value):
    poison(own, days[1], value)
    config = quick.model_copy(update={"validation_days": 1})
    with pytest.raises(TrainingError, match=r"the l2r loss is (nan|inf) on 2026-03-03 .*Lower"):
        fit(own, days, tiny, config, seed=1, run_name="run")
    assert not checkpoint.final(own, "run").exists()


def test_tasks_that_nobody_is_asked_are_refused_or_named(own, days, tiny, quick, caplog):
    for day in days:
        replace_samples(own, day, icon=None, icon_followed=None)
    only = quick.model_copy(update={"tasks": (Task.FIFP,)})
    with pytest.raises(TrainingError, match="none of the tasks fifp is asked"):
        fit(own, days, tiny, only, seed=1, run_name="only")
    fitted = fit(own, days, tiny, quick, seed=1, run_name="most")
    assert "fifp is asked nowhere" in caplog.text
    assert not any("fifp" in name for name in fitted.metrics)


def test_missing_and_empty_days_are_refused(make_store, tmp_path, days, tiny, quick):
    store = make_store(tmp_path, moments=0)
    with pytest.raises(TrainingError, match="no sample to read"):
        fit(store, days, tiny, quick, seed=1, run_name="run")
    with pytest.raises(PartitionMissing, match="samples/dt=2026-03-01"):
        fit(store, [days[0].replace(day=1), *days], tiny, quick, seed=1, run_name="run")


def test_bf16_and_every_task_train(own, days, tiny):
    config = TrainConfig(
        tasks=tuple(Task), precision="bf16", batch_size=128, learning_rate=0.1, threads=1
    )
    fitted = fit(own, days, tiny, config, seed=1, run_name="run")
    assert {name.split("_")[1] for name in fitted.metrics} == {task.value for task in Task}


def test_the_published_model_answers_like_the_one_that_was_trained(own, days, tiny, quick):
    fitted = fit(own, days, tiny, quick, seed=1, run_name="run")
    model = load_model(fitted.checkpoint)
    assert not model.training
    assert model.config == tiny
    assert model.sizes.profile == (22, 22)
    with pytest.raises(PartitionMissing, match="dupn train"):
        load_model(checkpoint.final(own, "absent"))


@pytest.mark.parametrize("stop", [Cut, KeyboardInterrupt])
def test_why_a_run_failed_is_told_at_once_though_mlflow_is_away(
    own, days, tiny, quick, monkeypatch, caplog, stop
):
    for name in ("BACKOFF_FACTOR", "BACKOFF_JITTER"):
        monkeypatch.setenv(f"MLFLOW_HTTP_REQUEST_{name}", "0")
    monkeypatch.setattr(Run, "go", Mock(side_effect=stop))
    with refusing.mlflow(503) as (address, asked):
        tracker = MlflowTracker(TrackingConfig(uri=address), own)
        monkeypatch.setattr(tracker, "start", lambda *_: "f00")
        monkeypatch.setattr(tracker, "params", lambda _: None)
        run = prepared(own, days, tiny, quick, seed=1, run_name="run", tracker=tracker)
        with pytest.raises(stop):
            carry_out(run, True)
    assert len(asked) == 2
    assert "that the run failed is not in MLflow: MLflow at http" in caplog.text


def test_a_run_is_recorded_in_mlflow(own, days, tiny, eager):
    tracker = MlflowTracker(TrackingConfig(), own)
    ran = partial(prepared, own, days, tiny, eager, seed=1, run_name="run", tracker=tracker)
    with pytest.raises(Cut):
        carry_out(ran(), True, stopping_after(3))
    fitted = carry_out(ran(), True)
    runs = tracker.client.search_runs([tracker.client.get_experiment_by_name("dupn").experiment_id])
    (run,) = runs  # the cut run went on
    assert run.info.run_id == fitted.run_id
    assert run.info.status == "FINISHED"
    params = run.data.params
    assert params["train.learning_rate"] == "0.1"
    assert params["model.hidden_dim"] == "8"
    assert (params["lineage.days"], params["lineage.moments"]) == ("2", "600")
    assert len(params["lineage.samples.2026-03-03"]) == 16
    assert len(params["lineage.catalogs.2026-03-03"]) == 16
    for name in ("progressive_ctr_auc", "progressive_ppp_precision", "repeated_l2r_loss"):
        assert run.data.metrics[name] == pytest.approx(fitted.metrics[name])
    assert run.data.metrics["moments_per_s"] > 0
    assert 10 < run.data.metrics["system/process_memory_megabytes"] < 1_000_000
    steps = [p.step for p in tracker.client.get_metric_history(run.info.run_id, "moments_per_s")]
    assert steps[-1] == fitted.steps


def test_the_epoch_that_judged_best_is_kept(own, days, tiny, quick):
    config = quick.model_copy(
        update={"epochs": 30, "validation_days": 1, "patience": 1, "learning_rate": 0.4}
    )
    fitted = fit(own, days, tiny, config, seed=1, run_name="run")
    tally = fitted.checkpoint.manifest().lineage["tally"]
    best = tally["best_epoch"]
    assert fitted.checkpoint.manifest().lineage["days"] == ["2026-03-02"]
    assert best + 2 < 30
    assert fitted.moments == 300 * (best + 2)
    judges = judging(Samples(own, days[1:], load_model(fitted.checkpoint).sizes), config)
    learner = Learner(tiny, config, judges.samples.sizes, 1)
    learner.model.load_state_dict(weights(fitted))
    batches = (one.batch for one in judges.epoch(Position()))
    assert judge(learner, batches)["validation_loss"] == pytest.approx(tally["best_loss"])
    assert fitted.metrics["validation_loss"] == tally["best_loss"]


def test_a_curve_of_validation_ends_with_the_last_epoch_and_the_kept_ones_figures_stand_beside_it(
    own, days, tiny, quick
):
    config = quick.model_copy(
        update={"epochs": 4, "validation_days": 1, "patience": 1, "learning_rate": 0.4}
    )
    tracker = MlflowTracker(TrackingConfig(), own)
    fitted = carry_out(
        prepared(own, days, tiny, config, seed=1, run_name="run", tracker=tracker), True
    )
    history = tracker.client.get_metric_history(fitted.run_id, "validation_loss")
    steps = [point.step for point in history]
    assert len(set(steps)) == len(steps) > 1  # a point an epoch
    (best,) = tracker.client.get_metric_history(fitted.run_id, "best_validation_loss")
    assert best.value == fitted.metrics["validation_loss"] == min(one.value for one in history)


def test_a_run_with_validation_goes_on_too(own, days, tiny, eager):
    config = eager.model_copy(update={"validation_days": 1, "epochs": 3})
    whole = fit(own, days, tiny, config, seed=1, run_name="whole")
    with pytest.raises(Cut):
        fit(own, days, tiny, config, seed=1, run_name="cut", progress=stopping_after(8))
    resumed = fit(own, days, tiny, config, seed=1, run_name="cut")
    assert resumed.metrics == whole.metrics
    assert same(weights(resumed), weights(whole))


def test_validation_must_leave_days_and_have_moments(own, days, tiny, quick):
    held = quick.model_copy(update={"validation_days": 2})
    with pytest.raises(TrainingError, match="leave none to learn from"):
        fit(own, days, tiny, held, seed=1, run_name="run")
    with own.partition("samples", days[1]).publish():
        pass
    with pytest.raises(TrainingError, match="no sample to read"):
        fit(own, days, tiny, held.model_copy(update={"validation_days": 1}), seed=1, run_name="run")
