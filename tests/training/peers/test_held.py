"""Samples held in memory are those of the store: every question once, shares nested."""

from datetime import timedelta

import numpy as np
import pytest

from features.schemas import QUESTIONS
from infra.errors import TrainingError
from tests.training.conftest import FIRST
from training.config import Task
from training.data import Position, Reader, Samples
from training.peers.held import Held, asked, of_share

DAYS = [FIRST, FIRST + timedelta(days=1)]


@pytest.fixture(scope="module")
def held(store):
    return Held.read(store, DAYS)


def ids(batches):
    return [one for _, info in batches for one in info.sample_id.to_pylist()]


def test_the_moments_are_those_that_training_streams(store, held):
    reader = Reader(Samples(store, DAYS), batch_size=50, buffer=10_000, shuffle=False)
    streamed: dict[str, list[float]] = {}
    for loaded in reader.epoch(Position()):
        streamed |= clicks(loaded.batch, loaded.info)
    ((mine, info),) = held.batches(len(held.rows))
    theirs = held.moments.sample_id.to_pylist()
    assert info.sample_id.to_pylist() == [theirs[row] for row in held.rows]
    asking = set(info.sample_id.to_pylist())
    assert clicks(mine, info) == {name: c for name, c in streamed.items() if name in asking}
    assert set(streamed) == set(theirs)


def clicks(batch, info):
    """By moment, of its candidates."""
    names = info.sample_id.to_pylist()
    owner, clicked = batch.cand_moment_C, batch.cand_clicked_C
    return {name: clicked[owner == place].tolist() for place, name in enumerate(names)}


def test_mixing_changes_the_order_and_nothing_else(held):
    plain = ids(held.batches(64))
    mixed = ids(held.batches(64, np.random.default_rng(0)))
    assert mixed != plain
    assert sorted(mixed) == sorted(plain)
    assert len(set(plain)) == len(plain)


def test_mixed_batches_have_histories_of_like_length(held):
    def spread(rng=None):
        return np.mean([np.ptp(batch.length_B.numpy()) for batch, _ in held.batches(20, rng)])

    assert spread(np.random.default_rng(0)) < 0.2 * spread()


def test_only_the_questions_of_the_tasks_are_left(held):
    prices = held.asking([Task.PPP])
    (batch, _), *_ = prices.batches(10_000)
    assert len(batch.price_moment_K) == int((held.moments.price_level > 0).sum())
    assert batch.size == len(batch.price_moment_K)
    assert not len(batch.cand_C)
    assert not len(batch.icon_I)
    assert not len(batch.shop_S)


def test_a_share_of_users_asks_all_its_questions_and_nobody_else_any(held):
    half = held.asking([Task.CTR, Task.FIFP], {Task.CTR: 0.5})
    mine = of_share(held.moments.user_hash, 0.5)
    assert 0 < mine.sum() < len(mine)
    kept = np.where(mine, held.moments.candidates.lengths, 0)
    assert np.array_equal(half.moments.candidates.lengths, kept)
    assert np.array_equal(half.moments.icons.lengths, held.moments.icons.lengths)
    (batch, _), *_ = half.batches(10_000)
    assert len(batch.cand_C) == kept.sum()


def test_prices_icons_and_shops_have_shares_of_their_own(held):
    shares = {Task.PPP: 0.3, Task.FIFP: 0.5, Task.SPP: 0.8}
    some, users = held.asking([*shares], shares).moments, held.moments.user_hash
    mine = {task: of_share(users, share) for task, share in shares.items()}
    price = held.moments.price_level
    assert np.array_equal(some.price_level, np.where(mine[Task.PPP], price, 0))
    for name, task in (("icons", Task.FIFP), ("shops", Task.SPP)):
        lengths = getattr(held.moments, name).lengths
        assert np.array_equal(getattr(some, name).lengths, np.where(mine[task], lengths, 0))
        assert lengths[~mine[task]].any()
    assert not some.candidates.lengths.any()


@pytest.mark.parametrize("task", Task)
def test_a_moment_that_asks_one_thing_alone_asks(held, task):
    name = {Task.PPP: "price_level", Task.FIFP: "icons", Task.SPP: "shops"}.get(task, "candidates")
    whole = getattr(held.moments, name)
    asks = whole > 0 if task is Task.PPP else whole.lengths > 0
    assert np.array_equal(asked(held.asking([task]).moments), asks)


def test_every_task_is_asked_by_a_column_of_the_samples():
    """Moments that ask of another alone would be thrown away."""
    assert {*QUESTIONS.values(), Task.L2R} == set(Task)  # L2R asks of the candidates of CTR


def test_a_smaller_share_lies_within_a_larger_one():
    users = np.random.default_rng(0).integers(0, 2**63, 5000).astype(np.uint64)
    small, large = of_share(users, 0.2), of_share(users, 0.6)
    assert not (small & ~large).any()
    assert abs(large.mean() - 0.6) < 0.03
    assert of_share(users, 1.0).all()


def test_clicks_and_ranks_are_asked_of_the_larger_of_their_shares(held):
    both = held.asking([Task.CTR, Task.L2R], {Task.CTR: 0.1, Task.L2R: 0.7})
    alone = held.asking([Task.L2R], {Task.L2R: 0.7})
    assert np.array_equal(both.moments.candidates.lengths, alone.moments.candidates.lengths)


def test_days_without_a_question_are_refused(held):
    with pytest.raises(TrainingError, match="none of the tasks ctr is asked"):
        held.asking([Task.CTR], {Task.CTR: 0.0})
