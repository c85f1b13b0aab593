"""L2R learns from a moment once, before its CTR logit has been taught the answer."""

from dataclasses import replace

import pytest
import torch

from tests.training.model import conftest
from training.config import Task, TrainConfig
from training.learner import Learner
from training.model import first_sight

BOTH = (Task.CTR, Task.L2R)


def learner(tasks=BOTH, ranks_unseen=True, **model):
    config = TrainConfig(
        tasks=tasks, threads=1, l2=0, embedding_l2=0, device="cpu", ranks_unseen=ranks_unseen
    )
    model = {"dropout": 0.0} | model
    return Learner(conftest.SMALL.model_copy(update=model), config, conftest.SIZES, 3)


def moved(learner, batch, *, seen):
    """Names of the weights that a step changes."""
    before = {name: w.clone() for name, w in learner.model.state_dict().items()}
    learner.learn(batch, 0, seen=seen)
    after = learner.model.state_dict()
    return {name for name, w in before.items() if not torch.equal(w, after[name])}


def of(names, head):
    return {name for name in names if name.startswith(f"{head}.")}


def test_the_first_time_both_heads_learn_and_later_clicks_alone(batch):
    first, again = (moved(learner(), batch, seen=seen) for seen in (False, True))
    assert of(first, "l2r")
    assert of(first, "ctr")
    assert not of(again, "l2r")
    assert of(again, "ctr") == of(first, "ctr")


def test_at_second_sight_the_rest_learns_as_if_there_were_no_l2r(batch):
    one, other = learner(), learner(tasks=(Task.CTR,))
    one.learn(batch, 0, seen=True)
    other.learn(batch, 0)
    found, expected = one.model.state_dict(), other.model.state_dict()
    for name in found.keys() - of(found, "l2r"):
        assert torch.equal(found[name], expected[name]), name


@pytest.mark.parametrize(
    "config",
    [{"ranks_unseen": False}, {"tasks": (Task.L2R,)}, {"ranks_with_ctr": False}],
    ids=["not set", "clicks are not learnt", "no logit among the features"],
)
def test_where_no_taught_logit_is_weighed_every_sight_teaches(batch, config):
    one, other = learner(**config), learner(**config)
    assert of(moved(one, batch, seen=True), "l2r") == of(moved(other, batch, seen=False), "l2r")
    again, first = one.model.state_dict(), other.model.state_dict()
    assert all(torch.equal(again[name], first[name]) for name in first)


def test_what_a_step_tells_is_the_loss_of_all_that_was_asked(batch):
    for seen in (False, True):
        one = learner()
        expected = one.judge(batch).losses
        told = one.learn(batch, 0, seen=seen).losses
        assert told == pytest.approx(expected, abs=1e-6)
        assert told[Task.L2R] > 0


def test_replayed_moments_have_been_seen_and_the_others_of_a_batch_have_not(batch):
    known_B = torch.arange(batch.size) % 2 == 0
    mixed = replace(batch, known_B=known_B)
    weighed = first_sight.weigh(mixed, seen=False)
    known_C = known_B[batch.cand_moment_C]
    assert known_C.any()
    assert not known_C.all()
    assert not weighed.cand_weight_C[known_C].any()
    assert torch.equal(weighed.cand_weight_C[~known_C], batch.cand_weight_C[~known_C])
    one, other = learner(), learner()
    one.learn(mixed, 0)
    other.learn(weighed, 0)
    found, expected = one.model.state_dict(), other.model.state_dict()
    assert all(torch.equal(found[name], expected[name]) for name in found)
    assert torch.equal(mixed.cand_weight_C, batch.cand_weight_C)


def test_a_batch_of_news_is_left_as_it_is(batch):
    assert first_sight.weigh(batch, seen=False) is batch
