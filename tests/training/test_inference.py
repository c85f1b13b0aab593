"""Batches are answered side by side and told in order, by a network that does not learn."""

import threading

import pytest
import torch
from torch import nn

from training import inference
from training.inference import answered

PATIENCE = 60


class Plain(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(2, 1)

    def forward(self, given):
        return self.layer(given)


@pytest.fixture
def model():
    return Plain()


@pytest.fixture(params=[1, 2, 3, 9])
def cores(request):
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


@pytest.fixture
def two_cores():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def at_work():
    return [one for one in threading.enumerate() if one.name.startswith("dupn-answers")]


def test_each_answer_stands_beside_what_was_asked_in_the_order_of_asking(model, cores):
    assert list(answered(model, lambda n: n * n, range(20))) == [(n, n * n) for n in range(20)]
    assert list(answered(model, str, [])) == []


def test_as_many_are_under_way_as_there_are_cores_up_to_a_bound(model, cores):
    """The last of them lets the others go: fewer would wait for one another in vain."""
    together = threading.Barrier(min(cores, inference.AT_ONCE))
    found = list(answered(model, lambda _: together.wait(PATIENCE), range(together.parties * 3)))
    assert len(found) == together.parties * 3


def test_one_more_than_is_worked_on_is_read_ahead(model, cores):
    read = []
    given = (read.append(n) or n for n in range(50))
    for n, _ in answered(model, str, given):
        assert len(read) <= n + 1 + min(cores, inference.AT_ONCE)


def test_threads_of_torch_are_shared_out_and_everybody_else_keeps_his(model, cores):
    count = min(cores, inference.AT_ONCE)
    found = [n for _, n in answered(model, lambda _: torch.get_num_threads(), range(9))]
    assert found == [cores // count] * 9
    assert torch.get_num_threads() == cores


def test_a_later_answer_that_is_ready_first_waits_for_the_earlier(model, two_cores):
    second = threading.Event()

    def ask(n):
        if n == 0:
            assert second.wait(PATIENCE)
        elif n == 1:
            second.set()
        return n

    assert [n for n, _ in answered(model, ask, range(4))] == [0, 1, 2, 3]


@pytest.mark.parametrize("learning", [True, False])
def test_the_network_is_asked_without_dropout_and_gradients_and_left_in_its_mode(model, learning):
    model.train(learning)
    ((_, (mode, out)),) = answered(model, lambda x: (model.training, model(x)), [torch.ones(3, 2)])
    assert not mode
    assert not out.requires_grad
    assert model.training is learning
    assert model(torch.ones(3, 2)).requires_grad, "whoever iterates still may learn"


@pytest.mark.parametrize("broken", ["a question", "an answer"])
def test_an_error_is_raised_to_who_iterates_and_no_thread_is_left(model, two_cores, broken):
    def given():
        for n in range(9):
            if n == 5 and broken == "a question":
                raise ValueError(n)
            yield n

    def ask(n):
        if n == 5 and broken == "an answer":
            raise ValueError(n)
        return n

    with pytest.raises(ValueError, match="5"):
        list(answered(model.train(), ask, given()))
    assert model.training
    assert not at_work()


def test_who_stops_iterating_leaves_no_thread_and_the_mode(model, two_cores):
    told = answered(model.train(), str, range(100))
    assert next(told) == (0, "0")
    assert at_work()
    told.close()
    assert not at_work()
    assert model.training
