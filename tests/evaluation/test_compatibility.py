"""Frozen heads against oracles: nothing moves, or only the axes do, or the knowledge is lost."""

from datetime import timedelta

import numpy as np
import pytest
import torch

from evaluation import compatibility, drift_plot, offline, report, sampled
from evaluation.gate import Evidence, GateConfig, Outcome, decide
from evaluation.offline import Material
from evaluation.paired import Comparison, Difference
from evaluation.settings import FROZEN, CompatibilityConfig, EvaluateConfig
from evaluation.slices import Context
from infra.config import build
from infra.errors import ConfigError, TrainingError
from tests.evaluation import synthetic
from tests.training.conftest import FIRST, write_store
from tests.training.small import TINY
from training import checkpoint as checkpoints
from training.config import TrainConfig
from training.fit import fit
from training.model.dupn import Dupn

DRAWS = EvaluateConfig(replicates=40, min_positives=10, min_users=10)
CONFIG = CompatibilityConfig(probe_classes=4, probe_moments=50)
CONTEXT = Context(np.zeros(500, np.int8), np.ones(400, bool))
MODEL = TINY.model_copy(update={"category_dim": 8, "hidden_dim": 12, "ctr_hidden": (8,)})


class Turned(Dupn):
    """The same network with its representation in other axes."""

    def encode(self, batch):
        return super().encode(batch) @ self.axes


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return write_store(tmp_path_factory.mktemp("frozen"), days=2, moments=500)


@pytest.fixture(scope="module")
def champion(store):
    config = TrainConfig(batch_size=64, learning_rate=0.1, epochs=4, threads=1)
    fit(store, [FIRST], MODEL, config, seed=1, run_name="line-x")
    return checkpoints.load_model(checkpoints.final(store, "line-x"))


@pytest.fixture(scope="module")
def sample(store):
    return sampled.read(store, FIRST + timedelta(days=1), 10_000, seed=0)


def test_what_a_head_that_there_is_not_may_lose_is_refused_and_so_is_less_than_nothing():
    with pytest.raises(ConfigError, match=r"ctr_acu is not a frozen head; did you mean ctr_auc\?"):
        build(CompatibilityConfig, {"max_drops": {"ctr_acu": 0.1}})
    with pytest.raises(ConfigError, match=r"max_drops\.ctr_auc = -1 is refused"):
        build(CompatibilityConfig, {"max_drops": {"ctr_auc": -1}})


def turned(model):
    twin = Turned(model.config, model.sizes)
    twin.load_state_dict(model.state_dict())
    torch.manual_seed(0)
    twin.axes = torch.linalg.qr(torch.randn(MODEL.rep_dim, MODEL.rep_dim)).Q
    return twin.eval()


@pytest.fixture(scope="module")
def same(champion, sample):
    return compatibility.measure(champion, champion, sample, CONFIG, DRAWS)


@pytest.fixture(scope="module")
def rotated(champion, sample):
    return compatibility.measure(turned(champion), champion, sample, CONFIG, DRAWS)


def head(found, name):
    return next(one for one in found.heads if one.name == name)


def test_the_settings_know_every_head_that_is_held_against_a_candidate(same):
    assert tuple(one.name for one in same.heads) == FROZEN


def test_heads_that_the_champion_never_learnt_are_not_held_against_a_candidate(rotated):
    learnt = compatibility.of_learnt(rotated, frozenset(["ctr", "spp"]))
    assert tuple(one.name for one in learnt.heads) == tuple(n for n in FROZEN if n != "ctr_auc")
    names = {check.name for check in compatibility.checks(learnt, CONFIG) if check.passed is False}
    assert "frozen ctr_auc" not in names


def test_identical_models_drop_nothing(same):
    assert {one.name for one in same.heads} >= {"ctr_auc", "probe_category"}
    assert all((one.drop.value, one.drop.low, one.drop.high) == (0, 0, 0) for one in same.heads)
    assert all(check.passed is not False for check in compatibility.checks(same, CONFIG))
    assert same.drift.change == 0


def test_the_champion_answers_from_its_own_representation_as_it_answers(champion, sample):
    own = compatibility.represented(champion, sample)
    given = compatibility.answered(champion, sample, own)
    asked = sample.ask(champion).answers
    for name in ("ctr", "l2r", "ppp", "fifp"):
        torch.testing.assert_close(
            torch.from_numpy(getattr(given, name)), torch.from_numpy(getattr(asked, name)),
            atol=1e-5, rtol=1e-5,
        )  # fmt: skip


@pytest.mark.parametrize("name", ["ctr_auc", "probe_category"])
def test_other_axes_destroy_frozen_heads_and_alignment_recovers_them(rotated, name):
    found = head(rotated, name)
    assert found.own.value > found.moved.value + 0.1
    assert found.aligned.value == pytest.approx(found.own.value, abs=0.01)
    assert rotated.drift.change > 1
    assert rotated.drift.change_aligned < 1e-3


def test_a_head_that_would_break_holds_the_promotion_and_says_so(rotated):
    checks = compatibility.checks(rotated, CONFIG)
    assert next(check.name for check in checks if check.passed is False) == "frozen ctr_auc"
    better = Comparison(ctr=Difference(name="ctr_auc", value=0.02, error=0.001))
    good = Evidence({"ctr_auc": 0.7, "ctr_ece": 0.01}, 1000, 9000, 500)
    verdict = decide(good, good, better, [], GateConfig(floors={}), checks)
    assert verdict.outcome is Outcome.KEEP_CHAMPION
    assert any("would break" in sentence for sentence in verdict.failed)


def test_a_representation_that_moved_farther_than_the_mean_moment_is_said_first(same, rotated):
    assert compatibility.notes(same) == []
    (said,) = compatibility.notes(rotated)
    assert f"is {rotated.drift.change:.2f} times that from the mean moment, and 0.00 times" in said
    far = rotated.drift.model_copy(update={"change": compatibility.FAR})
    assert compatibility.notes(rotated.model_copy(update={"drift": far})) == []


def test_a_head_may_be_allowed_more(rotated):
    loose = CompatibilityConfig(max_drop=1.0)
    assert all(check.passed is not False for check in compatibility.checks(rotated, loose))


@pytest.mark.parametrize(("heads", "holds"), [(1, True), (4, False)])
def test_four_heads_may_not_cry_wolf_more_often_than_one(rotated, heads, holds):
    """A drop of two standard errors: significant for one head, not for the worst of four."""
    drop = rotated.heads[0].drop.model_copy(update={"value": 0.02})
    one = rotated.heads[0].model_copy(update={"drop": drop, "error": 0.01, "reason": None})
    found = rotated.model_copy(update={"heads": (one,) * heads})
    failed = [check.passed is False for check in compatibility.checks(found, CONFIG)]
    assert failed == [holds] * heads


def test_too_few_users_judge_nothing(champion, store):
    few = sampled.read(store, FIRST + timedelta(days=1), 5, seed=0)
    found = compatibility.measure(turned(champion), champion, few, CONFIG, DRAWS)
    assert all(check.passed is None for check in compatibility.checks(found, CONFIG))


def test_another_width_is_refused(champion, sample):
    wide = Dupn(MODEL.model_copy(update={"hidden_dim": 16}), champion.sizes).eval()
    with pytest.raises(TrainingError, match="line of its own"):
        compatibility.measure(wide, champion, sample, CONFIG, DRAWS)


def test_the_page_shows_heads_and_drift(rotated):
    asked, truth = synthetic.questions(users=30)
    made = offline.evaluate(
        synthetic.predictions(asked, truth), Material("line-x", "2026-03-12", CONTEXT), DRAWS
    ).model_copy(update={"compatibility": rotated})
    page = report.html(made, dict(drift_plot.drawings(made)))
    assert "Heads that others froze" in page
    assert "probe_category" in page
