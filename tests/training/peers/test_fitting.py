"""A fit keeps its best judgement, stops by its patience, and is the same from the same seed."""

import time
from datetime import timedelta

import pytest
import torch

from tests.training.conftest import FIRST
from training.config import Task, TrainConfig
from training.model.dupn import Dupn
from training.peers.fitting import Course, fit
from training.peers.held import Held

TASKS = (Task.CTR,)
DAYS = [FIRST, FIRST + timedelta(days=1)]


@pytest.fixture(scope="module")
def course(store):
    first, last = DAYS
    config = TrainConfig(tasks=TASKS, batch_size=64, learning_rate=0.3, epochs=6, threads=1)
    learnt, judges = (Held.read(store, [day]).asking(TASKS) for day in (first, last))
    return Course(learnt, judges, config, judgements=2)


def changed(course, **update):
    train = course.train.model_copy(update=update)
    return Course(course.learnt, course.judges, train, course.judgements)


def test_the_best_judgement_is_kept_though_later_ones_are_worse(course, tiny):
    done = fit(Dupn, tiny, course, seed=1)
    losses = [point.loss for point in done.curve]
    assert done.best.loss == min(losses)
    assert losses[-1] > min(losses), "it did not overfit: this test shows nothing"
    again = 0.0
    with torch.inference_mode():
        rows = 0
        for batch, _ in course.judges.batches(64):
            losses_of = done.network.losses(done.network(batch), batch, TASKS)
            again += float(losses_of[Task.CTR]) * len(batch.cand_C)
            rows += len(batch.cand_C)
    assert again / rows == pytest.approx(done.best.loss, rel=1e-5)


def test_every_epoch_is_judged_as_often_as_asked_and_ends_with_a_judgement(course, tiny):
    begun = time.process_time()
    done = fit(Dupn, tiny, changed(course, epochs=2), seed=1)
    assert 0 < done.seconds <= time.process_time() - begun
    steps = -(-len(course.learnt.rows) // 64)
    assert [point.step for point in done.curve] == [
        steps // 2, steps, steps + steps // 2, 2 * steps,
    ]  # fmt: skip
    assert done.curve[-1].moments == 2 * len(course.learnt.rows)


def test_patience_ends_the_learning_that_many_judgements_after_the_best(course, tiny):
    free = fit(Dupn, tiny, course, seed=1)
    best = free.curve.index(free.best)
    done = fit(Dupn, tiny, changed(course, patience=2), seed=1)
    assert len(done.curve) <= best + 2 + 2  # judged at the ends of epochs of two judgements
    assert len(done.curve) < len(free.curve)
    assert done.curve == free.curve[: len(done.curve)]


def test_the_same_seed_gives_the_same_weights_and_another_seed_others(course, tiny):
    short = changed(course, epochs=1)
    one, same, other = (fit(Dupn, tiny, short, seed).network.state_dict() for seed in (1, 1, 2))
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert not torch.equal(one["ctr.match.weight"], other["ctr.match.weight"])


def test_ranks_at_first_sight_part_ways_with_the_second_epoch(store, tiny):
    tasks = (Task.CTR, Task.L2R)
    learnt, judges = (Held.read(store, [day]).asking(tasks) for day in DAYS)
    curves = []
    for once in (False, True):
        config = TrainConfig(
            tasks=tasks, batch_size=64, learning_rate=0.3, epochs=2, threads=1, ranks_unseen=once
        )
        done = fit(Dupn, tiny, Course(learnt, judges, config, judgements=2), seed=1)
        curves.append([point.loss for point in done.curve])
    every, once = curves
    assert once[:2] == every[:2]
    assert all(one != other for one, other in zip(once[2:], every[2:], strict=True))


def test_each_epoch_and_each_seed_has_an_order_of_its_own(course, tiny):
    class Noting(Dupn):
        """Keeps which words each batch that it learns from had."""

        def forward(self, batch):
            if self.training:
                self.words = [*getattr(self, "words", ()), batch.query_BQ.sum().item()]
            return super().forward(batch)

    twice = changed(course, epochs=2)
    one, other = (fit(Noting, tiny, twice, seed).network.words for seed in (1, 2))
    half = len(one) // 2
    orders = [tuple(words) for whole in (one, other) for words in (whole[:half], whole[half:])]
    assert len(set(orders)) == 4
    assert len({sum(order) for order in orders}) == 1, "every moment, once"


def test_a_network_is_told_before_it_learns_whether_clicks_are_learnt_with_the_ranking(
    course, tiny
):
    told = tiny.model_copy(update={"ranks_with_ctr": True})
    alone, both = (
        fit(Dupn, told, changed(course, tasks=tasks, epochs=1), seed=1).network
        for tasks in ((Task.L2R,), (Task.L2R, Task.CTR))
    )
    assert not alone.clicks_are_learnt
    assert both.clicks_are_learnt
