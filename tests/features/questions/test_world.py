"""What a world remembers of the ids that it was asked for."""

import sys
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import numpy as np
import pytest

from features.questions.world import World


@pytest.fixture
def world() -> World:
    """Items stand in rows one higher than their ids."""
    absent = dict.fromkeys(
        ("item_table", "statistics", "titles", "pool", "token", "icon", "clock"), None
    )
    catalog = SimpleNamespace(rows_of_distinct=lambda ids: ids + 1)
    return World(catalog=catalog, **absent)


def test_the_same_ids_are_looked_up_once(world):
    ids, other = np.arange(3), np.arange(3)
    assert world.rows_of(ids) is world.rows_of(ids)
    assert world.rows_of(ids) is not world.rows_of(other)


def test_threads_that_ask_at_once_do_not_disturb_each_other(world):
    def ask(_):
        asked = [np.arange(n) for n in range(50)]
        return all(np.array_equal(world.rows_of(ids), ids + 1) for _ in range(300) for ids in asked)

    often = sys.getswitchinterval()
    sys.setswitchinterval(1e-7)
    try:
        with ThreadPoolExecutor(4) as threads:
            assert all(threads.map(ask, range(4)))
    finally:
        sys.setswitchinterval(often)
