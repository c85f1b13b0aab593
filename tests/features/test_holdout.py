"""Who is held out: a share of the users, afresh every day, the same for whoever asks."""

from datetime import date, timedelta
from itertools import pairwise

import numpy as np
import pytest

from features.holdout import held_out

DAY = date(2026, 3, 12)
USERS = np.random.default_rng(1).integers(0, 2**64, 20_000, np.uint64)


def test_as_many_users_are_held_out_as_asked():
    for share in (0.05, 0.1, 0.5):
        error = (share * (1 - share) / len(USERS)) ** 0.5
        assert held_out(USERS, DAY, share).mean() == pytest.approx(share, abs=4 * error)


def test_hashes_in_a_row_are_drawn_as_evenly_as_random_ones():
    near = np.arange(20_000, dtype=np.uint64)
    assert held_out(near, DAY, 0.1).mean() == pytest.approx(0.1, abs=0.01)


def test_nobody_and_everybody():
    assert not held_out(USERS, DAY, 0.0).any()
    assert held_out(USERS, DAY, 1.0).all()


def test_a_larger_share_holds_out_the_same_users_and_more():
    small, large = held_out(USERS, DAY, 0.1), held_out(USERS, DAY, 0.3)
    assert (large | ~small).all()


def test_every_day_draws_afresh():
    nights = [held_out(USERS, DAY + timedelta(days=i), 0.1) for i in range(10)]
    both = [(one & other).mean() for one, other in pairwise(nights)]
    assert np.mean(both) == pytest.approx(0.01, abs=0.002)
    never = ~np.any(nights, axis=0)
    assert never.mean() == pytest.approx(0.9**10, abs=0.02)


def test_the_draw_stays_what_it_was():
    """Checkpoints name their holdout by day and share alone: another hash would break them."""
    drawn = np.flatnonzero(held_out(np.arange(40, dtype=np.uint64), DAY, 0.2)).tolist()
    assert drawn == [2, 9, 16, 17, 23, 24, 29, 30]
