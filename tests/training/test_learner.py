"""One step: which tasks teach how much, and what judging leaves alone."""

from dataclasses import replace

import pytest
import torch

from infra.errors import TrainingError
from tests.training.model.conftest import SIZES, SMALL
from training.baselines.synthetic import Shape, synthetic_batch
from training.config import Task, TrainConfig
from training.learner import Learner, pick_device
from training.validation import judge


@pytest.fixture(scope="module")
def batch():
    return synthetic_batch(SIZES, Shape(moments=16, length=9, candidates=3, ragged=True), seed=5)


def learner(dropout=0.0, **settings):
    config = TrainConfig(**{"threads": 1, "clip_norm": None, "l2": 0, "device": "cpu", **settings})
    return Learner(SMALL.model_copy(update={"dropout": dropout}), config, SIZES, seed=3)


def test_a_task_pulls_as_hard_as_its_weight(batch):
    pulls = []
    for weights in ({}, {Task.CTR: 3.0, Task.PPP: 0.0}):
        one = learner(weights=weights)
        one.learn(batch, 0)
        heads = one.model.ctr.rest[-1], one.model.ppp.predict[-1], one.model.fifp.rest[-1]
        pulls.append([head.weight.grad for head in heads])
    (ctr, ppp, fifp), (harder, none, as_before) = pulls
    torch.testing.assert_close(harder, 3 * ctr)
    assert ppp.any()
    assert not none.any()
    torch.testing.assert_close(as_before, fifp)


def test_the_judging_loss_weighs_tasks_as_learning_does(batch):
    one = learner(weights={Task.CTR: 3.0, Task.PPP: 0.0})
    found = judge(one, [batch])
    parts = {task: found[f"validation_{task}_loss"] for task in one.config.tasks}
    expected = 3 * parts[Task.CTR] + parts[Task.L2R] + parts[Task.FIFP]
    assert found["validation_loss"] == pytest.approx(expected)


@pytest.mark.parametrize("settings", [{}, {"click_prices": 0.5, "ranks_unseen": True}])
def test_moments_of_less_weight_pull_less_and_are_told_as_any_other(batch, settings):
    light = replace(batch, weight_B=torch.full((batch.size,), 0.3))
    whole, less = learner(**settings), learner(**settings)
    told, judged = less.learn(light, 0).losses, less.judge(light).losses
    assert told == pytest.approx(whole.learn(batch, 0).losses)
    assert judged == pytest.approx(less.judge(batch).losses)
    full, weaker = (one.model.ctr.rest[-1].weight.grad for one in (whole, less))
    torch.testing.assert_close(weaker, 0.3 * full)


def test_an_endless_loss_is_named_and_moves_nothing(batch):
    one = learner()
    before = {name: weight.clone() for name, weight in one.model.state_dict().items()}
    endless = torch.full_like(batch.cand_weight_C, torch.inf)
    with pytest.raises(TrainingError, match=r"the l2r loss is inf at step 7\."):
        one.learn(replace(batch, cand_weight_C=endless), 7)
    assert all(torch.equal(w, before[name]) for name, w in one.model.state_dict().items())


def test_judging_drops_nothing_and_learning_does(batch):
    one = learner(dropout=0.5, learning_rate=1e-12, embedding_learning_rate=1e-12)
    judged = [one.judge(batch).outputs.ctr_C for _ in range(2)]
    assert torch.equal(*judged)
    learnt = [one.learn(batch, 0).outputs.ctr_C for _ in range(2)]
    assert not torch.allclose(*learnt, atol=1e-4)


@pytest.mark.parametrize(("tasks", "learnt"), [((Task.L2R,), False), ((Task.CTR, Task.L2R), True)])
def test_the_network_is_told_whether_clicks_are_learnt(tasks, learnt):
    assert learner(tasks=tasks).model.clicks_are_learnt is learnt


@pytest.mark.parametrize(("precision", "kind"), [("fp32", torch.float32), ("bf16", torch.bfloat16)])
def test_products_are_in_the_precision_that_is_set(precision, kind):
    with learner(precision=precision).autocast():
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == kind


@pytest.mark.parametrize(
    ("present", "device", "picked"),
    [(True, "auto", "cuda"), (True, "cuda", "cuda"), (True, "cpu", "cpu"), (False, "auto", "cpu")],
)
def test_a_gpu_is_used_where_there_is_one_unless_the_setting_says_not(
    monkeypatch, present, device, picked
):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: present)
    assert pick_device(TrainConfig(device=device)) == picked


def test_a_gpu_that_is_set_and_absent_is_missed(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(TrainingError, match=r"sees no GPU\. Set train\.device=cpu"):
        pick_device(TrainConfig(device="cuda"))
