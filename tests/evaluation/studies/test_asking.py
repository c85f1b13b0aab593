"""A study asks as the offline evaluation does, and measures as it does."""

from datetime import timedelta

import numpy as np
import pytest
import torch

from evaluation import questions, tasks
from evaluation.measures import Bench
from evaluation.predict import predict
from evaluation.settings import EvaluateConfig
from evaluation.studies.asking import MEASURES, Answered, Crowd, ask
from evaluation.tasks import scores_of
from tests.training.conftest import FIRST, write_store
from tests.training.small import TINY
from training.config import Task
from training.model.dupn import Dupn
from training.peers.held import Held

CONFIG = EvaluateConfig(replicates=50, min_positives=5, min_users=5)
TASKS = tuple(Task)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return write_store(tmp_path_factory.mktemp("asked"), days=2, moments=200)


@pytest.fixture(scope="module")
def held(store):
    return Held.read(store, [FIRST])


@pytest.fixture(scope="module")
def model(held):
    torch.manual_seed(0)
    return Dupn(TINY.model_copy(update={"ctr_hidden": (8,)}), held.sizes)


@pytest.fixture(scope="module")
def answered(model, held):
    return ask(model, held, TASKS, batch_size=32)


def test_answers_are_those_of_the_offline_evaluation(answered, model, store):
    asked = questions.read(store, FIRST)
    theirs = predict(model, store, FIRST, CONFIG, questions=asked).answers
    click = 1 / (1 + np.exp(-answered[Task.CTR].score))
    np.testing.assert_allclose(click, theirs.ctr, atol=1e-5)
    np.testing.assert_allclose(answered[Task.L2R].score, theirs.l2r, atol=1e-4)
    assert np.array_equal(answered[Task.PPP].score, theirs.ppp.argmax(1))
    users = asked.moments.user_hash[asked.icons.moment]
    assert np.array_equal(answered[Task.FIFP].user, users)


def test_figures_are_those_of_the_offline_evaluation(answered, model, store):
    asked = questions.read(store, FIRST)
    theirs = predict(model, store, FIRST, CONFIG, questions=asked).answers
    crowd, bench = Crowd(asked.moments.user_hash, CONFIG), Bench.of(asked, CONFIG)
    known = {one.measure.name: one for one in tasks.asked(asked)}
    for task in TASKS:
        one = known[MEASURES[task]]
        value = bench.measure(one.measure, scores_of(theirs, one.measure), one.keep).value
        assert crowd.score(task, answered[task]).value == pytest.approx(value, abs=1e-6)


def test_the_same_people_are_drawn_for_everybody(answered, held):
    crowd = Crowd(held.moments.user_hash, CONFIG)
    one = crowd.score(Task.CTR, answered[Task.CTR])
    worse = Answered(
        answered[Task.CTR].score * 0, answered[Task.CTR].truth, answered[Task.CTR].user
    )
    assert crowd.score(Task.CTR, answered[Task.CTR]).replicates == one.replicates
    assert set(crowd.score(Task.CTR, worse).replicates) == {0.5}
    assert np.std(one.drawn) > 0


def test_too_few_questions_give_a_value_without_an_interval(answered, held):
    few = CONFIG.model_copy(update={"min_positives": 10_000})
    found = Crowd(held.moments.user_hash, few).score(Task.CTR, answered[Task.CTR])
    assert found.value is not None
    assert found.replicates == ()


def test_more_days_are_the_days_one_after_the_other(store, model, held, answered):
    both = Held.read(store, [FIRST, FIRST + timedelta(days=1)], held.sizes)
    found = ask(model, both, (Task.CTR,))[Task.CTR]
    mine = answered[Task.CTR]
    np.testing.assert_allclose(found.score[: len(mine.score)], mine.score, atol=1e-5)
    assert len(found.score) > len(mine.score)
