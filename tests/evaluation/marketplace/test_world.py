"""What is for sale on a day follows from the seed, however far the day is."""

from dataclasses import fields

import numpy as np
import pytest

from evaluation.marketplace import world
from evaluation.marketplace.config import MarketplaceConfig
from evaluation.marketplace.world import Items
from tests.evaluation.marketplace.test_run import TINY


def of_day(items: Items, day: int) -> Items:
    """Those born on it."""
    return Items(**{name: values[items.birth == day] for name, values in vars(items).items()})


@pytest.mark.parametrize("config", [TINY, MarketplaceConfig()])
def test_items_of_a_far_day_are_those_joined_day_by_day(config: MarketplaceConfig):
    place, far = world.build(config, 1), 30
    known = place.items(0)
    for day in range(1, far + 1):
        known = Items.joined([known, of_day(place.items(day), day)])
    items = place.items(far)
    for field in fields(Items):
        mine, theirs = getattr(items, field.name), getattr(known, field.name)
        assert mine.dtype == theirs.dtype
        np.testing.assert_array_equal(mine, theirs)
    assert (np.diff(items.birth) >= 0).all()
    assert len(items) == config.items + far * round(config.items * world.TURNOVER)
