"""What every network of Table 2 has to do, whatever it is made of."""

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch

from infra.errors import ConfigError
from training.config import Task
from training.peers.build import builder
from training.peers.names import LETTER, NETWORKS, Peer

ANSWERS = {
    Task.CTR: "ctr_C",
    Task.L2R: "l2r_C",
    Task.PPP: "ppp_K7",
    Task.FIFP: "fifp_I",
    Task.SPP: "spp_S",
}
OF_MOMENT = ("BT", "BQ", "BP", "_B")
"""How the names of what a batch holds of each moment end."""


@pytest.fixture(params=NETWORKS)
def name(request):
    return request.param


def taught(learner, name, batch, steps=5):
    """A network that has learnt something, so that no part of it is zero."""
    found = learner(name, *NETWORKS[name].tasks)
    for step in range(steps):
        found.learn(batch, step)
    return found


def test_its_losses_fall(name, asked, learner):
    network = learner(name, *NETWORKS[name].tasks)
    first = network.judge(asked).losses
    for step in range(40):
        network.learn(asked, step)
    last = network.judge(asked).losses
    assert all(last[task] < 0.9 * first[task] for task in NETWORKS[name].tasks), (first, last)


def test_answers_do_not_depend_on_padding(name, asked, learner, more_padding):
    network = taught(learner, name, asked)
    one, other = (network.judge(b).outputs for b in (asked, more_padding(asked)))
    for answer in ANSWERS.values():
        torch.testing.assert_close(getattr(one, answer), getattr(other, answer))
    torch.testing.assert_close(one.rep_BR, other.rep_BR)


def test_readings_of_the_same_moments_are_answered_as_each_alone(name, asked, learner):
    network = taught(learner, name, asked).model.eval()
    typed = replace(asked, query_BQ=asked.query_BQ.flip(0))
    done = replace(typed, type_BT=asked.type_BT.clamp(max=1))
    with torch.inference_mode():
        for reading, out in zip(
            (asked, typed, done), network.each([asked, typed, done]), strict=True
        ):
            for answer in ANSWERS.values():
                assert torch.equal(getattr(network(reading), answer), getattr(out, answer))


def test_answers_do_not_depend_on_the_rest_of_the_batch(name, asked, learner):
    network = taught(learner, name, asked)
    turned = replace(
        asked,
        cand_C=asked.cand_C.flip(0),
        cand_moment_C=asked.cand_moment_C.flip(0),
        cand_features_CF=asked.cand_features_CF.flip(0),
    )
    one, other = (network.judge(b).outputs for b in (asked, turned))
    torch.testing.assert_close(one.ctr_C, other.ctr_C.flip(0))
    torch.testing.assert_close(one.l2r_C, other.l2r_C.flip(0))


def test_answers_follow_their_moments_wherever_these_stand(name, scattered, learner):
    network = taught(learner, name, scattered)
    order = torch.randperm(scattered.size)
    place = torch.argsort(order)
    columns = {key: value for key, value in vars(scattered).items() if value is not None}
    moments = {key: value[order] for key, value in columns.items() if key[-2:] in OF_MOMENT}
    asked = {key: place[value] for key, value in columns.items() if "_moment_" in key}
    turned = replace(scattered, **moments, **asked)
    one, other = (network.judge(b).outputs for b in (scattered, turned))
    for answer in ANSWERS.values():
        torch.testing.assert_close(getattr(one, answer), getattr(other, answer))
    torch.testing.assert_close(one.rep_BR[order], other.rep_BR)


@pytest.mark.parametrize("kind", ["cand", "price", "icon", "shop"])
def test_a_batch_may_ask_nothing_of_a_kind(name, kind, asked, learner, without):
    network = learner(name, *NETWORKS[name].tasks)
    step = network.learn(without(asked, kind), 0)
    assert all(np.isfinite(loss) for loss in step.losses.values())


def test_a_batch_may_have_no_history_at_all(name, asked, learner, more_padding):
    nothing = ("seq_BT", "type_BT", "scenario_BT", "gap_BT", "daypart_BT", "weekend_BT")
    empty = replace(
        asked,
        **{column: getattr(asked, column)[:, :0] for column in nothing},
        length_B=torch.zeros_like(asked.length_B),
    )
    network = taught(learner, name, empty, steps=2)
    one, other = (network.judge(b).outputs for b in (empty, more_padding(empty)))
    torch.testing.assert_close(one.ctr_C, other.ctr_C)


def test_what_is_kept_is_all_there_is(name, asked, learner):
    network = taught(learner, name, asked)
    kept = copy.deepcopy(network.model.state_dict())
    before = network.judge(asked).outputs
    other = taught(learner, name, asked, steps=1)
    other.model.load_state_dict(kept)
    after = other.judge(asked).outputs
    for answer in ANSWERS.values():
        assert torch.equal(getattr(before, answer), getattr(after, answer))


def test_what_it_cannot_answer_is_zero(name, asked, learner):
    out = taught(learner, name, asked).judge(asked).outputs
    for task, answer in ANSWERS.items():
        assert bool(getattr(out, answer).any()) == (task in NETWORKS[name].tasks)


def test_the_parts_of_tasks_that_are_not_learnt_are_left_out(asked, make):
    for name in ("wide", "wide_deep"):
        network = make(name, (Task.CTR,))
        assert list(network.wide.parts) == ["ctr"]
        assert not network(asked).l2r_C.any()


def test_variants_are_variants(make):
    for name in ("nobp", "bplstm", "bpatt", "all"):
        assert make(name, variant="bplstm").config.variant == name
    assert make("w2v", variant="nobp").config.variant == "all"


@pytest.mark.parametrize(
    ("name", "weighed"),
    [(LETTER, False), ("wide", False), ("wide_deep", False), ("cnn_max", True), ("all", True)],
)
def test_ranks_at_every_sight_unless_it_weighs_the_click_logit(name, weighed, asked, learner):
    """Whatever `train.ranks_unseen` says: there is no logit that has been taught the answer."""
    found = []
    for seen in (False, True):
        torch.manual_seed(0)
        one = learner(name, Task.CTR, Task.L2R, ranks_unseen=True)
        one.learn(asked, 0, seen=seen)
        found.append(one.judge(asked).outputs.l2r_C)
    assert torch.equal(*found) is not weighed


def test_what_cannot_be_is_said(peers, wide, sizes, small):
    with pytest.raises(ConfigError, match="cnn_max"):
        builder("cnn", peers, wide)
    with pytest.raises(ConfigError, match="DSSM cannot learn ppp"):
        builder("dssm", peers, wide, (Task.CTR, Task.PPP))
    with pytest.raises(ConfigError, match="needs item vectors"):
        builder("w2v", peers, wide)(small, sizes)
    with pytest.raises(ConfigError, match=r"\(60, 18\)"):
        builder("w2v", peers, wide, vectors=torch.zeros(60, 3))(small, sizes)


def test_a_row_that_nothing_makes_is_no_variant_of_ours(peers, wide, monkeypatch):
    monkeypatch.setitem(NETWORKS, "unmade", Peer("Unmade"))
    with pytest.raises(ConfigError, match="unmade is in Table 2 and nothing makes it"):
        builder("unmade", peers, wide)


def test_to_the_letter_has_the_weights_of_the_paper_whatever_the_settings_add(make):
    added = {"price_memory": True, "price_offers": True, "ranks_with_query": True}
    found = make(LETTER, NETWORKS[LETTER].tasks, **added)
    paper = make("all", NETWORKS["all"].tasks, interaction="concat", ranks_with_ctr=False)
    ours = make("all", NETWORKS["all"].tasks)
    shapes = [{name: w.shape for name, w in one.named_parameters()} for one in (found, paper, ours)]
    assert shapes[0] == shapes[1] != shapes[2]
    assert found.config == paper.config
