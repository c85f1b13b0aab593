import numpy as np
import pyarrow as pa
import pytest
import torch

from pipeline.bench import gate, spoilt
from pipeline.bench.spoilt import shuffled_labels, stale_vocabulary, without_properties
from tests import chain as chains
from training import checkpoint as checkpoints


@pytest.fixture(scope="module")
def table():
    lists = [[1, 0, 0], None, [], [0, 1], [1, 1, 1, 0]]
    column = pa.array(lists, pa.list_(pa.int8()))
    return pa.table({"cand_clicked": column, "moment": pa.array(range(5))})


def test_labels_change_places_and_nothing_else_does(table):
    spoilt_table = shuffled_labels(("cand_clicked",), 1.0, table)
    old, new = table["cand_clicked"].combine_chunks(), spoilt_table["cand_clicked"].combine_chunks()
    assert new.type == old.type
    assert new.value_lengths().equals(old.value_lengths())
    assert sorted(new.flatten().to_pylist()) == sorted(old.flatten().to_pylist())
    assert spoilt_table["moment"].equals(table["moment"])


def test_a_share_of_nothing_changes_nothing(table):
    assert shuffled_labels(("cand_clicked",), 0.0, table).equals(table)


@pytest.fixture(scope="module")
def asked(chain):
    store = chain.store
    model = checkpoints.load_model(checkpoints.final(store, f"dupn-{chains.DAYS[-2]}"))
    return model, gate.sampled.read(store, chains.EVALUATED, 100, 0)


def test_without_a_defect_the_answers_are_the_models_own(asked):
    model, day = asked
    plain, same = day.ask(model), spoilt.ask(day, model, lambda batch: batch)
    assert np.array_equal(plain.answers.ctr, same.answers.ctr)


@pytest.mark.parametrize("defect", [without_properties, stale_vocabulary])
def test_a_defect_shows_in_the_answers_and_its_absence_does_not(asked, defect):
    model, day = asked
    none, all_of_it = (0.0, 1.0) if defect is without_properties else (1.0, 0.0)
    plain = day.ask(model).answers.ctr
    assert np.array_equal(spoilt.ask(day, model, lambda b: defect(none, b)).answers.ctr, plain)
    assert np.abs(spoilt.ask(day, model, lambda b: defect(all_of_it, b)).answers.ctr - plain).max()


def test_a_zeroed_category_takes_its_items_along(chain, asked):
    _, day = asked
    model = checkpoints.load_model(checkpoints.final(chain.store, f"dupn-{chains.DAYS[-2]}"))
    before = {name: weights.clone() for name, weights in model.named_parameters()}
    spoilt.zeroed_categories(1, model, day.catalog)
    changed = {n for n, weights in model.named_parameters() if not torch.equal(weights, before[n])}
    assert changed == {"item.item.weight", "item.category.weight"}
    rows = np.flatnonzero((model.get_parameter("item.category.weight") == 0).all(1).numpy())
    items = day.catalog.item[np.isin(day.catalog.category, rows[rows > 1])]
    known = items[(items > 1) & (items < len(before["item.item.weight"]))]
    assert len(known)
    assert (model.get_parameter("item.item.weight")[torch.from_numpy(known.astype(int))] == 0).all()


@pytest.mark.drill
def test_the_bench_runs_through_every_kind_of_defect():
    found = {figure["name"]: figure for figure in gate.run(quick=True)}
    kinds = {kind.partition(":")[0] for kind in spoilt.KINDS}
    assert {f"gate_catch_{kind}" for kind in kinds} <= set(found)
    trials = sum(found[f"gate_{k}_trials"]["value"] for k in ("twin", "costly", "slight"))
    assert trials == 2 * (gate.QUICK.twins + len(spoilt.KINDS))
