"""Users are assigned by a stable hash."""

import numpy as np
import pyarrow as pa
import pytest

from features.abtest.assignment import arms, uniform
from infra.errors import ConfigError

USERS = pa.array([f"u{i}" for i in range(20_000)])
HALVES = {"a": 0.5, "b": 0.5}


def test_a_user_stays_in_the_arm():
    first = arms(USERS, "one", HALVES)
    shuffled = np.random.default_rng(0).permutation(len(USERS))
    np.testing.assert_array_equal(
        arms(USERS.take(pa.array(shuffled)), "one", HALVES), first[shuffled]
    )


def test_shares_are_met():
    found = arms(USERS, "one", {"a": 0.1, "b": 0.2, "c": 0.7})
    shares = [np.mean(found == arm) for arm in "abc"]
    np.testing.assert_allclose(shares, [0.1, 0.2, 0.7], atol=0.01)


def test_another_salt_draws_independently():
    both = (arms(USERS, "one", HALVES) == "a") & (arms(USERS, "two", HALVES) == "a")
    assert np.mean(both) == pytest.approx(0.25, abs=0.01)
    assert abs(np.corrcoef(uniform(USERS, "one"), uniform(USERS, "two"))[0, 1]) < 0.03


def test_a_growing_share_keeps_those_who_were_in_it():
    small, large = (arms(USERS, "one", {"b": s, "a": 1 - s}) for s in (0.1, 0.3))
    assert set(np.flatnonzero(small == "b")) <= set(np.flatnonzero(large == "b"))


@pytest.mark.parametrize("shares", [{}, {"a": 0.5}, {"a": 1.5, "b": -0.5}])
def test_shares_that_are_not_whole_are_refused(shares):
    with pytest.raises(ConfigError, match="add up to"):
        arms(USERS, "one", shares)
