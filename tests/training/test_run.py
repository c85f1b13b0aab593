"""A run from its first step to its last file, and what is left of it when it is cut off there."""

from dataclasses import replace
from functools import partial

import pyarrow as pa
import pytest
import torch

from infra.errors import TrainingError
from infra.tracking import SilentTracker
from tests.training.cutting import Cut, CutAfter
from tests.training.growing import grow_vocabulary
from tests.training.small import same
from training import checkpoint
from training.config import Task
from training.data import Position, Reader, Samples
from training.fit import carry_out, fit, prepared
from training.learner import Learner
from training.progressive import Meters
from training.run import Run
from training.validation import of_the_best


@pytest.fixture
def own(make_store, tmp_path):
    return make_store(tmp_path, moments=150)


def content(fitted):
    return checkpoint.load(fitted.checkpoint)


def test_a_run_is_its_batches_learnt_one_after_the_other(own, days, tiny, quick):
    """And the figures of an epoch are of that epoch alone."""
    config = quick.model_copy(update={"epochs": 2})
    fitted = fit(own, days, tiny, config, seed=4, run_name="run")
    samples = Samples(own, days)
    reader = Reader(samples, batch_size=64, buffer=200, seed=4)
    learner = Learner(tiny, config, samples.sizes, 4)
    figures, steps = {}, 0
    for epoch, prefix in enumerate(("progressive", "repeated")):
        meters = Meters(config.tasks)
        for loaded in reader.epoch(Position(epoch)):
            step = learner.learn(loaded.batch, steps)
            meters.add(step.outputs, loaded.batch, step.losses)
            steps += 1
        figures |= meters.figures(prefix)
    assert fitted.metrics == figures
    assert (fitted.steps, fitted.moments) == (steps, 600)
    assert same(content(fitted).weights, learner.model.state_dict())


def test_the_second_pass_over_the_days_is_of_moments_that_were_seen(own, days, tiny, quick):
    """Where L2R learns from moments at first sight, that is the first pass, cut off or not."""
    config = quick.model_copy(update={"epochs": 2, "ranks_unseen": True})
    fitted = fit(own, days, tiny, config, seed=4, run_name="run")
    samples = Samples(own, days)
    reader = Reader(samples, batch_size=64, buffer=200, seed=4)
    learner = Learner(tiny, config, samples.sizes, 4)
    for epoch in range(2):
        for loaded in reader.epoch(Position(epoch)):
            learner.learn(loaded.batch, 0, seen=epoch == 1)
    assert same(content(fitted).weights, learner.model.state_dict())
    eager = config.model_copy(update={"checkpoint_every_s": 0.0})
    with pytest.raises(Cut):
        fit(own, days, tiny, eager, seed=4, run_name="cut", progress=CutAfter(8))
    resumed = fit(own, days, tiny, eager, seed=4, run_name="cut")
    assert resumed.resumed
    assert resumed.steps > 8 > resumed.steps / 2  # it was cut off in the second pass
    assert same(content(resumed).weights, content(fitted).weights)
    again = fit(own, days, tiny, config.model_copy(update={"ranks_unseen": False}), seed=4,
                run_name="again")  # fmt: skip
    assert not torch.equal(
        content(again).weights["l2r.weight.0.weight"],
        content(fitted).weights["l2r.weight.0.weight"],
    )


def test_of_the_best_epoch_the_sums_of_gradients_are_kept_too(own, days, tiny, quick):
    """As if training had stopped there: an update starts from both."""
    config = quick.model_copy(
        update={"epochs": 9, "validation_days": 1, "patience": 1, "learning_rate": 0.6}
    )
    fitted = fit(own, days, tiny, config, seed=1, run_name="run")
    best = fitted.checkpoint.manifest().lineage["tally"]["best_epoch"]
    assert fitted.moments > 150 * (best + 1)
    there = config.model_copy(update={"epochs": best + 1})
    stopped = fit(own, days, tiny, there, seed=1, run_name="stopped")
    one, two = content(fitted), content(stopped)
    assert same(one.weights, two.weights)
    assert same(one.optimizer["sparse"], two.optimizer["sparse"])
    sums = [c.optimizer["dense"]["state"] for c in (one, two)]
    assert all(torch.equal(sums[0][k]["sum"], sums[1][k]["sum"]) for k in sums[0] | sums[1])


def cut_in_the_second_epoch(store, days, tiny, config, **options):
    """Its first epoch has judged and is put aside; a day has three batches."""
    with pytest.raises(Cut):
        fit(store, days, tiny, config, seed=1, run_name="run", progress=CutAfter(5), **options)


def test_a_run_that_starts_afresh_leaves_nothing_of_another_to_go_on_from(own, days, tiny, quick):
    config = quick.model_copy(update={"epochs": 3, "validation_days": 1, "learning_rate": 0.5})
    eager = config.model_copy(update={"checkpoint_every_s": 0.0})
    whole = fit(own, days, tiny, eager, seed=1, run_name="whole")
    cut_in_the_second_epoch(own, days, tiny, eager)
    slower = config.model_copy(update={"learning_rate": 1e-3, "checkpoint_every_s": 1e9})
    cut_in_the_second_epoch(own, days, tiny, slower, resume=False)
    fitted = fit(own, days, tiny, eager, seed=1, run_name="run")
    assert not fitted.resumed
    assert same(content(fitted).weights, content(whole).weights)


@pytest.mark.parametrize("left", ["another recipe", "another epoch", "nothing"])
def test_what_is_not_the_epoch_that_judged_best_is_not_published(own, days, tiny, quick, left):
    config = quick.model_copy(update={"epochs": 2, "validation_days": 1, "checkpoint_every_s": 0.0})
    cut_in_the_second_epoch(own, days, tiny, config)
    place = checkpoint.best(own, "run")
    found = replace(checkpoint.load(place), facts={})
    changed = {
        "another recipe": replace(found, recipe=replace(found.recipe, seed=7)),
        "another epoch": replace(found, position=Position(5)),
    }
    checkpoint.clear(place)
    if left in changed:
        checkpoint.save(place, changed[left])
    run = prepared(own, days, tiny, config, seed=1, run_name="run")
    run.begin(True)
    with pytest.raises(TrainingError, match=r"run/best .* --set train\.resume=false"):
        run.finish()
    assert not run.final.exists()


def test_days_that_judge_may_name_rows_that_the_network_does_not_have(own, days, tiny, quick):
    before = Samples(own, days[:1]).sizes
    fresh, _ = grow_vocabulary(own, days[1], 5)
    place = own.partition("samples", days[1])
    table = place.table()
    shown = [row and [fresh[0]["row"], *row[1:]] for row in table["cand_item"].to_pylist()]
    at = table.column_names.index("cand_item")
    field = table.schema.field(at)
    with place.publish() as out:
        new = table.set_column(at, field, pa.array(shown, field.type))
        out.record([out.write_table("part", new)])
    config = quick.model_copy(update={"validation_days": 1, "tasks": (Task.CTR,)})
    fitted = fit(own, days, tiny, config, seed=1, run_name="run")
    assert content(fitted).recipe.sizes == before


def test_a_run_that_is_cut_off_before_its_model_is_published_goes_on(
    own, days, tiny, quick, monkeypatch
):
    eager = quick.model_copy(update={"checkpoint_every_s": 0.0})
    whole = fit(own, days, tiny, eager, seed=1, run_name="whole")
    save = checkpoint.save

    def cut(partition, content):
        if partition == checkpoint.final(own, "run"):
            raise Cut
        save(partition, content)

    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "save", cut)
        with pytest.raises(Cut):
            fit(own, days, tiny, eager, seed=1, run_name="run")
    resumed = fit(own, days, tiny, eager, seed=1, run_name="run")
    assert resumed.resumed
    assert resumed.steps == whole.steps
    assert same(content(resumed).weights, content(whole).weights)


class Telling(SilentTracker):
    """Records what a run tells; no run has ended before it says so."""

    def __init__(self):
        self.told = []

    def ended(self, run_id):
        return "ended" in self.told

    def metrics(self, values, step=0):
        self.told.append(dict(values))

    def end(self, *, failed=False):
        self.told.append("failed" if failed else "ended")


def test_a_run_that_is_cut_off_after_its_model_is_published_is_told_and_tidied_up(
    own, days, tiny, quick, monkeypatch, tmp_path
):
    eager = quick.model_copy(update={"checkpoint_every_s": 0.0, "validation_days": 1})

    def cut(run):
        raise Cut

    with monkeypatch.context() as patch:
        patch.setattr(Run, "clear", cut)
        with pytest.raises(Cut):
            fit(own, days, tiny, eager, seed=1, run_name="run")
    tracker = Telling()
    told_to = partial(prepared, own, days, tiny, eager, seed=1, run_name="run", tracker=tracker)
    found = carry_out(told_to(), True)
    told, end = tracker.told
    assert end == "ended"
    assert told.items() >= of_the_best(found.metrics).items()
    left = {path.parent.name for path in (tmp_path / "checkpoints" / "run").rglob("*.pt")}
    assert left == {"final"}
    carry_out(told_to(), True)
    assert len(tracker.told) == 2
