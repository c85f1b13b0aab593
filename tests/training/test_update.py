"""The nightly update: what it learns and does not, from where, and that it can be cut off."""

from datetime import date, timedelta

import numpy as np
import pytest
import torch

from features.holdout import held_out
from infra.errors import TrainingError
from tests.training.cutting import Cut, CutAfter
from tests.training.growing import correct_catalog, grow_vocabulary, relabel
from tests.training.slowly import killed_after_three_steps
from tests.training.small import same
from training import checkpoint
from training.ancestry import Ancestry
from training.config import Task
from training.data import Position, Reader, Samples
from training.fit import fit
from training.update import plan, prepared, update
from training.update_config import UpdateConfig
from training.update_plan import slices

FIRST = date(2026, 3, 2)
DAYS = [FIRST + timedelta(days=i) for i in range(5)]
CONFIG = UpdateConfig(holdout_share=0.2)
MOMENTS = 120


def samples_of(store, day):
    return store.partition("samples", day).table()


def weights(fitted):
    return checkpoint.load(fitted.checkpoint).weights


def described(parts):
    return [(part.day.day, part.share.value, part.moments) for part in parts]


@pytest.fixture(scope="module")
def trained(make_store, tmp_path_factory, tiny, quick):
    """Five days, of which a first model has learnt two; read only."""
    store = make_store(tmp_path_factory.mktemp("store"), days=5, moments=MOMENTS)
    return store, fit(store, DAYS[:2], tiny, quick, seed=1, run_name="first").checkpoint


@pytest.fixture
def own(make_store, tmp_path, tiny, quick):
    """The same for a test that writes."""
    store = make_store(tmp_path, days=4, moments=MOMENTS)
    return store, fit(store, DAYS[:2], tiny, quick, seed=1, run_name="first").checkpoint


def seen(store, of, config=CONFIG, seed=1):
    """(day, user hash, replayed) of every moment, in the order of learning."""
    learnt = slices(store, of, config, seed)
    days = sorted({piece.part.day for piece in learnt})
    reader = Reader(Samples(store, days, None, learnt), batch_size=32, buffer=200, seed=seed)
    rows = []
    for loaded in reader.epoch(Position()):
        known = loaded.batch.known_B
        again = np.zeros(loaded.batch.size, bool) if known is None else known.numpy()
        rows += [
            (days[i], u, r)
            for i, u, r in zip(loaded.info.day, loaded.info.user_hash, again, strict=True)
        ]
    return rows


def test_the_nights_holdout_is_not_learnt_and_everybody_else_is(trained):
    store, parent = trained
    night = plan(store, parent, DAYS[2], CONFIG)
    users = samples_of(store, DAYS[2])["user_hash"].to_numpy()
    held = held_out(users, DAYS[2], 0.2)
    assert 0 < held.sum() < MOMENTS
    assert described(night.parts) == [(4, "rest", MOMENTS - held.sum())]
    learnt = [user for _, user, _ in seen(store, night)]
    assert sorted(learnt) == sorted(users[~held])


def test_the_labels_of_held_out_users_change_no_weight(own, quick):
    """End to end: whatever they did, the model comes out the same, bit for bit."""
    store, parent = own
    one = update(store, plan(store, parent, DAYS[2], CONFIG), quick, CONFIG, seed=1, run_name="a")
    relabel(store, DAYS[2], lambda users: held_out(users, DAYS[2], 0.2))
    two = update(store, plan(store, parent, DAYS[2], CONFIG), quick, CONFIG, seed=1, run_name="b")
    inputs = [fitted.checkpoint.manifest().lineage["recipe"]["inputs"] for fitted in (one, two)]
    assert inputs[0] != inputs[1]
    assert same(weights(one), weights(two))
    relabel(store, DAYS[2], lambda users: ~held_out(users, DAYS[2], 0.2))
    other = update(store, plan(store, parent, DAYS[2], CONFIG), quick, CONFIG, seed=1, run_name="c")
    assert not same(weights(one), weights(other))


def test_a_night_that_was_not_promoted_is_learnt_by_the_next_one(trained, quick):
    store, parent = trained
    refused = update(
        store, plan(store, parent, DAYS[2], CONFIG), quick, CONFIG, seed=1, run_name="third"
    )
    from_parent = plan(store, parent, DAYS[3], CONFIG)
    from_candidate = plan(store, refused.checkpoint, DAYS[3], CONFIG)
    rest = from_parent.parts[1].moments
    held = MOMENTS - refused.moments
    assert described(from_parent.parts) == [(4, "all", MOMENTS), (5, "rest", rest)]
    assert described(from_candidate.parts) == [(4, "holdout", held), (5, "rest", rest)]
    after = Ancestry.of_lineage(refused.checkpoint.manifest().lineage)
    assert after == plan(store, parent, DAYS[2], CONFIG).after
    assert described(after.parts)[:2] == [(2, "all", MOMENTS), (3, "all", MOMENTS)]


def test_days_are_learnt_oldest_first(trained):
    store, parent = trained
    days = [day for day, _, _ in seen(store, plan(store, parent, DAYS[4], CONFIG))]
    assert days == sorted(days)
    assert set(days) == set(DAYS[2:])


def test_only_the_days_that_may_be_learnt_are(trained):
    store, parent = trained
    night = plan(store, parent, DAYS[4], CONFIG, days={DAYS[2], DAYS[4]})
    assert [part.day for part in night.parts] == [DAYS[2], DAYS[4]]
    assert night.after.missing(DAYS[4]) == (DAYS[3],)


def test_a_day_is_learnt_once_unless_somebody_says_why(trained):
    store, parent = trained
    with pytest.raises(TrainingError, match=r"first has learnt 2026-03-03 already \(all\)"):
        plan(store, parent, DAYS[1], CONFIG)
    again = plan(store, parent, DAYS[1], CONFIG, forced="labels were mended")
    assert [part.forced for part in again.parts] == ["labels were mended"]
    assert Ancestry.of_lineage({"ancestry": again.after.plain()}) == again.after


def test_replay_draws_some_moments_learnt_before_and_none_held_back(trained, quick):
    store, parent = trained
    night = update(
        store, plan(store, parent, DAYS[2], CONFIG), quick, CONFIG, seed=1, run_name="night"
    )
    config = UpdateConfig(holdout_share=0.2, replay_share=0.5)
    rows = seen(store, plan(store, night.checkpoint, DAYS[3], config), config)
    again = [(day, user) for day, user, replayed in rows if replayed]
    assert len(again) == pytest.approx(0.5 * (len(rows) - len(again)), rel=0.5)
    assert {day for day, _ in again} == set(DAYS[:3])
    held = held_out(samples_of(store, DAYS[2])["user_hash"].to_numpy(), DAYS[2], 0.2)
    kept_back = set(samples_of(store, DAYS[2])["user_hash"].to_numpy()[held])
    assert not kept_back & {user for day, user in again if day == DAYS[2]}
    assert rows == seen(store, plan(store, night.checkpoint, DAYS[3], config), config)


def test_what_was_learnt_with_less_weight_is_replayed_with_less(trained, quick):
    store, parent = trained
    light = plan(store, parent, DAYS[2], CONFIG, weights={DAYS[2]: 0.3})
    night = update(store, light, quick, CONFIG, seed=1, run_name="light")
    config = UpdateConfig(holdout_share=0.2, replay_share=1.0)
    after = plan(store, night.checkpoint, DAYS[3], config)
    replayed = {s.part.day: s.part.weight for s in slices(store, after, config, 1) if s.draw}
    assert replayed == {DAYS[0]: 1.0, DAYS[1]: 1.0, DAYS[2]: 0.3}


def test_replayed_moments_are_not_counted_as_predicted(trained, quick):
    store, parent = trained
    config = UpdateConfig(holdout_share=0.2, replay_share=1.0)
    night = plan(store, parent, DAYS[2], config)
    run = prepared(store, night, quick, config, seed=1, run_name="counted")
    known = 0
    run.begin(False)
    for loaded in run.reader.epoch(Position()):
        step = run.learner.judge(loaded.batch)
        run.meters.add(step.outputs, loaded.batch, step.losses)
        known += int(loaded.batch.known_B.sum())
    table = samples_of(store, DAYS[2])
    learnt = ~held_out(table["user_hash"].to_numpy(), DAYS[2], 0.2)
    asked = table["price_level"].is_valid().to_numpy()[learnt].sum()
    assert known > 0
    assert run.meters.of["ppp"].questions == asked


def begun(store, of, train, config):
    """A run with the parent's weights in it, before its first step."""
    run = prepared(store, of, train, config, seed=1, run_name="begun")
    run.begin(False)
    return run


def test_it_starts_from_the_parent_with_its_sums_decayed(trained, quick):
    store, parent = trained
    config = UpdateConfig(accumulator_decay=0.25, learning_rate=0.03)
    run = begun(store, plan(store, parent, DAYS[2], config), quick, config)
    found = checkpoint.load(parent)
    assert same(run.learner.model.state_dict(), found.weights)
    for name, total in run.learner.optimizer.sparse.sums.items():
        assert torch.equal(total, found.optimizer["sparse"][name] * 0.25)
    dense = run.learner.optimizer.dense.state_dict()["state"]
    for index, state in found.optimizer["dense"]["state"].items():
        assert torch.equal(dense[index]["sum"], state["sum"] * 0.25)
    assert run.learner.optimizer.dense.param_groups[0]["lr"] == 0.03
    assert run.learner.optimizer.sparse.lr == quick.learning_rate


def test_a_rate_of_the_night_alone_is_of_the_dense_weights_alone(quick):
    slow = UpdateConfig(learning_rate=0.001)
    assert slow.over(quick).embedding_learning_rate == quick.learning_rate
    own = quick.model_copy(update={"embedding_learning_rate": 0.2})
    assert slow.over(own).embedding_learning_rate == 0.2
    assert UpdateConfig().over(quick).embedding_learning_rate is None  # as `train` says it


def test_what_a_parent_was_taught_counts_for_an_update_of_fewer_tasks(own, quick):
    store, parent = own
    fewer = quick.model_copy(update={"tasks": (Task.CTR,)})
    night = update(store, plan(store, parent, DAYS[2], CONFIG), fewer, CONFIG, seed=1, run_name="f")
    told = night.checkpoint.manifest().lineage
    assert told["recipe"]["train"]["tasks"] == ["ctr"]
    assert checkpoint.taught(night.checkpoint) == checkpoint.taught(parent) == set(quick.tasks)
    assert len(quick.tasks) > 1


def test_an_update_that_is_cut_off_goes_on_to_the_same_weights(own, quick):
    store, parent = own
    grow_vocabulary(store, DAYS[3], 5)
    config = UpdateConfig(holdout_share=0.2, replay_share=0.5, epochs=2)
    eager = quick.model_copy(update={"checkpoint_every_s": 0.0})
    night = plan(store, parent, DAYS[3], config)
    whole = update(store, night, eager, config, seed=1, run_name="whole")
    for steps in (2, 6):
        with pytest.raises(Cut):
            update(store, night, eager, config, seed=1, run_name="cut", progress=CutAfter(steps))
    resumed = update(store, night, eager, config, seed=1, run_name="cut")
    assert resumed.resumed
    assert same(weights(resumed), weights(whole))
    assert resumed.metrics == whole.metrics
    assert not same(weights(whole), weights_of_seed(store, night, eager, config, 2))


def weights_of_seed(store, night, train, config, seed):
    return weights(update(store, night, train, config, seed=seed, run_name=f"seed{seed}"))


def test_a_finished_update_is_not_done_again_unless_something_changed(own, quick):
    store, parent = own
    night = plan(store, parent, DAYS[2], CONFIG)
    one = update(store, night, quick, CONFIG, seed=1, run_name="night")
    written = one.checkpoint.manifest().written_at, checkpoint.digest(one.checkpoint)
    again = update(store, night, quick, CONFIG, seed=1, run_name="night")
    assert again.metrics == one.metrics
    assert (again.checkpoint.manifest().written_at, checkpoint.digest(again.checkpoint)) == written
    faster = CONFIG.model_copy(update={"accumulator_decay": 0.5})
    other = update(store, night, quick, faster, seed=1, run_name="night")
    assert checkpoint.digest(other.checkpoint) != written[1]
    before = weights(other)
    correct_catalog(store, DAYS[2])
    anew = update(store, night, quick, faster, seed=1, run_name="night")
    assert not same(weights(anew), before)


def test_a_moment_of_less_weight_moves_the_network_less(trained, quick):
    store, parent = trained
    light = plan(store, parent, DAYS[2], CONFIG, weights={DAYS[2]: 0.5})
    assert light.parts[0].weight == 0.5
    run = begun(store, light, quick, CONFIG)
    model, loaded = run.learner.model.eval(), next(run.reader.epoch(Position()))
    out = model(loaded.batch)
    losses = model.losses(out, loaded.batch, tuple(Task))
    assert loaded.batch.weight_B.unique().tolist() == [0.5]
    loaded.batch.weight_B = None
    full = model.losses(out, loaded.batch, tuple(Task))
    for task in Task:
        assert full[task] > 0
        assert losses[task].item() == pytest.approx(full[task].item() / 2)


def test_nothing_to_learn_and_a_name_of_the_parent_are_refused(own, quick):
    store, parent = own
    night = plan(store, parent, DAYS[2], CONFIG)
    with pytest.raises(TrainingError, match="first cannot be trained from itself"):
        update(store, night, quick, CONFIG, seed=1, run_name="first")
    with pytest.raises(TrainingError, match="nothing that first has not learnt by 2026-03-04"):
        update(
            store,
            plan(store, parent, DAYS[2], CONFIG, days=()),
            quick,
            CONFIG,
            seed=1,
            run_name="x",
        )


def test_what_was_begun_from_another_parent_is_begun_again(own, quick):
    store, parent = own
    eager = quick.model_copy(update={"checkpoint_every_s": 0.0})
    night = plan(store, parent, DAYS[2], CONFIG)
    other = update(store, night, quick, CONFIG, seed=1, run_name="promoted").checkpoint
    with pytest.raises(Cut):
        update(store, night, eager, CONFIG, seed=1, run_name="next", progress=CutAfter(2))
    whole = update(
        store, plan(store, other, DAYS[3], CONFIG), eager, CONFIG, seed=1, run_name="next"
    )
    assert not whole.resumed
    assert whole.checkpoint.manifest().lineage["parent"] == "promoted"


@pytest.mark.drill
def test_kill_9_in_the_middle_of_an_update_and_go_on(own, quick, tmp_path):
    store, parent = own
    config = UpdateConfig(holdout_share=0.2, replay_share=0.5, epochs=2)
    eager = quick.model_copy(update={"checkpoint_every_s": 0.0})
    night = plan(store, parent, DAYS[3], config)
    whole = update(store, night, eager, config, seed=1, run_name="whole")
    told = [tmp_path, "first", "killed", DAYS[3], eager.model_dump_json(), config.model_dump_json()]
    killed_after_three_steps("update_slowly.py", checkpoint.progress(store, "killed"), *told)
    assert not checkpoint.final(store, "killed").exists()
    resumed = update(store, night, eager, config, seed=1, run_name="killed")
    assert resumed.resumed
    assert same(weights(resumed), weights(whole))


def test_a_day_that_was_published_again_after_the_plan_is_refused(own, quick):
    store, parent = own
    night = plan(store, parent, DAYS[2], CONFIG)
    relabel(store, DAYS[2], lambda users: users > 0)
    with pytest.raises(TrainingError, match="samples/dt=2026-03-04 was published again"):
        update(store, night, quick, CONFIG, seed=1, run_name="night")
