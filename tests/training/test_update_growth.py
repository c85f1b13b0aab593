"""A night whose vocabulary has grown: the parent's tables, and rows for what is new."""

from datetime import date, timedelta

import pytest
import torch

from tests.training.growing import add_rows, grow_vocabulary, samples_catalog
from training import checkpoint
from training.fit import fit
from training.growth import PRICE_WORDS
from training.update import plan, prepared
from training.update_config import UpdateConfig

DAYS = [date(2026, 3, 2) + timedelta(days=i) for i in range(4)]
CONFIG = UpdateConfig(holdout_share=0.2)


@pytest.fixture
def store(make_store, tmp_path):
    return make_store(tmp_path, days=4, moments=120)


def begun(store, parent, train):
    """The run of the last day, before its first step."""
    of = plan(store, parent, DAYS[3], CONFIG)
    run = prepared(store, of, train, CONFIG, seed=1, run_name="begun")
    run.begin(False)
    return run


def test_tables_grow_with_the_vocabulary_of_the_night(store, tiny, quick):
    parent = fit(store, DAYS[:2], tiny, quick, seed=1, run_name="first").checkpoint
    fresh, _ = grow_vocabulary(store, DAYS[3], 5)
    run = begun(store, parent, quick)
    found, now = checkpoint.load(parent), run.learner.model.state_dict()
    for name, table in found.weights.items():
        assert torch.equal(now[name][: len(table)], table)
    assert run.facts["grown"] == {"item.item.weight": 5, "item.shop.weight": 1}
    catalog = samples_catalog(store, DAYS[3])
    trained = found.optimizer["sparse"]["item.item.weight"].abs().sum(dim=1) > 0
    for row in fresh:
        mates = [i for i, c in catalog if c == row["category"] and i < len(trained) and trained[i]]
        mean = found.weights["item.item.weight"][mates].mean(dim=0)
        assert torch.allclose(now["item.item.weight"][row["item"]], mean, atol=1e-6)


def test_words_of_a_memory_of_prices_grow_with_the_tokens(store, tiny, quick):
    tiny = tiny.model_copy(update={"price_memory": True})
    parent = fit(store, DAYS[:2], tiny, quick, seed=1, run_name="first").checkpoint
    add_rows(store, DAYS[3], "token", 2)
    run = begun(store, parent, quick)
    assert run.facts["grown"] == {"query.token.weight": 2, PRICE_WORDS: 2}
    old = checkpoint.load(parent).weights[PRICE_WORDS]
    now = run.learner.model.state_dict()[PRICE_WORDS]
    assert len(now) == len(old) + 2
    assert torch.equal(now[: len(old)], old)
    assert old.any()
