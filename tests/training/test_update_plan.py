"""What a night learns and draws again, told from the plan alone."""

from dataclasses import replace
from datetime import date, timedelta

import pytest

from training.ancestry import Ancestry, Part
from training.data import Position, Reader, Samples
from training.fit import fit
from training.update import plan, prepared, update
from training.update_config import UpdateConfig
from training.update_plan import slices

FIRST = date(2026, 3, 2)
DAYS = [FIRST + timedelta(days=i) for i in range(5)]
MOMENTS = 90


@pytest.fixture(scope="module")
def trained(make_store, tmp_path_factory, tiny, quick):
    """Five days, of which a first model has learnt three; read only."""
    store = make_store(tmp_path_factory.mktemp("plans"), days=5, moments=MOMENTS)
    return store, fit(store, DAYS[:3], tiny, quick, seed=1, run_name="first").checkpoint


def replayed(store, of, config):
    return [piece for piece in slices(store, of, config, 1) if piece.draw is not None]


def test_every_day_has_the_weight_that_is_its_own(trained):
    store, parent = trained
    night = plan(store, parent, DAYS[4], UpdateConfig(), weights={DAYS[3]: 0.3})
    assert [(part.day, part.weight) for part in night.parts] == [(DAYS[3], 0.3), (DAYS[4], 1.0)]


def test_replay_draws_from_the_newest_days_only(trained):
    store, parent = trained
    config = UpdateConfig(replay_share=1.0, replay_days=1)
    night = plan(store, parent, DAYS[3], config)
    assert {piece.part.day for piece in replayed(store, night, config)} == {DAYS[2]}


def test_a_small_share_is_replayed_though_a_row_group_is_larger(trained):
    store, parent = trained
    config = UpdateConfig(replay_share=0.05)
    night = plan(store, parent, DAYS[3], config)
    (piece,) = replayed(store, night, config)
    assert piece.draw.keep == pytest.approx(0.05 * night.moments / 45)  # half a day a row group


def test_a_day_that_is_not_there_any_more_is_not_replayed(make_store, tmp_path, tiny, quick):
    store = make_store(tmp_path, days=3, moments=30)
    parent = fit(store, DAYS[:2], tiny, quick, seed=1, run_name="first").checkpoint
    (tmp_path / "catalog" / f"dt={DAYS[0]}" / "_manifest.json").unlink()
    config = UpdateConfig(replay_share=1.0)
    night = plan(store, parent, DAYS[2], config)
    assert {piece.part.day for piece in replayed(store, night, config)} == {DAYS[1]}


def test_a_day_is_replayed_as_it_was_learnt_last(trained):
    store, parent = trained
    config = UpdateConfig(replay_share=1.0, replay_days=1)
    twice = Ancestry((Part(day=DAYS[2], weight=0.2), Part(day=DAYS[2], weight=0.7)))
    night = replace(plan(store, parent, DAYS[3], config), ancestry=twice)
    assert {piece.part.weight for piece in replayed(store, night, config)} == {0.7}


def test_moments_of_a_window_weigh_what_their_own_slice_weighs(trained):
    """Lightly learnt and replayed moments stand in one window with the others."""
    store, parent = trained
    config = UpdateConfig(replay_share=1.0, holdout_share=0.2)
    night = plan(store, parent, DAYS[3], config, weights={DAYS[3]: 0.5})
    light = replace(night, ancestry=Ancestry((Part(day=DAYS[1], weight=0.3), Part(day=DAYS[2]))))
    learnt = slices(store, light, config, 1)
    days = sorted({piece.part.day for piece in learnt})
    reader = Reader(Samples(store, days, None, learnt), batch_size=32, buffer=500, seed=1)
    found = {
        (days[day], round(weight, 3), known)
        for loaded in reader.epoch(Position())
        for day, weight, known in zip(
            loaded.info.day.tolist(),
            loaded.batch.weight_B.tolist(),
            loaded.batch.known_B.tolist(),
            strict=True,
        )
    }
    assert found == {(DAYS[1], 0.3, True), (DAYS[2], 1.0, True), (DAYS[3], 0.5, False)}


def test_as_many_moments_as_are_told_are_read(trained):
    store, parent = trained
    config = UpdateConfig(replay_share=0.5, holdout_share=0.2)
    learnt = slices(store, plan(store, parent, DAYS[4], config), config, 1)
    samples = Samples(store, sorted({piece.part.day for piece in learnt}), None, learnt)
    reader = Reader(samples, batch_size=32, buffer=500, seed=1)
    assert samples.moments == sum(loaded.batch.size for loaded in reader.epoch(Position()))


def test_a_day_without_a_moment_is_not_learnt(trained, make_store, tmp_path, tiny, quick):
    store = make_store(tmp_path, days=4, moments=30)
    parent = fit(store, DAYS[:2], tiny, quick, seed=1, run_name="first").checkpoint
    with store.partition("samples", DAYS[2]).publish() as day:
        day.record([])
    night = plan(store, parent, DAYS[3], UpdateConfig())
    assert [part.day for part in night.parts] == [DAYS[3]]


def test_of_days_that_hold_no_moment_nothing_is_replayed(
    trained, make_store, tmp_path, tiny, quick
):
    store = make_store(tmp_path, days=3, moments=30)
    parent = fit(store, DAYS[:2], tiny, quick, seed=1, run_name="first").checkpoint
    with store.partition("samples", DAYS[1]).publish() as day:
        day.record([])
    config = UpdateConfig(replay_share=0.5, replay_days=1)
    assert not replayed(store, plan(store, parent, DAYS[2], config), config)


def test_a_parent_that_was_trained_again_under_its_name_is_another_parent(
    make_store, tmp_path, tiny, quick
):
    store = make_store(tmp_path, days=3, moments=60)
    runs = []
    for seed in (1, 2):
        parent = fit(store, DAYS[:2], tiny, quick, seed=seed, run_name="first").checkpoint
        night = plan(store, parent, DAYS[2], UpdateConfig())
        run = prepared(store, night, quick, UpdateConfig(), seed=1, run_name="night")
        assert run.finished() is None
        if seed == 1:
            update(store, night, quick, UpdateConfig(), seed=1, run_name="night")
        runs.append(run.recipe)
    assert [d.split(" was ")[0] for d in runs[0].differences(runs[1])] == ["start.digest"]


def test_the_reason_for_learning_a_day_again_decides_no_weight(trained, quick):
    store, parent = trained
    one, two = (
        prepared(
            store,
            plan(store, parent, DAYS[2], UpdateConfig(), forced=why),
            quick,
            UpdateConfig(),
            seed=1,
            run_name="again",
        )
        for why in ("labels were mended", "labels were mended, see 12")
    )
    assert one.recipe.differences(two.recipe) == []
    assert one.facts["learnt"][0]["forced"] == "labels were mended"


def test_replay_is_drawn_anew_every_night(trained):
    store, parent = trained
    seeds = []
    for day in DAYS[3:]:
        config = UpdateConfig(replay_share=0.5)
        night = plan(store, parent, day, config, days={day})
        seeds.append({piece.draw.seed for piece in replayed(store, night, config)})
    assert not seeds[0] & seeds[1]
