"""Batches are answered side by side and told in order, by a network that does not learn."""

import gc
import inspect
import threading
import time
import weakref

import pytest
import torch
from torch import nn

from training import inference
from training.inference import answered
from training.prefetch import prefetched

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


@pytest.fixture
def without_collector():
    gc.disable()
    yield
    gc.enable()


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
    ahead = min(cores, inference.AT_ONCE) if cores > 1 else 0
    for n, _ in answered(model, str, given):
        assert len(read) == min(50, n + 1 + ahead)


def test_threads_of_torch_are_shared_out_and_everybody_else_keeps_his(model, cores):
    count = min(cores, inference.AT_ONCE)
    found = [n for _, n in answered(model, lambda _: torch.get_num_threads(), range(2 * count))]
    assert found[:count] == found[count:]
    assert sum(found[:count]) == cores, "none is idle, and none is asked for twice"
    assert max(found) - min(found) <= 1
    assert torch.get_num_threads() == cores


def test_no_thread_is_begun_for_a_batch_that_has_none_beside_it(model, two_cores):
    def ask(_):
        return threading.current_thread(), torch.get_num_threads()

    for _, found in answered(model, ask, range(1)):
        assert found == (threading.current_thread(), 2)
        assert not at_work()


def test_no_thread_is_begun_where_nothing_is_asked(model, two_cores, monkeypatch):
    monkeypatch.setattr(inference, "threads", lambda *_: pytest.fail("threads for nothing"))
    assert list(answered(model, str, [])) == []


def test_a_batch_is_let_go_once_the_next_is_told(model, cores):
    """The first ones too, which are read before anybody is asked."""
    alive: weakref.WeakSet[Plain] = weakref.WeakSet()

    def given():
        for n in range(20):
            one = Plain()
            one.place = n
            alive.add(one)
            yield one
            del one

    def oldest():
        return min(other.place for other in list(alive))

    for one, _ in answered(model, id, given()):
        if one.place >= inference.AT_ONCE:  # all that were read before are told
            patience = time.monotonic() + PATIENCE
            while oldest() < one.place and time.monotonic() < patience:
                time.sleep(0.001)  # a thread tells its answer before it lets go of the question
            assert oldest() == one.place


def test_no_more_threads_are_begun_than_there_are_batches(model, cores):
    found = [(at_work(), torch.get_num_threads()) for _ in answered(model, str, range(2))]
    assert all(len(crew) == (2 if cores > 1 else 0) for crew, _ in found)


def test_a_network_that_is_not_on_a_cpu_is_asked_one_by_one_by_who_iterates(model, two_cores):
    read = []
    given = (read.append(n) or n for n in range(9))
    for n, thread in answered(model.to("meta"), lambda _: threading.current_thread(), given):
        assert thread is threading.current_thread()
        assert read[-1] == n


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


@pytest.mark.parametrize("broken", ["an answer", "who iterates"])
def test_what_reads_ahead_ends_with_an_error(model, cores, broken, without_collector):
    """Batches that hang on an error until somebody collects rings are memory, and a thread's."""

    def ask(n):
        if n == 5 and broken == "an answer":
            raise ValueError(n)
        return n

    with pytest.raises(ValueError, match="5"):  # noqa: PT012  # what is iterated is what is asked
        for n, _ in answered(model, ask, prefetched(iter(range(100)), 2)):
            if n == 5:
                raise ValueError(n)
    assert not [one for one in threading.enumerate() if one.name == "dupn-reader"]


@pytest.mark.parametrize("at", [1, 5])
def test_an_error_of_an_answer_is_forgotten_with_the_batches(model, cores, at, without_collector):
    class Given:
        def __init__(self, place):
            self.place = place

    alive = weakref.WeakSet()

    def given():
        for place in range(20):
            one = Given(place)
            alive.add(one)
            yield one

    def ask(one):
        if one.place >= at:
            raise ValueError(one.place)

    with pytest.raises(ValueError, match=str(at)):
        list(answered(model, ask, given()))
    assert not list(alive)


def test_who_stops_iterating_leaves_no_thread_and_the_mode(model, two_cores):
    told = answered(model.train(), str, range(100))
    assert next(told) == (0, "0")
    assert at_work()
    told.close()
    assert not at_work()
    assert model.training


def test_a_generator_that_its_owner_still_holds_is_closed_with_who_stops(model, cores):
    given = (n for n in range(100))
    told = answered(model, str, given)
    assert next(told) == (0, "0")
    told.close()
    assert inspect.getgeneratorstate(given) == inspect.GEN_CLOSED
