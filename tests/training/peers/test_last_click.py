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
from training.peers.last_click import (
    IDS,
    as_new,
    folds_of,
    last_clicks,
    of_some,
    of_the_evening_before,
)

DAYS = [FIRST, FIRST + timedelta(days=1)]
SEED = 5
FIRST_DAY_ROWS = 200
ORIGINS = (CandidateOrigin.CLICKED, CandidateOrigin.SAME_DAY)


@pytest.fixture(scope="module")
def held(store):
    """As of a log without pages: the first candidate of a moment was clicked, others were drawn.

    Two thirds of the items had been met by the end of the first day.
    """
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
    first_day, then = whole.catalogs
    known = {
        name: np.where(getattr(first_day, name) <= FIRST_DAY_ROWS, getattr(first_day, name), 1)
        for name in IDS
    }
    met = first_day.rows <= FIRST_DAY_ROWS
    few = {"hashes": first_day.hashes[met], "rows": first_day.rows[met]}
    return replace(
        whole,
        moments=replace(moments, candidates=replace(lists, columns=columns)),
        catalogs=[replace(first_day, **known, **few), then],
    )


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
    days = held.moments.day[swapped]
    assert all(held.catalogs[day].is_item()[item] for day, item in zip(days, drawn, strict=True))
    assert len(set(drawn)) > 0.6 * len(drawn), "not from the whole log"


def test_nothing_is_known_to_have_come_of_a_random_item_and_all_of_a_click(held):
    def of(lists, name):
        return lists.columns[name][lists.starts[rows]]

    made = last_clicks(held, SEED)
    rows = made.rows
    now, then = made.moments.candidates, held.moments.candidates
    kept = of(now, "clicked") == 1
    for name, nothing in (("label", -1), ("purchased", 0), ("origin", CandidateOrigin.SAME_DAY)):
        assert set(of(now, name)[~kept]) == {nothing}
        assert np.array_equal(of(now, name)[kept], of(then, name)[kept])
        assert (of(then, name)[~kept] != nothing).any(), "shows nothing"
    assert not of(now, "features").any(), "they were told of a page's candidates, not of these"


def test_of_two_items_as_new_the_random_one_is_the_other(held):
    then = held.catalogs[1]
    two = replace(then, rows=then.rows[:2], hashes=then.hashes[:2])
    one, other = (int(row) for row in two.rows)
    item = np.array([one, other] * 20)
    drawn = as_new(item, np.zeros(40, np.int64), [two], np.random.default_rng(0))
    assert drawn.tolist() == [other, one] * 20


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


def test_how_new_an_item_is_does_not_tell_a_random_one(held):
    """It had been met the evening before if the click's item had: this once told most of them."""
    met = held.catalogs[0].is_item()
    target = {place: item for times in clicks(held).values() for _, place, item in times}
    found = questions(last_clicks(held, SEED))
    second = [row for row in found if held.moments.day[row] == 1]
    swapped = [row for row in second if found[row][0] != target[row]]
    olds = {row: bool(met[target[row]]) for row in swapped}
    assert min(sum(olds.values()), len(olds) - sum(olds.values())) > 10, "shows nothing"
    assert all(met[found[row][0]] == old for row, old in olds.items())


def test_where_nothing_is_as_new_a_click_stays(held):
    """As itself: what was clicked is never called a random item."""
    first_day, then = held.catalogs
    only = int(then.rows[0])
    most = then.rows != only
    earlier = replace(then, rows=then.rows[most], hashes=then.hashes[most])
    day, rng = np.ones(3, np.int64), np.random.default_rng(0)
    items = np.array([only, int(then.rows[1]), only])
    drawn = as_new(items, day, [earlier, then], rng)
    assert drawn[[0, 2]].tolist() == [only, only]
    assert drawn[1] != items[1]
    assert first_day.num_rows == then.num_rows
    alone = replace(held, catalogs=[replace(one, rows=one.rows[:0]) for one in held.catalogs])
    assert all(clicked for _, clicked in questions(last_clicks(alone, SEED)).values())


def test_a_catalog_of_an_early_day_ends_before_later_items(held):
    """Rows are given in order: what is drawn on a day is in the catalog of that day."""
    then = held.catalogs[1]
    met = then.rows <= FIRST_DAY_ROWS
    few = {"rows": then.rows[met], "hashes": then.hashes[met]}
    short = replace(then, item=then.item[: FIRST_DAY_ROWS + 1], **few)
    assert short.num_rows < then.num_rows
    item, day = np.array([5, then.num_rows - 1, 7]), np.array([0, 1, 1])
    drawn = as_new(item, day, [short, then], np.random.default_rng(0))
    assert drawn[0] <= FIRST_DAY_ROWS < drawn[1]
    assert drawn[2] <= FIRST_DAY_ROWS


def test_statistics_and_ids_are_those_of_the_evening_before(held):
    """Of the day itself nothing is known: an id's row may be owed to the very click."""
    made = last_clicks(held, SEED)
    assert made.moments.day is held.moments.day
    first_day, second_day = made.catalogs
    for catalog, before in zip(made.catalogs, held.catalogs, strict=True):
        assert np.array_equal(catalog.tags, before.tags), "which are of the evening before"
    for name in IDS:
        assert set(getattr(first_day, name)[2:]) == {1}
        row, last = getattr(held.catalogs[1], name), getattr(held.catalogs[0], name).max()
        assert np.array_equal(getattr(second_day, name), np.where(row <= last, row, 1))
    assert (second_day.item[2:] == 1).any()
    assert held.catalogs[0].tags[2:].tolist() != held.catalogs[1].tags[2:].tolist()
    rows = made.rows[made.moments.day[made.rows] == 1]
    asked = of_some(made, np.isin(np.arange(len(made.moments)), rows))
    (batch, _), *_ = asked.batches(10_000)
    item = asked.moments.candidates.gather(rows).flat("item")
    assert np.array_equal(batch.items.tags_UG[batch.cand_C], second_day.tags[item])
    assert np.array_equal(batch.items.item_U[batch.cand_C], second_day.item[item])


def test_of_the_first_day_nobody_knows_an_id(held):
    (only,) = of_the_evening_before(held.catalogs[:1])
    assert all(getattr(only, name).max() == 1 for name in IDS)
    assert not any(getattr(only, name)[0] for name in IDS), "padding"
