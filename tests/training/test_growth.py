"""Tables that grow: old rows bit for bit, new rows where the trained ones are."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from features import catalog as catalogs
from features.ranking import NAMES
from infra.errors import TrainingError
from training.batch import VocabularySizes
from training.checkpoint import load, load_model
from training.data import Position, Reader, Samples
from training.fit import fit
from training.growth import ITEM, PRICE_WORDS, grown, grown_optimizer, joined, tables
from training.model.dupn import Dupn

SIZES = VocabularySizes(6, 4, 4, 5, 4, 4, 4, (3,), 32)
GROWN = replace(SIZES, item=10, shop=6, token=7)


def catalog(item, category):
    """Items of the vocabulary rows `item`, and their category rows."""
    none = catalogs.empty()
    heads = {"item": np.array([0, 1, *item]), "category": np.array([0, 1, *category])}
    return replace(none, **{name: rows.astype(np.int32) for name, rows in heads.items()})


@pytest.fixture
def small():
    """Tables of two columns; the sums say that rows were trained, but for item row 5."""
    rows = tables(SIZES, price_memory=True)
    weights = {name: torch.arange(2.0 * n).view(n, 2) for name, n in rows.items()}
    sums = {name: torch.ones_like(table) for name, table in weights.items()}
    sums[ITEM][5] = 0
    return weights, sums


KNOWN = catalog(item=[2, 3, 4, 5, 6, 7, 8, 10], category=[2, 2, 3, 3, 2, 3, 4, 2])


def test_a_new_item_starts_at_the_mean_of_the_trained_items_of_its_category(small):
    weights, sums = small
    new = grown(weights, sums, GROWN, KNOWN)[ITEM][6:]
    rows = weights[ITEM]
    assert torch.equal(new[0], (rows[2] + rows[3]) / 2)
    assert torch.equal(new[1], rows[4])  # row 5 is of category 3 too, but was never trained
    everywhere = rows[2:5].mean(dim=0)
    assert torch.equal(new[2], everywhere)  # no item of category 4 was trained
    assert torch.equal(new[3], everywhere)  # the catalog does not know row 9


def test_items_of_an_unknown_category_say_nothing_of_each_other(small):
    weights, sums = small
    known = catalog(item=[2, 3, 4, 6], category=[1, 2, 3, 1])
    assert torch.equal(grown(weights, sums, GROWN, known)[ITEM][6], weights[ITEM][2:5].mean(dim=0))


def test_a_new_row_of_another_table_starts_at_the_mean_of_its_trained_rows(small):
    weights, sums = small
    new = grown(weights, sums, GROWN, KNOWN)["item.shop.weight"]
    assert torch.equal(new[4:], weights["item.shop.weight"][2:].mean(dim=0).expand(2, -1))


def test_where_nothing_was_trained_new_rows_are_zero(small):
    weights, sums = small
    untrained = {name: torch.zeros_like(total) for name, total in sums.items()}
    assert not grown(weights, untrained, GROWN, KNOWN)[ITEM][6:].any()


def test_old_rows_and_their_sums_stay_bit_for_bit(small):
    weights, sums = small
    after = grown(weights, sums, GROWN, KNOWN)
    state = grown_optimizer({"dense": {}, "sparse": sums}, GROWN)["sparse"]
    for name, rows in tables(GROWN, price_memory=True).items():
        assert len(after[name]) == len(state[name]) == rows
        assert torch.equal(after[name][: len(weights[name])], weights[name])
        assert torch.equal(state[name][: len(sums[name])], sums[name])
        assert not state[name][len(sums[name]) :].any()


def test_a_row_that_held_what_unknown_holds_starts_as_a_new_one_does(small):
    weights, sums = small
    weights[ITEM][5] = weights[ITEM][1]
    weights["item.shop.weight"][3] = weights["item.shop.weight"][1]
    weights[PRICE_WORDS][[1, 3]] = sums[PRICE_WORDS][3] = 0
    after = grown(weights, sums, SIZES, KNOWN)
    assert torch.equal(after[ITEM][5], weights[ITEM][4])  # the mean of category 3
    assert torch.equal(after[ITEM][:5], weights[ITEM][:5])
    others = {name: table for name, table in weights.items() if name != ITEM}  # trained, or zeros
    assert all(torch.equal(after[name], table) for name, table in others.items())


def test_sizes_hold_the_rows_of_both_vocabularies():
    other = replace(SIZES, item=3, brand=9, profile=(7,))
    assert joined(SIZES, other) == joined(other, SIZES) == replace(SIZES, brand=9, profile=(7,))


def test_inputs_that_came_or_went_and_tables_that_shrank_are_refused(small):
    with pytest.raises(TrainingError, match=r"names were not noted .* has 2 now"):
        joined(SIZES, replace(SIZES, profile=(3, 3)))
    with pytest.raises(TrainingError, match=r"^the champion weighs 33 ranking features, .* 32\. T"):
        joined(replace(SIZES, ranking_features=33), SIZES)
    with pytest.raises(TrainingError, match=r"other ranking features than .* \(then a, b; now "):
        joined(replace(SIZES, ranking_names=("a", "b")), SIZES)
    more = replace(SIZES, property_names=(*SIZES.property_names, "parity"))
    with pytest.raises(TrainingError, match=r"parity of a behaviour, .* weekend\. Train the line"):
        joined(more, SIZES)
    named = replace(SIZES, ranking_names=NAMES)
    for old in (named, SIZES):  # nobody had noted them
        assert joined(old, replace(named, brand=1)) == named
    with pytest.raises(TrainingError, match=r"item\.item\.weight has 6 rows .* and 5"):
        grown(*small, replace(SIZES, item=5), KNOWN)


def answers(model, store, days, sizes):
    model.eval()
    reader = Reader(Samples(store, days, sizes), batch_size=100, buffer=200, shuffle=False)
    with torch.inference_mode():
        outputs = [model(loaded.batch) for loaded in reader.epoch(Position())]
    names = ("ctr_C", "l2r_C", "ppp_K7", "fifp_I", "spp_S", "rep_BR")
    return {name: torch.cat([getattr(out, name) for out in outputs]) for name in names}


@pytest.mark.parametrize("price_memory", [False, True])
def test_an_old_checkpoint_scores_old_samples_to_the_same_numbers_after_growth(
    make_store, tmp_path, days, tiny, quick, price_memory
):
    store = make_store(tmp_path, moments=120)
    tiny = tiny.model_copy(update={"price_memory": price_memory})
    fitted = fit(store, days, tiny, quick, seed=1, run_name="run")
    found, old = load(fitted.checkpoint), load_model(fitted.checkpoint)
    plain = {name: getattr(old.sizes, name) + 7 for name in ("item", "brand", "shop", "category")}
    more = {name: getattr(old.sizes, name) + 3 for name in ("tag", "token", "icon")}
    sizes = replace(old.sizes, **plain, **more, profile=tuple(n + 2 for n in old.sizes.profile))
    new = Dupn(old.config, sizes)
    known = catalogs.load(store, days[1])
    new.load_state_dict(grown(found.weights, found.optimizer["sparse"], sizes, known))
    before = answers(old, store, days, old.sizes)
    after = answers(new, store, days, sizes)
    assert all(torch.equal(before[name], after[name]) for name in before)
