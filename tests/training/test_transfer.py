"""What moves and what does not in the four ways to a new task."""

from datetime import timedelta

import pytest
import torch

from tests.training.conftest import FIRST
from training import transfer
from training.config import Task, TrainConfig
from training.model.dupn import Dupn
from training.peers.fitting import Course, fit
from training.peers.held import Held
from training.transfer import KNOWN, NEW, OnRepresentation, Way

DAYS = [FIRST, FIRST + timedelta(days=1)]


@pytest.fixture(scope="module")
def held(store):
    return Held.read(store, DAYS)


@pytest.fixture(scope="module")
def known(held, tiny):
    torch.manual_seed(5)
    return Dupn(tiny, held.sizes).state_dict()


@pytest.fixture(scope="module")
def learnt(held, known, tiny):
    """Each way after two epochs."""

    def of(way):
        tasks = way.tasks
        train = TrainConfig(tasks=tasks, batch_size=64, learning_rate=0.1, epochs=2, threads=1)
        course = Course(held.asking(tasks), held.asking(tasks), train)
        return fit(transfer.build(way, known), tiny, course, seed=1)

    return {way: of(way) for way in Way}


def test_representation_transfer_moves_head_and_shops_and_nothing_else(learnt, known):
    network = learnt[Way.RT].network
    assert isinstance(network, OnRepresentation)
    assert all(torch.equal(w, known[name]) for name, w in network.known.state_dict().items()
               if not name.startswith("spp."))  # fmt: skip
    assert not torch.equal(network.shop.weight, known["item.shop.weight"])
    losses = [point.loss for point in learnt[Way.RT].curve]
    assert losses[-1] < losses[0]


def test_shops_of_representation_transfer_begin_as_the_known_network_has_them(held, known, tiny):
    network = transfer.build(Way.RT, known)(tiny, held.sizes)
    assert torch.equal(network.shop.weight, known["item.shop.weight"])
    moving = {name for name, w in network.named_parameters() if w.requires_grad}
    assert {name.split(".")[0] for name in moving} == {"shop", "head"}


def test_representation_transfer_answers_old_questions_as_before(learnt, known, held, tiny):
    old = Dupn(tiny, held.sizes).eval()
    old.load_state_dict(known)
    batch, _ = next(iter(held.batches(64)))
    with torch.inference_mode():
        now, before = learnt[Way.RT].network(batch), old(batch)
    assert torch.equal(now.ctr_C, before.ctr_C)
    assert not torch.equal(now.spp_S, before.spp_S)


@pytest.mark.parametrize("interaction", ["concat", "product"])
def test_with_the_whole_networks_own_head_it_answers_as_the_whole_network(held, tiny, interaction):
    config = tiny.model_copy(update={"interaction": interaction})
    whole = Dupn(config, held.sizes).eval()
    network = transfer.build(Way.RT, whole.state_dict())(config, held.sizes).eval()
    network.head.load_state_dict(whole.spp.state_dict())
    batch, _ = next(iter(held.batches(64)))
    with torch.inference_mode():
        assert torch.equal(network(batch).spp_S, whole(batch).spp_S)


def test_the_representation_below_knows_no_dropout_while_the_head_learns(held, known, tiny):
    network = transfer.build(Way.RT, known)(tiny, held.sizes).train()
    batch, _ = next(iter(held.batches(64)))
    assert torch.equal(network(batch).rep_BR, network(batch).rep_BR)


def test_fine_tuning_begins_with_what_is_known_but_for_the_new_head(held, known, tiny):
    torch.manual_seed(9)
    network = transfer.build(Way.FT, known)(tiny, held.sizes)
    same = {name: torch.equal(w, known[name]) for name, w in network.state_dict().items()}
    moved = {name for name, equal in same.items() if not equal}
    assert moved
    assert all(name.startswith("spp.") for name in moved)


def test_fine_tuning_moves_the_whole_network(learnt, known):
    network = learnt[Way.FT].network.state_dict()
    for part in ("lstm.weight_ih_l0", "item.shop.weight", "spp.match.weight"):
        name = next(one for one in network if one.startswith(part.rsplit(".", 1)[0]))
        assert not torch.equal(network[name], known[name]), name


def test_ways_from_nothing_look_at_nothing_that_is_known(held, tiny):
    for way in (Way.RS, Way.RA):
        torch.manual_seed(3)
        one = transfer.build(way, {})(tiny, held.sizes).state_dict()
        torch.manual_seed(3)
        fresh = Dupn(tiny, held.sizes).state_dict()
        assert all(torch.equal(one[name], fresh[name]) for name in fresh)


def test_all_tasks_are_the_four_that_are_known_and_the_new_one():
    assert Way.RA.tasks == (*KNOWN, NEW)
    assert all(way.tasks == (Task.SPP,) for way in (Way.RS, Way.RT, Way.FT))


def test_a_known_network_with_a_part_missing_is_refused(held, known, tiny):
    broken = {name: w for name, w in known.items() if name != "query.absent"}
    with pytest.raises(ValueError, match=r"lacks query\.absent"):
        transfer.build(Way.FT, broken)(tiny, held.sizes)
