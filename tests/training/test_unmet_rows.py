"""Rows that later days' ids have in the vocabulary of a day that was built again after them."""

from datetime import date, timedelta

import pytest
import torch

from tests.training.growing import grow_vocabulary
from training import checkpoint
from training.fit import fit
from training.growth import ITEM, leave_unknown
from training.learner import Learner
from training.sizes import vocabulary_sizes
from training.update import plan, prepared, update
from training.update_config import UpdateConfig

DAYS = [date(2026, 3, 2) + timedelta(days=i) for i in range(4)]
CONFIG = UpdateConfig(holdout_share=0.2)
FIRST, KEPT, GIVEN = 302, 8, 5
"""The first row that later days' ids have, how many are kept, how many the fourth day gives."""


@pytest.fixture
def store(make_store, tmp_path):
    """Four days, of which the first three were built again after the fourth."""
    made = make_store(tmp_path, days=4, moments=120)
    grow_vocabulary(made, DAYS[3], GIVEN)
    for day in DAYS[:3]:
        place = made.partition("vocabulary", day, "item")
        rows = place.table()
        with place.publish(size=FIRST + KEPT) as out:
            out.record([out.write_table("part", rows, counts={"admitted": len(rows)})])
    return made


def items_of(partition):
    """The table of items, and which of its rows were trained."""
    found = checkpoint.load(partition)
    return found.weights[ITEM], found.optimizer["sparse"][ITEM].abs().sum(dim=1) > 0


@pytest.mark.parametrize("validated", [0, 1])
def test_a_network_does_not_know_ids_of_days_that_it_has_not_learnt(store, tiny, quick, validated):
    train = quick.model_copy(update={"validation_days": validated, "epochs": 2})
    table, trained = items_of(fit(store, DAYS[:2], tiny, train, seed=1, run_name="a").checkpoint)
    assert len(table) == FIRST + KEPT
    assert torch.equal(table[FIRST:], table[1].expand(KEPT, -1))
    assert not trained[FIRST:].any()
    met = table[2:FIRST]
    assert len(met.unique(dim=0)) == len(met)


def test_the_night_that_learns_their_day_starts_them_at_the_mean_of_their_category(
    store, tiny, quick
):
    parent = fit(store, DAYS[:2], tiny, quick, seed=1, run_name="first").checkpoint
    table, trained = items_of(parent)
    of = plan(store, parent, DAYS[3], CONFIG)
    run = prepared(store, of, quick, CONFIG, seed=1, run_name="night")
    run.begin(False)
    begun = run.learner.model.state_dict()[ITEM]
    fresh = store.partition("catalog", DAYS[3]).table().slice(FIRST - 2).to_pylist()
    assert [row["item"] for row in fresh] == [*range(FIRST, FIRST + GIVEN)]
    known = store.partition("catalog", DAYS[3]).table().slice(0, FIRST - 2).to_pylist()
    for row in fresh:
        mates = [one["item"] for one in known if one["category"] == row["category"]]
        mean = table[[item for item in mates if trained[item]]].mean(dim=0)
        assert torch.allclose(begun[row["item"]], mean, atol=1e-6)
    assert torch.equal(begun[:FIRST], table[:FIRST])


def test_rows_that_nobody_has_by_the_night_stay_unknown(store, tiny, quick):
    parent = fit(store, DAYS[:2], tiny, quick, seed=1, run_name="first").checkpoint
    of = plan(store, parent, DAYS[3], CONFIG)
    fitted = update(store, of, quick, CONFIG, seed=1, run_name="night")
    table, _ = items_of(fitted.checkpoint)
    assert torch.equal(table[FIRST + GIVEN :], table[1].expand(KEPT - GIVEN, -1))
    assert not (table[2 : FIRST + GIVEN] == table[1]).all(dim=1).any()


def test_what_was_trained_stays_though_the_day_has_the_id_no_more(store, tiny, quick):
    learner = Learner(tiny, quick, vocabulary_sizes(store, DAYS[1]), seed=1)
    table = learner.model.state_dict()[ITEM]
    learner.optimizer.sparse.sums[ITEM][FIRST + 1] = 1
    before = table.clone()
    leave_unknown(learner, store, DAYS[1])
    changed = torch.nonzero((table != before).any(dim=1)).squeeze(1).tolist()
    assert changed == [row for row in range(FIRST, FIRST + KEPT) if row != FIRST + 1]
