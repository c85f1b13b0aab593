"""A task that is asked nowhere is not learnt: its head stays as it was, and everybody is told."""

from datetime import timedelta

import pyarrow as pa
import pytest

from features.schemas import PRICED_CLICKS, QUESTIONS
from infra.errors import TrainingError
from tests.training.conftest import FIRST
from tests.training.cutting import Cut, CutAfter
from tests.training.small import same
from training import asked, checkpoint
from training.config import Task
from training.data import Samples
from training.fit import fit, prepared
from training.learner import Learner
from training.model.dupn import Dupn
from training.peers import fitting
from training.peers.held import Held
from training.update import plan, update
from training.update_config import UpdateConfig

NIGHT = FIRST + timedelta(days=2)
ICONS = ("icon", "icon_followed")
CANDIDATES = ("cand_item", "cand_clicked", "cand_label", "cand_weight", "cand_features",
              "cand_purchased", "cand_origin")  # fmt: skip


@pytest.fixture
def own(make_store, tmp_path):
    """Three days whose samples count their questions, as the job's do."""
    store = make_store(tmp_path, days=3, moments=150)
    for day in store.days("samples"):
        silenced(store, day)
    return store


def silenced(store, day, *columns, counted=True, priced=None):
    """Publish the day's samples again, `columns` null throughout."""
    place = store.partition("samples", day)
    table, lineage = place.table(), place.manifest().lineage
    for name in columns:
        at = table.column_names.index(name)
        field = table.schema.field(at)
        table = table.set_column(at, field, pa.nulls(len(table), field.type))
    counts = {task: len(table) - table[column].null_count for column, task in QUESTIONS.items()}
    counts |= {} if priced is None else {PRICED_CLICKS: priced}
    with place.publish(**lineage) as out:
        out.record([out.write_table("part", table, counts=counts if counted else None)])


def head(weights, task=Task.FIFP):
    return {name: w for name, w in weights.items() if name.startswith(f"{task}.")}


def nowhere(store, days, config):
    return asked.nowhere([store.partition("samples", day).manifest() for day in days], config)


def weights(place):
    return checkpoint.load(place).weights


def test_the_head_of_a_task_that_is_asked_nowhere_stays_as_it_was(own, days, tiny, quick):
    for day in days:
        silenced(own, day, *ICONS)
    found = weights(fit(own, days, tiny, quick, seed=1, run_name="run").checkpoint)
    fresh = Learner(tiny, quick, Samples(own, days).sizes, 1).model.state_dict()
    assert same(head(found), head(fresh))
    assert not same(head(found, Task.CTR), head(fresh, Task.CTR))


@pytest.mark.parametrize("counted", [True, False])
def test_what_was_asked_nowhere_was_not_taught_cut_off_or_not(own, days, tiny, quick, counted):
    """Days published before questions were counted are trained as they were, and told apart."""
    for day in days:
        silenced(own, day, *ICONS, counted=counted)
    assert nowhere(own, days, quick) == ({Task.FIFP} if counted else set())
    most = set(quick.tasks) - {Task.FIFP}
    eager = quick.model_copy(update={"checkpoint_every_s": 0.0})
    with pytest.raises(Cut):
        fit(own, days, tiny, eager, seed=1, run_name="run", progress=CutAfter(3))
    assert checkpoint.taught(checkpoint.progress(own, "run")) == most
    run = prepared(own, days, tiny, eager, seed=1, run_name="run")
    run.begin(True)
    assert run.taught == most  # whatever is asked after the cut
    fitted = fit(own, days, tiny, eager, seed=1, run_name="run")
    assert fitted.resumed
    assert checkpoint.taught(fitted.checkpoint) == most


def test_a_night_that_asks_less_leaves_the_head_and_what_its_parent_was_taught(
    own, days, tiny, quick
):
    silenced(own, NIGHT, *ICONS)
    parent = fit(own, days, tiny, quick, seed=1, run_name="parent").checkpoint
    config = UpdateConfig(holdout_share=0.2, replay_share=0.0)
    night = update(own, plan(own, parent, NIGHT, config), quick, config, seed=1, run_name="night")
    before, after = weights(parent), weights(night.checkpoint)
    assert same(head(after), head(before))
    assert not same(head(after, Task.CTR), head(before, Task.CTR))
    assert checkpoint.taught(night.checkpoint) == set(quick.tasks)


def test_one_day_that_asks_is_enough_and_clicks_may_ask_of_prices(own, days, quick):
    silenced(own, days[0], "price_level", *ICONS)
    assert nowhere(own, days, quick) == set()
    assert nowhere(own, days[:1], quick) == {Task.FIFP, Task.PPP}
    clicks = quick.model_copy(update={"click_prices": 0.5})
    assert nowhere(own, days[:1], clicks) == {Task.FIFP}
    silenced(own, days[0], *CANDIDATES)
    assert nowhere(own, days[:1], quick) == set()  # not one of them is: that is an error of its own
    shops = clicks.model_copy(update={"tasks": (*quick.tasks, Task.SPP)})
    assert nowhere(own, days[:1], shops) == set(quick.tasks)


@pytest.mark.parametrize(("priced", "left"), [(0, {Task.FIFP, Task.PPP}), (3, {Task.FIFP})])
def test_clicks_ask_of_prices_only_where_something_clicked_has_one(own, days, quick, priced, left):
    """Otherwise a loss that is always zero would wear the head down."""
    silenced(own, days[0], "price_level", *ICONS, priced=priced)
    clicks = quick.model_copy(update={"click_prices": 0.5})
    assert nowhere(own, days[:1], clicks) == left


def test_days_that_judge_nothing_keep_the_last_epoch_and_say_so(own, days, tiny, quick, caplog):
    """Neither the first epoch, nor one that a task chose which is learnt nowhere."""
    silenced(own, NIGHT, "price_level", *CANDIDATES)
    silenced(own, days[0], *ICONS)
    learnt = (Task.CTR, Task.FIFP)
    config = quick.model_copy(
        update={"tasks": learnt, "epochs": 4, "patience": 1, "validation_days": 1}
    )
    judged = [days[0], NIGHT]
    fitted = fit(own, judged, tiny, config, seed=1, run_name="run")
    tally = fitted.checkpoint.manifest().lineage["tally"]
    assert (tally["best_epoch"], tally["best_loss"]) == (3, None)
    assert fitted.moments == 4 * 150
    assert "validation_loss" not in fitted.metrics
    assert "the tasks ctr, fifp is asked in any of 150 moments of 2026-03-04" in caplog.text
    alone = config.model_copy(update={"validation_days": 0})
    last = fit(own, days[:1], tiny, alone, seed=1, run_name="alone")
    assert same(weights(fitted.checkpoint), weights(last.checkpoint))


def test_a_fit_of_a_study_is_not_judged_by_moments_that_ask_it_nothing(own, days, tiny, quick):
    silenced(own, days[1], *ICONS)
    config = quick.model_copy(update={"tasks": (Task.FIFP,)})
    course = fitting.Course(*(Held.read(own, [day]) for day in days), config)
    with pytest.raises(
        TrainingError, match=r"none of the tasks fifp .* the \d+ moments that judge"
    ):
        fitting.fit(Dupn, tiny, course, seed=1)
