"""DIN and DIEN over our batches answer what their own forward answers row by row."""

from dataclasses import replace
from datetime import timedelta
from importlib.util import find_spec

import numpy as np
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
BOTH = pytest.mark.parametrize("kind", deepctr.KINDS)


@pytest.fixture
def make(sizes, small):
    """A network whose weights all matter (theirs start at almost nothing), in evaluation mode."""

    def made(kind):
        network = deepctr.builder(kind)(small, sizes).eval()
        for weight in network.parameters():
            torch.nn.init.normal_(weight, std=0.4)
        return network

    return made


def by_their_own_forward(network, batch, config):
    """Candidate by candidate: a row of numbers, with the history as long as any."""
    length = max(batch.seq_BT.shape[1], 1)
    model = theirs.build(network.kind, config, network.sizes, length, {"task": "regression"})
    model.load_state_dict(network.model.state_dict())
    model.eval()
    items = batch.items
    of = {name: getattr(items, f"{name}_U") for name in ("item", "brand", "shop", "category")}
    of["tag"] = items.tags_UG[:, 0]
    width = max(end for _, end in model.feature_index.values())
    rows = np.zeros((len(batch.cand_C), width), np.float32)
    for row, (place, moment) in enumerate(zip(batch.cand_C, batch.cand_moment_C, strict=True)):
        for name, column in of.items():
            rows[row, slice(*model.feature_index[name])] = column[place]
            past = model.feature_index[f"hist_{name}"][0]
            for step in range(int(batch.length_B[moment])):
                rows[row, past + step] = column[batch.seq_BT[moment, step]]
        rows[row, slice(*model.feature_index["length"])] = batch.length_B[moment]
    with torch.inference_mode():
        return model(torch.from_numpy(rows))[:, 0]


@BOTH
def test_its_answers_are_those_of_their_own_forward(kind, make, asked, small):
    network = make(kind)
    assert (asked.length_B == 0).any()
    with torch.inference_mode():
        mine = network(asked).ctr_C
    assert mine.std() > 0.05, "all the same: this test shows nothing"
    torch.testing.assert_close(mine, by_their_own_forward(network, asked, small))


@BOTH
def test_how_many_are_answered_at_a_time_does_not_matter(kind, make, asked, monkeypatch):
    network = make(kind)
    with torch.inference_mode():
        whole = network(asked).ctr_C
        monkeypatch.setattr(deepctr, "ROWS", 7)
        torch.testing.assert_close(network(asked).ctr_C, whole)


@BOTH
def test_padding_does_not_matter(kind, make, asked, more_padding):
    network = make(kind)
    with torch.inference_mode():
        torch.testing.assert_close(network(more_padding(asked)).ctr_C, network(asked).ctr_C)


@BOTH
def test_who_has_no_history_is_answered_alike_alone_and_among_others(kind, make, asked):
    network = make(kind)
    nobody = torch.zeros_like(asked.length_B)
    empty = replace(asked, length_B=nobody, seq_BT=torch.zeros_like(asked.seq_BT))
    alone = replace(empty, seq_BT=asked.seq_BT[:, :0])
    strangers = asked.length_B[asked.cand_moment_C] == 0
    with torch.inference_mode():
        among = network(asked).ctr_C[strangers]
        torch.testing.assert_close(network(empty).ctr_C[strangers], among)
        torch.testing.assert_close(network(alone).ctr_C[strangers], among)


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
    table = learner.model.model.embedding_dict["item"].weight
    before = table.detach().clone()
    learner.learn(batch, 0)
    moved = (table != before).any(dim=1).nonzero()[:, 0].tolist()
    assert set(moved) <= set(batch.items.item_U.tolist())
    assert len(moved) > 10


@BOTH
def test_it_learns(kind, store, tiny):
    learnt, judges = (Held.read(store, [day]).asking((Task.CTR,)) for day in DAYS)
    train = TrainConfig(tasks=(Task.CTR,), batch_size=32, learning_rate=0.05, epochs=6, threads=1)
    config = tiny.model_copy(update={"category_dim": 8, "general_std": 0.5})
    done = fit(deepctr.builder(kind), config, Course(learnt, judges, train), seed=1)
    assert done.best.figures["ctr_auc"] > 0.65
