import shutil
import signal
import sys
from types import SimpleNamespace

import pytest

from evaluation.studies.drift import Arm, Cell, Shape
from features.carry import ONE_DAY
from infra.errors import ConfigError, OrchestrationError, StoreError
from infra.progress import quiet
from pipeline.settings import load
from pipeline.studies import base, by_seed, studying, worlds
from pipeline.studies.by_seed import DriftStudy

TINY = {"users": 60, "items": 300, "categories": 8, "shops": 8, "icons": 8}
SHAPE = Shape(trained=1, nights=2, every=3)


@pytest.fixture(scope="module")
def studied(tmp_path_factory):
    home = str(tmp_path_factory.mktemp("study"))
    pairs = ["train.threads=1", "train.epochs=1", "train.batch_size=64", "evaluate.replicates=20"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(by_seed, "QUICK_DRIFT", SHAPE)
        patch.setattr(by_seed, "SMALL", TINY)
        settings = load("drift", home, pairs)
        first = studying.run(settings, "drift", seeds=1, quick=True, record=False)
        key = "reports/study/drift-quick/cells/seed-1.json"
        before = settings.store.get(key)
        again = studying.run(settings, "drift", seeds=1, quick=True, record=False)
        assert settings.store.get(key) == before
    return settings, first, again, Cell.model_validate_json(before)


def test_every_arm_is_asked_about_every_day_that_it_has(studied):
    *_, cell = studied
    asked = {(s.arm, s.day, s.age) for s in cell.scores if s.measure == "ctr_auc"}
    assert asked == {
        (Arm.FROZEN, 2, 1),
        (Arm.NIGHTLY, 2, 1),
        (Arm.FROZEN, 3, 2),
        (Arm.NIGHTLY, 3, 1),
        (Arm.RETRAIN, 3, 1),
    }


def test_before_the_first_night_the_nightly_model_is_the_frozen_one(studied):
    *_, cell = studied
    scores = {(s.arm, s.measure): s.value for s in cell.scores if s.day == 2}
    assert all(scores[Arm.NIGHTLY, m] == scores[Arm.FROZEN, m] for _, m in scores)


def test_a_night_learns_the_day_but_for_its_held_out_users(studied):
    *_, cell = studied
    costs = {cost.arm: cost for cost in cell.costs}
    assert set(costs) == {Arm.NIGHTLY, Arm.RETRAIN}
    assert 0 < costs[Arm.NIGHTLY].moments < costs[Arm.RETRAIN].moments


def test_a_finished_world_is_not_run_again_and_leaves_only_figures(studied):
    settings, first, again, _ = studied
    assert first == again
    assert settings.store.names("study/drift-quick") == []


def test_a_seed_keeps_its_work_until_its_figures_are_stored(studied, monkeypatch, tmp_path):
    settings, *_, cell = studied
    mine = settings.model_copy(update={"home": str(tmp_path)})
    study = studying.make(mine, "drift", 1, quick=True)
    home = tmp_path / "study" / "drift-quick" / f"seed-1-{study.digest('seed-1')}"
    home.mkdir(parents=True)
    done = cell.model_copy(update={"settings": study.digest("seed-1")})
    monkeypatch.setattr(DriftStudy, "world", lambda *_: done)
    blocked = tmp_path / "reports" / "study" / "drift-quick"
    blocked.mkdir(parents=True)
    (blocked / "cells").write_text("a file where the cells belong")
    with quiet() as silent, pytest.raises(StoreError):
        study.cell("seed-1", silent)
    assert home.exists()
    (blocked / "cells").unlink()
    with quiet() as silent:
        assert study.cell("seed-1", silent)
        assert not study.cell("seed-1", silent)
    assert list(home.parent.iterdir()) == []


@pytest.mark.parametrize("content", ["{", "{}"])
def test_a_cell_that_cannot_be_read_is_run_again(studied, tmp_path, content):
    settings, *_ = studied
    mine = settings.model_copy(update={"home": str(tmp_path)})
    study = studying.make(mine, "drift", 1, quick=True)
    mine.store.put(study.place("seed-1"), content)
    assert study.kept("seed-1") is None


def test_another_network_or_other_days_are_another_seed(studied, monkeypatch):
    settings, *_ = studied

    def digest():
        return studying.make(settings, "drift", 1, quick=True).digest("seed-1")

    before = digest()
    monkeypatch.setattr(by_seed, "REVISION", by_seed.REVISION + 1)
    other_network = digest()
    monkeypatch.setattr(by_seed, "QUICK_DRIFT", Shape(trained=1, nights=3, every=3))
    assert len({before, other_network, digest()}) == 3


@pytest.mark.parametrize(("name", "stage"), [("drift", 0), ("abtest", 0), ("table2", 1)])
def test_how_many_threads_learn_and_how_often_they_save_decides_no_cell(studied, name, stage):
    settings, *_ = studied

    def digest(**changed):
        train = settings.train.model_copy(update=changed)
        study = studying.make(settings.model_copy(update={"train": train}), name, 1, quick=True)
        return study.digest(study.stages()[stage][-1])  # a seed, or a search

    before = digest(threads=1)
    assert digest(threads=2, resume=False, checkpoint_every_s=5.0) == before
    assert digest(batch_size=7) != before
    assert digest(click_prices=settings.train.click_prices + 1) != before


BOUNDS = ("vocabulary.rows_per_batch", "statistics.rows_per_range", "events.batch_rows")


@pytest.mark.parametrize("bound", BOUNDS)
def test_bounds_of_memory_decide_no_cell_and_no_world(bound, tmp_path):
    def digests(*pairs):
        settings = load("study", str(tmp_path), pairs)
        made = [studying.make(settings, name, 1, quick=True) for name in ("drift", "table2")]
        return [worlds.World(settings, 1).digest, *(one.digest(one.stages()[0][0]) for one in made)]

    before = digests()
    assert digests(f"{bound}=1000") == before
    assert not set(digests("vocabulary.min_prices=7", "events.lookback_days=7")) & set(before)


@pytest.mark.parametrize(("group", "name"), base.LATER)
def test_a_setting_that_is_younger_than_kept_cells_is_in_a_digest_only_where_it_is_set(group, name):
    settings = load("study", "nowhere")
    assert name not in base.plain(settings, {group})[group]
    usual = base.LATER[group, name]
    other = usual + 3.0 if isinstance(usual, float) else not usual
    mine = getattr(settings, group).model_copy(update={name: other})
    changed = settings.model_copy(update={group: mine})
    assert base.plain(changed, {group})[group][name] == other
    assert name not in base.plain(changed, {"peers"})


def test_a_world_cut_off_in_its_last_day_is_lived_to_its_end(studied, tmp_path):
    settings, *_ = studied
    market = settings.marketplace.model_copy(update=TINY)
    mine = settings.model_copy(update={"home": str(tmp_path), "marketplace": market})
    days = [mine.first_day, mine.first_day + ONE_DAY]
    with quiet() as silent:
        worlds.build(mine, days, silent)
        whole = mine.store.partition("samples", days[-1]).digest()
        for folder in tmp_path.glob(f"*/dt={days[-1]}"):  # all but the first table is lost
            for table in folder.iterdir():
                if folder.parent.name != "raw" or table.name != "behaviors":
                    shutil.rmtree(table) if table.is_dir() else table.unlink()
        worlds.build(mine, days, silent)
    assert mine.store.partition("samples", days[-1]).digest() == whole


@pytest.mark.parametrize("name", studying.STUDIES)
def test_a_quick_study_has_one_seed_whatever_is_asked_for(name, tmp_path):
    settings = load(studying.preset_of(name), str(tmp_path))
    few, many = (studying.make(settings, name, seeds, quick=True) for seeds in (1, 5))
    assert many.seeds == 1
    assert many.name == few.name == f"{name}-quick"
    assert many.stages() == few.stages()
    assert studying.make(settings, name, 5, quick=False).stages() != few.stages()


def test_an_unknown_study_is_named(studied):
    settings, *_ = studied
    with pytest.raises(ConfigError, match="study weather does not exist"):
        studying.run(settings, "weather", seeds=1, quick=True, record=False)


@pytest.mark.parametrize(("name", "package"), [("table2", "gensim"), ("excerpts", "deepctr_torch")])
def test_a_package_that_a_cell_lacks_is_told_before_any_cell_is_run(
    name, package, tmp_path, monkeypatch
):
    monkeypatch.setitem(sys.modules, package, None)  # as if it were not installed
    settings = load(studying.preset_of(name), str(tmp_path))
    study = studying.make(settings, name, 1, quick=True)
    monkeypatch.setattr(type(study), "cell", lambda *_: pytest.fail("a cell was run"))
    with pytest.raises(ConfigError, match="is not installed"):
        studying.run(settings, name, seeds=1, quick=True)
    assert not list(tmp_path.iterdir())


def test_a_study_without_such_a_cell_asks_for_no_package(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "gensim", None)
    study = studying.make(load("study", str(tmp_path)), "letter", 1, quick=True)
    assert study.left() == [key for stage in study.stages() for key in stage]


def test_what_is_finished_asks_for_no_package(studied, monkeypatch):
    settings, *_ = studied
    monkeypatch.setattr(by_seed, "QUICK_DRIFT", SHAPE)
    monkeypatch.setattr(by_seed, "SMALL", TINY)
    study = studying.make(settings, "drift", 1, quick=True)
    monkeypatch.setattr(study, "require", lambda key: pytest.fail(f"{key} is asked for"))
    assert study.left() == []


def test_a_process_of_cells_that_is_killed_is_told_with_what_to_do():
    study = SimpleNamespace(name="drift", kept=lambda _: None, steps=lambda _: 1)
    killed = SimpleNamespace(cell=signal.raise_signal)
    with (
        quiet() as silent,
        pytest.raises(
            OrchestrationError, match=r"study drift: one of 2 processes .* killed.* smaller --jobs"
        ),
    ):
        [*studying._together(killed, study, [signal.SIGKILL, signal.SIGKILL], 2, silent)]
