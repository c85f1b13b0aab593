"""Answers keep to their questions, whoever is chosen and wherever they are kept."""

from dataclasses import fields, replace

import numpy as np
import pytest

from evaluation import predictions
from evaluation.predictions import PLACES, Predictions
from infra.errors import TrainingError
from infra.store import Store
from tests.evaluation import synthetic

BLOCKS = {"candidates": "item", "prices": "level", "icons": "icon"}


@pytest.fixture(scope="module")
def whole():
    return synthetic.predictions(*synthetic.questions(users=12))


def described(one: Predictions):
    """Every question with its user, moment, what was asked and what was answered."""
    moments, found = one.questions.moments, []
    for place, column in BLOCKS.items():
        block = getattr(one.questions, place)
        answers = [getattr(one.answers, name) for name, where in PLACES.items() if where == place]
        for k, m in enumerate(block.moment):
            who = int(moments.user_hash[m]), moments.sample_id[m]
            said = [np.asarray(answer[k]).tolist() for answer in answers]
            found.append((*who, place, int(getattr(block, column)[k]), said))
    return found


def test_chosen_moments_keep_their_questions_and_answers(whole):
    moments = whole.questions.moments
    keep = np.random.default_rng(0).random(len(moments.user)) < 0.4
    keep[moments.user == 3] = False
    some = whole.select(keep)
    names = set(moments.sample_id[keep])
    assert described(some) == [row for row in described(whole) if row[1] in names]
    users = np.unique(moments.user_hash[keep])
    assert some.questions.users == len(users) < whole.questions.users
    assert np.array_equal(users[some.questions.moments.user], some.questions.moments.user_hash)


def test_what_is_saved_comes_back(whole, tmp_path):
    place = Store(tmp_path).partition("reports/predictions", None, "one")
    predictions.save(whole, place)
    found = predictions.load(place)
    assert described(found) == described(whole)
    assert {"day", "shuffled"} <= found.lineage.keys()
    for block in fields(whole.questions):
        ours, theirs = (getattr(one.questions, block.name) for one in (whole, found))
        for column in fields(ours):
            assert np.array_equal(getattr(ours, column.name), getattr(theirs, column.name))


@pytest.mark.parametrize("extra", [-1, 1])
def test_answers_that_are_more_or_fewer_than_the_questions_are_refused(whole, extra):
    fifp = np.resize(whole.answers.fifp, len(whole.answers.fifp) + extra)
    with pytest.raises(TrainingError, match=f"the model answered {60 + extra} of 60 fifp"):
        replace(whole, answers=replace(whole.answers, fifp=fifp))
