"""The regression inside a network moves as FTRL does by the error of the whole logit."""

import copy

import numpy as np
import pytest
import torch

from infra.errors import TrainingError
from training.config import Task
from training.peers.crosses import OF_TASK
from training.peers.ftrl import Ftrl
from training.peers.wide import WidePart


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def error_of(task, logit, batch):
    """Derivative of a question's own loss by its logit, by hand."""
    if task is Task.L2R:
        label, weight = batch.cand_label_C.numpy(), batch.cand_weight_C.numpy()
        return -weight * label * sigmoid(-label * logit)
    if task is Task.PPP:
        share = np.exp(logit) / np.exp(logit).sum(axis=1, keepdims=True)
        return share - np.eye(7)[batch.price_level_K.numpy()]
    happened = {Task.CTR: "cand_clicked_C", Task.FIFP: "icon_followed_I"}
    return sigmoid(logit) - getattr(batch, happened.get(task, "shop_preferred_S")).numpy()


def answered(out, task):
    return getattr(out, {Task.PPP: "ppp_K7", Task.FIFP: "fifp_I", Task.SPP: "spp_S"}.get(
        task, f"{task}_C"
    )).double().numpy()  # fmt: skip


@pytest.mark.parametrize("name", ["wide", "wide_deep"])
@pytest.mark.parametrize("task", Task)
def test_it_moves_as_ftrl_by_the_error_of_the_whole_logit(name, task, asked, learner, wide):
    network, rows = learner(name, task), OF_TASK[task](asked, wide)
    by_hand = Ftrl.new(1 << wide.bits, wide)
    for step in range(3):
        logit = answered(network.judge(asked).outputs, task)
        by_hand.move(rows, error_of(task, logit, asked))
        network.learn(asked, step)
        found = network.model.wide.parts[task.value].model
        np.testing.assert_allclose(found.weights, by_hand.weights, atol=1e-5)
    assert np.count_nonzero(by_hand.weights) > 10


def test_the_logit_of_wide_and_deep_is_the_sum_of_both_sides(asked, learner):
    network = learner("wide_deep", *Task)
    for step in range(3):
        network.learn(asked, step)
    model = network.model.eval()
    with torch.no_grad():
        whole, wide = model(asked), model.wide(asked)
        for part in model.wide.parts.values():
            part.model = Ftrl.new(1 << part.config.bits, part.config)
        deep = model(asked)
    for task in Task:
        both = answered(deep, task) + wide[task].numpy()
        np.testing.assert_allclose(answered(whole, task), both, atol=1e-5)
        assert np.abs(wide[task].numpy()).max() > 0


def test_tasks_share_no_weight(asked, learner):
    network = learner("wide", Task.CTR)
    alone = learner("wide", Task.CTR, Task.L2R)
    network.learn(asked, 0)
    alone.learn(asked, 0)
    one, other = (n.model.wide.parts["ctr"].model.weights for n in (network, alone))
    np.testing.assert_array_equal(one, other)


def test_without_a_gradient_it_stays(wide):
    part = WidePart(wide).train()
    rows = np.full((4, 3), 7, np.int32)
    part(rows)
    part.move()  # no backward pass
    part.eval()
    assert not part(rows).requires_grad
    part.move()
    assert not part.model.weights.any()


def test_a_gradient_moves_it_once(asked, learner):
    network = learner("wide", Task.CTR)
    network.learn(asked, 0)
    part = network.model.wide.parts["ctr"]
    before = part.model.weights.copy()
    part.move()
    np.testing.assert_array_equal(part.model.weights, before)


def test_a_kept_state_is_not_moved_and_comes_back_exactly(asked, learner, make):
    network = learner("wide_deep", Task.CTR, Task.PPP)
    network.learn(asked, 0)
    kept = copy.deepcopy(network.model.state_dict())
    before = network.judge(asked).outputs.ctr_C
    for step in range(1, 4):
        network.learn(asked, step)
    again = make("wide_deep", (Task.CTR, Task.PPP))
    again.load_state_dict(kept)
    with torch.inference_mode():
        assert torch.equal(again(asked).ctr_C, before)
    network.model.load_state_dict(kept)
    for name, part in again.wide.parts.items():
        mine = network.model.wide.parts[name].model
        np.testing.assert_array_equal(part.model.z, mine.z)
        np.testing.assert_array_equal(part.model.n, mine.n)
        np.testing.assert_array_equal(part.model.weights, mine.weights)


def test_a_larger_table_is_refused(wide):
    for met in (1 << 10, (1 << wide.bits) - 1):  # the first that a small table lacks, and the last
        large, small = WidePart(wide), WidePart(wide.model_copy(update={"bits": 10}))
        large.model.n[met] = 1.0
        with pytest.raises(TrainingError, match=r"wide\.bits"):
            small.load_state_dict(large.state_dict())
