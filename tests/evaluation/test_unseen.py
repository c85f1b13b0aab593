"""Which moments of a day may judge: those that neither model has learnt."""

from datetime import date, timedelta

import numpy as np
import pytest

from evaluation import questions
from evaluation.predict import Shuffle, predict, predict_each
from evaluation.settings import EvaluateConfig
from evaluation.unseen import Asked, bounded, unseen
from infra.errors import TrainingError
from tests.training.conftest import FIRST, write_store
from tests.training.small import TINY
from training.ancestry import Ancestry, Part, Share
from training.data import Samples
from training.model.dupn import Dupn

DAY = date(2026, 3, 12)
BEFORE = Part(day=DAY - timedelta(days=1))


def rest(held):
    return Part(day=DAY, share=Share.REST, held=held)


def test_a_day_that_nobody_has_learnt_is_asked_whole():
    models = {"new": Ancestry((BEFORE,)), "old": Ancestry((BEFORE,))}
    assert unseen(models, DAY) is None
    assert "no moment of it" in Asked(DAY).words


def test_a_night_is_judged_by_its_held_out_users():
    some = unseen({"new": Ancestry((BEFORE, rest(0.1))), "old": Ancestry((BEFORE,))}, DAY)
    assert some == Part(day=DAY, share=Share.HOLDOUT, held=0.1)
    assert "held out" in Asked(DAY, some).words


def test_a_report_says_that_only_the_candidate_has_learnt_the_day_of_others():
    said = Asked(DAY, rest(0.1)).words
    assert "candidate has learnt that day of the other users" in said
    assert "yardsticks, and a champion from before it, know the days before it only" in said
    assert "know the days before" not in Asked(DAY).words


def test_of_two_holdouts_the_smaller_is_unknown_to_both():
    models = {"new": Ancestry((rest(0.2),)), "old": Ancestry((rest(0.1),))}
    some = unseen(models, DAY)
    users = np.random.default_rng(0).integers(0, 2**63, 5000).astype(np.uint64)
    asked = some.mask(users)
    assert 0 < asked.sum() < 1000
    assert not any((ancestry.learnt(DAY, users) & asked).any() for ancestry in models.values())


@pytest.mark.parametrize("part", [Part(day=DAY), Part(day=DAY, share=Share.HOLDOUT, held=0.1)])
@pytest.mark.parametrize("who", ["new", "old"])
def test_whoever_has_learnt_what_would_judge_is_named(part, who):
    models = {"new": Ancestry((rest(0.1),)), "old": Ancestry((BEFORE,))}
    models[who] = Ancestry((*models[who].parts, part))
    with pytest.raises(TrainingError, match=f"{who} has learnt every moment of {DAY}"):
        unseen(models, DAY)


def test_some_users_answer_as_they_do_among_all(tmp_path):
    store = write_store(tmp_path, days=1, moments=120)
    samples = Samples(store, [FIRST])
    model = Dupn(TINY.model_copy(update={"ctr_hidden": (8,)}), samples.sizes)
    some = Part(day=FIRST, share=Share.HOLDOUT, held=0.4)
    every = predict(model, store, FIRST, EvaluateConfig())
    keep = some.mask(every.questions.moments.user_hash)
    assert 0 < keep.sum() < len(keep)
    asked = questions.read(store, FIRST, some)
    (mine,) = predict_each(
        model, store, FIRST, EvaluateConfig(), [Shuffle.NOTHING], questions=asked, some=some
    )
    chosen = every.select(keep)
    assert asked.moments.sample_id.tolist() == chosen.questions.moments.sample_id.tolist()
    assert asked.moments.user.tolist() == chosen.questions.moments.user.tolist()
    np.testing.assert_allclose(mine.answers.ctr, chosen.answers.ctr, atol=1e-5)
    np.testing.assert_allclose(mine.answers.ppp, chosen.answers.ppp, atol=1e-5)


@pytest.mark.parametrize(
    "some", [None, Part(day=FIRST, share=Share.HOLDOUT, held=0.5)], ids=["all", "held out"]
)
def test_of_a_day_that_has_too_many_moments_some_users_are_asked(tmp_path, some):
    store = write_store(tmp_path, days=1, moments=600)
    whole = bounded(store, FIRST, some, 600)
    assert (whole.part, whole.share) == (some, 1.0)
    asked = bounded(store, FIRST, some, 100)
    mine, every = (
        set(questions.read(store, FIRST, one.part).moments.user_hash) for one in (asked, whole)
    )
    assert mine < every  # nobody whose moments were learnt
    found = questions.read(store, FIRST, asked.part).moments
    assert 50 <= len(found.user) <= 150
    assert "drawn by a day-salted hash, answer for all (evaluate.moments)" in asked.words
    assert "evaluate.moments" not in whole.words
    assert asked.when == whole.when


def test_a_day_without_a_moment_is_asked_whole(tmp_path):
    store = write_store(tmp_path, days=1, moments=0)
    assert bounded(store, FIRST, None, 100) == Asked(FIRST)
