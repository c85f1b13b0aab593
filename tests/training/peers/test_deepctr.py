"""DIN and DIEN over our batches answer what their own forward answers row by row."""

from dataclasses import replace
from datetime import timedelta
from importlib.util import find_spec

import pytest
import torch

from tests.training.conftest import FIRST
from training.baselines import deepctr as theirs
from training.baselines.synthetic import Shape, synthetic_batch
from training.config import Task, TrainConfig
from training.learner import Learner
from training.model.dupn import Dupn
from training.peers import deepctr
from training.peers.fitting import Course, fit
from training.peers.held import Held

pytestmark = pytest.mark.skipif(
    find_spec("deepctr_torch") is None, reason="the extra `bench` is not installed"
)
DAYS = [FIRST, FIRST + timedelta(days=1)]
ITEM = ("item_U", "brand_U", "shop_U", "category_U")
PROPERTY = ("type_BT", "scenario_BT", "gap_BT", "daypart_BT", "weekend_BT")
BOTH = pytest.mark.parametrize("kind", deepctr.KINDS)


@pytest.fixture
def make(sizes, small):
    """A network whose weights all matter (theirs start at almost nothing), in evaluation mode."""

    def made(kind):
        torch.manual_seed(3)
        network = deepctr.builder(kind)(small, sizes).eval()
        for weight in network.parameters():
            torch.nn.init.normal_(weight, std=0.4)
        return network

    return made


def by_their_own_forward(network, batch, config):
    """Candidate by candidate: a row of numbers, with the history as long as any.

    Their one table holds a row for every candidate and every behaviour: what DUPN knows of each.
    """
    items, properties = network.item(batch.items), network.property(batch)
    nothing = torch.zeros(len(batch.cand_C), config.p_dim)
    candidates = torch.cat([items[batch.cand_C], nothing], dim=1)
    behaviours = torch.cat([items[batch.seq_BT], properties], dim=2)
    (B, T), C = batch.seq_BT.shape, len(batch.cand_C)
    vectors = torch.cat([candidates, behaviours.flatten(0, 1)])
    tables, length = {"all": theirs.Table(*vectors.shape)}, max(T, 1)
    model = theirs.over(network.kind, tables, length, {"task": "regression"})
    theirs_of_ours = {**network.model.state_dict(), "embedding_dict.all.weight": vectors}
    model.load_state_dict(theirs_of_ours)
    model.eval()
    moment = batch.cand_moment_C
    named = {
        "all": torch.arange(C)[:, None],
        "hist_all": (C + torch.arange(B * T).view(B, T))[moment],
        "length": batch.length_B[moment][:, None],
    }
    with torch.inference_mode():
        return model(torch.cat([named[name] for name in model.feature_index], dim=1))[:, 0]


@BOTH
def test_its_answers_are_those_of_their_own_forward(kind, make, asked, small):
    network = make(kind)
    assert (asked.length_B == 0).any()
    with torch.inference_mode():
        mine = network(asked).ctr_C
        own = by_their_own_forward(network, asked, small)
    assert mine.std() > 0.05, "all the same: this test shows nothing"
    torch.testing.assert_close(mine, own, rtol=1e-4, atol=1e-4)


def seen(network, batch):
    """Names of what changes the clicks that a network answers, were it something else."""
    one = {f"items.{name}": getattr(batch.items, name) for name in (*ITEM, "tags_UG")}
    parts = {**one, **{name: getattr(batch, name) for name in PROPERTY}, "query_BQ": batch.query_BQ}
    found = set()
    with torch.inference_mode():
        before = network(batch).ctr_C
        for name, value in parts.items():
            columns = range(value.shape[1]) if name == "items.tags_UG" else (slice(None),)
            for column in columns:
                if not torch.equal(network(_other(batch, name, value, column)).ctr_C, before):
                    found.add(f"{name} {column}" if len(columns) > 1 else name)
    return found


def _other(batch, name, value, column):
    """The batch with one of its numbers 1 where it was 2 and 2 where it was more, or nothing."""
    changed = value.clone()
    changed[..., column] = torch.where(value[..., column] == 2, 1, 2) * (value[..., column] > 0)
    field = name.removeprefix("items.")
    if field == name:
        return replace(batch, **{name: changed})
    return replace(batch, items=replace(batch.items, **{field: changed}))


@BOTH
def test_it_sees_of_an_item_and_of_a_behaviour_what_dupn_sees(kind, make, asked, small, sizes):
    """Every attribute, every one of the tags (the last ones are statistics), every property."""
    ours = Dupn(small, sizes).eval()
    for weight in ours.parameters():
        torch.nn.init.normal_(weight, std=0.4)
    wanted = seen(ours, asked) - {"query_BQ"}
    tags = asked.items.tags_UG.shape[1]
    assert len(wanted) == len(ITEM) + tags + len(PROPERTY)
    assert seen(make(kind), asked) == wanted


def test_with_items_alone_it_sees_ids_brands_shops_and_categories(asked, small, sizes):
    network = deepctr.builder("din", items_alone=True)(small, sizes).eval()
    for weight in network.parameters():
        torch.nn.init.normal_(weight, std=0.4)
    assert seen(network, asked) == {f"items.{name}" for name in ITEM}
    with torch.inference_mode():
        items, past = network.vectors(asked)
    assert torch.equal(past, items[asked.seq_BT])


@BOTH
def test_a_candidate_and_a_behaviour_of_an_item_differ_by_properties_alone(kind, make, asked):
    network = make(kind)
    with torch.inference_mode():
        items, past = network.vectors(asked)
    width = items.shape[1] - network.property(asked).shape[2]
    assert torch.equal(past[..., :width], items[asked.seq_BT][..., :width])
    assert not items[:, width:].any()
    assert past[asked.seq_BT > 0][:, width:].any(dim=1).all()


def test_din_is_at_the_defaults_of_its_package(sizes, small):
    """DIN's scores are not normalised, DIEN's are."""
    din, dien = (theirs.build(kind, small, sizes, 5) for kind in ("din", "dien"))
    assert not din.attention.weight_normalization
    assert dien.interest_evolution.attention.weight_normalization
    assert dien.interest_evolution.gru_type == "GRU"
    peers = [deepctr.builder(kind)(small, sizes).model for kind in ("din", "dien")]
    assert not peers[0].attention.weight_normalization
    assert peers[1].interest_evolution.attention.weight_normalization


@BOTH
def test_how_many_are_answered_at_a_time_does_not_matter(kind, make, asked, monkeypatch):
    network = make(kind)
    with torch.inference_mode():
        whole = network(asked).ctr_C
        monkeypatch.setattr(deepctr, "ROWS", 7)
        torch.testing.assert_close(network(asked).ctr_C, whole, rtol=1e-4, atol=1e-4)


@BOTH
def test_a_step_is_of_the_whole_batch_at_once(kind, make, asked, monkeypatch):
    """Batch norm in the attention of DIN would see each part alone."""
    network = make(kind).train()
    with torch.no_grad():
        whole = network(asked).ctr_C
        monkeypatch.setattr(deepctr, "ROWS", 7)
        torch.testing.assert_close(network(asked).ctr_C, whole)


@BOTH
def test_dropout_is_the_settings(kind, asked, small, sizes):
    for share in (0.0, 0.5):
        config = small.model_copy(update={"dropout": share})
        network = deepctr.builder(kind)(config, sizes)
        for weight in network.parameters():
            torch.nn.init.normal_(weight, std=0.4)
        one, other = (network.train()(asked).ctr_C for _ in range(2))
        assert torch.equal(one, other) == (share == 0)


@BOTH
def test_padding_does_not_matter(kind, make, asked, more_padding):
    network = make(kind)
    with torch.inference_mode():
        padded, plain = network(more_padding(asked)).ctr_C, network(asked).ctr_C
        torch.testing.assert_close(padded, plain, rtol=1e-4, atol=1e-4)


@BOTH
def test_who_has_no_history_is_answered_alike_alone_and_among_others(kind, make, asked):
    network = make(kind)
    nobody = torch.zeros_like(asked.length_B)
    past = {name: getattr(asked, name) for name in ("seq_BT", *PROPERTY)}
    empty = replace(asked, length_B=nobody, **{name: 0 * rows for name, rows in past.items()})
    alone = replace(empty, **{name: rows[:, :0] for name, rows in past.items()})
    strangers = asked.length_B[asked.cand_moment_C] == 0
    with torch.inference_mode():
        among = network(asked).ctr_C[strangers]
        for batch in (empty, alone):
            found = network(batch).ctr_C[strangers]
            torch.testing.assert_close(found, among, rtol=1e-4, atol=1e-4)


@BOTH
def test_it_answers_clicks_alone(kind, make, asked, small, sizes):
    with torch.inference_mode():
        out, ours = make(kind)(asked), Dupn(small, sizes)(asked)
    for name in ("l2r_C", "ppp_K7", "fifp_I", "spp_S"):
        assert getattr(out, name).shape == getattr(ours, name).shape
        assert not getattr(out, name).any()


@BOTH
def test_a_seed_makes_first_weights(kind, sizes, small):
    def first(seed):
        network = Learner(small, TrainConfig(threads=1), sizes, seed, deepctr.builder(kind)).model
        return torch.cat([weight.detach().ravel() for weight in network.parameters()])

    assert torch.equal(first(1), first(1))
    assert not torch.equal(first(1), first(2))


@BOTH
def test_a_step_moves_the_rows_that_it_touches_and_no_others(kind, sizes, small):
    few = replace(sizes, item=500)
    batch = synthetic_batch(sizes, Shape(moments=8, length=5, candidates=2), seed=1)
    rates = TrainConfig(tasks=(Task.CTR,), learning_rate=0.1, embedding_l2=0.1, threads=1)
    learner = Learner(small, rates, few, 1, deepctr.builder(kind))
    table = learner.model.item.item.weight
    before = table.detach().clone()
    learner.learn(batch, 0)
    moved = (table != before).any(dim=1).nonzero()[:, 0].tolist()
    assert set(moved) <= set(batch.items.item_U.tolist())
    assert len(moved) > 10


@BOTH
def test_it_learns(kind, make_store, tmp_path, tiny):
    store = make_store(tmp_path, days=2, moments=900)  # of 300, DIEN learns too little to tell
    learnt, judges = (Held.read(store, [day]).asking((Task.CTR,)) for day in DAYS)
    train = TrainConfig(tasks=(Task.CTR,), batch_size=32, learning_rate=0.05, epochs=6, threads=1)
    config = tiny.model_copy(update={"category_dim": 8, "general_std": 0.5})
    done = fit(deepctr.builder(kind), config, Course(learnt, judges, train), seed=1)
    assert done.best.figures["ctr_auc"] > 0.7
