"""A batch that is learnt from by shards: the same questions, answers and gradients as whole."""

import sys
import threading
from collections import Counter
from dataclasses import fields, replace

import pytest
import torch

from infra.errors import TrainingError
from tests.training.model.conftest import SIZES, SMALL
from training import memory
from training.baselines.synthetic import Shape, synthetic_batch
from training.config import ModelConfig, Task, TrainConfig
from training.learner import Learner
from training.model.dupn import Dupn
from training.model.network import Outputs
from training.peers.build import builder
from training.peers.config import PeersConfig, WideConfig
from training.peers.deepctr import DeepCtr
from training.shards import ASKED, MOMENTS, Shards, axis_of, joined, split

EVERY_TASK = tuple(Task)


@pytest.fixture(scope="module")
def batch():
    made = synthetic_batch(SIZES, Shape(moments=17, length=9, candidates=3, ragged=True), seed=5)
    return replace(
        made,
        weight_B=torch.linspace(0.2, 1, 17),
        known_B=torch.arange(17) % 3 == 0,
        offer_BL=torch.rand(17, 7).softmax(dim=1),
    )


def learner(shards, dropout=0.0, **settings):
    fixed = {"threads": 1, "clip_norm": None, "device": "cpu", "tasks": EVERY_TASK}
    config = TrainConfig(**{**fixed, "shards": shards, **settings})
    model = SMALL.model_copy(update={"dropout": dropout, "price_memory": True})
    return Learner(model, config, SIZES, seed=3)


@pytest.mark.parametrize("count", [1, 2, 5, 17, 40])
def test_every_moment_and_question_is_in_one_shard(batch, count):
    shards = split(batch, count)
    assert len(shards) == min(count, 17)
    sizes = Counter(one.batch.size for one in shards)
    assert max(sizes) - min(sizes) <= 1
    for axis in ("B", *MOMENTS):
        rows = torch.cat([one.rows[axis] for one in shards])
        whole = batch.size if axis == "B" else len(getattr(batch, MOMENTS[axis]))
        assert sorted(rows.tolist()) == list(range(whole))
    for task in ASKED:
        assert sum(one.shares[task] for one in shards) == pytest.approx(1)


def test_a_shard_has_what_its_moments_have_in_the_batch(batch):
    for shard in split(batch, 3):
        mine, first = shard.batch, int(shard.rows["B"][0])
        for name in (f.name for f in fields(batch)):
            value = getattr(batch, name)
            if value is None or name in ("items", "seq_BT", "cand_C"):
                continue
            expected = value[shard.rows[axis_of(name)]]
            if name in MOMENTS.values():
                expected = expected - first
            assert torch.equal(getattr(mine, name), expected), name
        for places, axis in (("seq_BT", "B"), ("cand_C", "C")):
            for column in fields(mine.items):
                had = getattr(batch.items, column.name)[getattr(batch, places)[shard.rows[axis]]]
                assert torch.equal(getattr(mine.items, column.name)[getattr(mine, places)], had)
        assert len(mine.items.item_U) < len(batch.items.item_U)


def test_answers_of_shards_joined_are_those_to_the_batch(batch):
    model = learner(1).model.eval()
    said = joined([(one, model(one.batch)) for one in split(batch, 4)])
    whole = model(batch)
    for name in (f.name for f in fields(Outputs)):
        torch.testing.assert_close(getattr(said, name), getattr(whole, name), msg=name)


@pytest.mark.parametrize("count", [2, 5, 40])
@pytest.mark.parametrize(
    "settings",
    [{}, {"weights": {Task.CTR: 3.0, Task.PPP: 0.1}, "click_prices": 0.5, "ranks_unseen": True}],
)
def test_losses_and_gradients_of_shards_are_those_of_the_batch(batch, count, settings):
    whole, apart = learner(1, **settings), learner(count, **settings)
    told = whole.learn(batch, 0).losses
    assert apart.learn(batch, 0).losses == pytest.approx(told, rel=1e-5)
    assert apart.asked == whole.asked
    others = dict(apart.model.named_parameters())
    for name, weight in whole.model.named_parameters():
        mine, theirs = (w.grad.to_dense() for w in (weight, others[name]) if w.grad is not None)
        torch.testing.assert_close(theirs, mine, rtol=1e-4, atol=1e-6, msg=name)


def test_a_batch_without_questions_of_a_task_teaches_the_others(batch):
    none = torch.zeros(0, dtype=torch.long)
    silent = replace(batch, price_moment_K=none, price_level_K=none)
    one = learner(3)
    assert one.learn(silent, 0).losses[Task.PPP] == 0
    assert one.asked == set(EVERY_TASK) - {Task.PPP}
    assert one.model.ctr.rest[-1].weight.grad.any()


def weights(count, batch, seed=7, **settings):
    one = learner(count, dropout=0.5, **settings)
    torch.manual_seed(seed)
    for step in range(3):
        one.learn(batch, step)
    return torch.cat([weight.flatten() for weight in one.model.state_dict().values()])


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_the_same_seed_and_shards_give_the_same_weights_to_the_last_bit(batch, precision):
    found = weights(2, batch, precision=precision)
    assert torch.equal(found, weights(2, batch, precision=precision))
    assert not torch.allclose(found, weights(2, batch, seed=8, precision=precision), atol=1e-4)


def test_shards_drop_other_units_than_each_other():
    """Moments that are alike and alone in their shards are answered differently."""
    double = synthetic_batch(SIZES, Shape(moments=2, length=9, candidates=3), seed=5)
    alike = {
        f.name: torch.cat([value[: len(value) // 2]] * 2)
        for f in fields(double)
        if isinstance(value := getattr(double, f.name), torch.Tensor)
        and f.name not in (*MOMENTS.values(), "price_level_K")
    }
    said = learner(2, dropout=0.5).learn(replace(double, **alike), 0).outputs
    assert not torch.allclose(*said.rep_BR, atol=1e-4)
    exactly = learner(2).learn(replace(double, **alike), 0).outputs
    torch.testing.assert_close(*exactly.rep_BR)


def test_an_endless_loss_of_one_shard_is_named_and_moves_nothing(batch):
    one = learner(4)
    before = {name: weight.clone() for name, weight in one.model.state_dict().items()}
    label = batch.cand_weight_C.clone()
    label[-1] = torch.inf
    with pytest.raises(TrainingError, match=r"the l2r loss is inf at step 7\."):
        one.learn(replace(batch, cand_weight_C=label), 7)
    assert all(torch.equal(w, before[name]) for name, w in one.model.state_dict().items())


def test_an_error_in_a_shard_is_raised_where_the_step_was_asked_for(batch, monkeypatch):
    one = learner(2)
    monkeypatch.setattr(one.model, "losses", lambda *_: {}["nothing"])
    with pytest.raises(KeyError, match="nothing"):
        one.learn(batch, 0)


def test_what_moves_itself_learns_from_whole_batches():
    build = builder("wide", PeersConfig(), WideConfig(bits=8))
    config = TrainConfig(shards=2, device="cpu", tasks=(Task.CTR,))
    assert Learner(ModelConfig(), config, SIZES, seed=1, build=build).shards is None
    assert learner(1).shards is None


def test_what_does_not_answer_each_moment_by_itself_learns_from_whole_batches():
    def together(model, sizes):
        made = Dupn(model, sizes)
        made.by_moment = False
        return made

    config = TrainConfig(shards=2, device="cpu")
    assert Learner(SMALL, config, SIZES, seed=1, build=together).shards is None
    assert not DeepCtr.by_moment
    assert Dupn.by_moment


def test_shards_have_a_thread_of_torchs_each_and_nobody_else_has_fewer():
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        shards = Shards(2)
        torch.set_num_threads(3)  # as whoever reads a setting later
        own = [one.submit(torch.get_num_threads).result() for one in shards._threads]
        later = []
        thread = threading.Thread(target=lambda: later.append(torch.get_num_threads()))
        thread.start()
        thread.join()
        assert (own, torch.get_num_threads(), later) == ([1, 1], 3, [3])
    finally:
        torch.set_num_threads(before)


def test_the_network_itself_learns_by_as_many_shards_as_are_set():
    assert learner(2).shards.count == 2


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="heaps of glibc")
def test_threads_of_shards_have_the_heap_that_keeps_what_is_freed():
    memory.keep_freed_memory()
    held, done = [], threading.Event()
    for _ in range(5):  # whoever comes first takes a heap of his own, or takes turns
        thread = threading.Thread(target=lambda: (held.append(bytearray(1000)), done.wait()))
        thread.start()
    try:
        own = memory.threads(3, "test")
        assert [one.submit(memory._in_first_heap).result() for one in own] == [True] * 3
    finally:
        done.set()
