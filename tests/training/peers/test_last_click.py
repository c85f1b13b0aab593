"""MIMN's manner: one question of each user, of their last click or a random item, users split."""

from collections import defaultdict
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest

from features.schemas import CandidateOrigin
from tests.training.conftest import FIRST
from training.config import Task
from training.peers.held import Held
from training.peers.last_click import folds_of, last_clicks, of_some

DAYS = [FIRST, FIRST + timedelta(days=1)]
SEED = 5
ORIGINS = (CandidateOrigin.CLICKED, CandidateOrigin.SAME_DAY)


@pytest.fixture(scope="module")
def held(store):
    """As of a log without pages: the first candidate of a moment was clicked, others were drawn."""
    whole = Held.read(store, DAYS).asking((Task.CTR,))
    moments, lists = whole.moments, whole.moments.candidates
    first = np.zeros(len(lists.columns["item"]), bool)
    first[lists.starts[lists.lengths > 0]] = True
    columns = {
        **lists.columns,
        "clicked": first.astype(np.int8),
        "label": np.where(first, 1, -1).astype(np.int8),
        "origin": np.where(first, *ORIGINS).astype(np.int8),
    }
    return replace(whole, moments=replace(moments, candidates=replace(lists, columns=columns)))


def clicks(held):
    """By user, (time, place, item) of every click, oldest first."""
    found = defaultdict(list)
    for place in range(len(held.moments)):
        lists = held.moments.candidates
        if lists.lengths[place]:
            item = int(lists.columns["item"][lists.starts[place]])
            when = int(held.moments.ts[place])
            found[int(held.moments.user_hash[place])].append((when, place, item))
    return {user: sorted(times) for user, times in found.items()}


def questions(held):
    """By moment, item and whether it was clicked."""
    lists = held.moments.candidates
    assert lists.lengths.max() == 1
    return {
        int(row): (int(lists.columns["item"][lists.starts[row]]),
                   int(lists.columns["clicked"][lists.starts[row]]))
        for row in np.flatnonzero(lists.lengths)
    }  # fmt: skip


@pytest.mark.parametrize("latest", [1, 2])
def test_it_asks_of_the_last_clicks_of_every_user_and_of_nothing_else(held, latest):
    wanted = {place for times in clicks(held).values() for _, place, _ in times[-latest:]}
    assert set(questions(last_clicks(held, SEED, latest))) == wanted


def test_half_of_them_are_replaced_by_a_random_item_that_is_another(held):
    target = {place: item for times in clicks(held).values() for _, place, item in times}
    found = questions(last_clicks(held, SEED))
    asked = len(found)
    swapped = [row for row, (_, clicked) in found.items() if not clicked]
    assert abs(len(swapped) - asked / 2) < 3 * np.sqrt(asked / 4)
    assert all(found[row][0] != target[row] for row in swapped)
    assert all(found[row][0] == target[row] for row in set(found) - set(swapped))
    drawn = [found[row][0] for row in swapped]
    assert held.catalogs[-1].is_item()[drawn].all()
    assert len(set(drawn)) > 0.6 * len(drawn), "not from the whole log"


def test_what_came_before_stays_as_it_was(held):
    made = last_clicks(held, SEED)
    assert made.moments.sequence is held.moments.sequence
    (batch, _), *_ = made.batches(10_000)
    lengths = held.moments.sequence.lengths[made.rows]
    assert batch.length_B.tolist() == lengths.tolist()


def test_a_seed_decides_coins_and_items(held):
    one = questions(last_clicks(held, SEED))
    assert one == questions(last_clicks(held, SEED))
    assert one != questions(last_clicks(held, SEED + 1))


def test_the_question_about_a_users_last_click_is_new_when_more_are_asked(held):
    """Coins are thrown for each click: nothing of the answer can be read off another one."""
    many = questions(last_clicks(held, SEED, 2))
    rates = [np.mean([many[p][1] for _, p, _ in times[-2:]]) for times in clicks(held).values()]
    assert set(rates) >= {0.0, 0.5, 1.0}


def test_a_user_is_in_one_fold_and_folds_are_alike(held):
    users = held.moments.user_hash
    fold = folds_of(users, 4)
    assert len(np.unique(np.c_[users.astype(float), fold], axis=0)) == len(np.unique(users))
    share = np.bincount(folds_of(np.unique(users), 4), minlength=4) / len(np.unique(users))
    assert (abs(share - 0.25) < 0.1).all()
    left, rest = of_some(held, fold == 2), of_some(held, fold != 2)
    assert set(folds_of(users[left.rows], 4)) == {2}
    assert sorted([*left.rows, *rest.rows]) == held.rows.tolist()
