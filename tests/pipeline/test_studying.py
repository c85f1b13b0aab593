import pytest

from evaluation.studies.drift import Arm, Cell, Shape
from infra.errors import ConfigError
from pipeline import studying
from pipeline.settings import load
from pipeline.studies import by_seed

TINY = {"users": 60, "items": 300, "categories": 8, "shops": 8, "icons": 8}


@pytest.fixture(scope="module")
def studied(tmp_path_factory):
    home = str(tmp_path_factory.mktemp("study"))
    pairs = ["train.threads=1", "train.epochs=1", "train.batch_size=64", "evaluate.replicates=20"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(by_seed, "QUICK_DRIFT", Shape(trained=1, nights=2, every=3))
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


def test_an_unknown_study_is_named(studied):
    settings, *_ = studied
    with pytest.raises(ConfigError, match="study weather does not exist"):
        studying.run(settings, "weather", seeds=1, quick=True, record=False)
