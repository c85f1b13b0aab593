"""Sizes that make a world: what does not go together is refused with what to do."""

import numpy as np
import pytest

from evaluation.marketplace import session, world
from evaluation.marketplace.config import MarketplaceConfig
from evaluation.marketplace.people import people
from evaluation.marketplace.seeds import Purpose, stream
from infra.config import build
from infra.errors import ConfigError


@pytest.mark.parametrize(
    ("sizes", "said"),
    [
        ({"shops": 14}, r"^marketplace\.shops are fewer than the departments.*set more shops"),
        ({"categories": 3000, "items": 300}, "set more items, or fewer categories"),
        ({"items": 300, "categories": 151}, "pages would be empty: set more items"),
    ],
)
def test_sizes_that_leave_a_department_without_shop_or_items_are_refused(sizes, said):
    with pytest.raises(ConfigError, match=said):
        build(MarketplaceConfig, sizes)


@pytest.mark.parametrize("seed", range(5))
def test_the_smallest_world_sells_something_in_every_department(seed: int):
    config = MarketplaceConfig(items=300, categories=150, shops=18)
    place = world.build(config, seed)
    items = place.items(60)
    sold_in = place.category_department[items.category]
    np.testing.assert_array_equal(place.shop_department[items.shop], sold_in)
    for day in (0, 30, 60):
        on_sale = (items.birth <= day) & (items.death > day)
        assert set(sold_in[on_sale]) == set(range(config.departments))


@pytest.mark.parametrize(("pages", "first", "last"), [(5.0, 4.4, 4.9), (30.0, 20.0, 23.0)])
def test_people_open_the_pages_that_the_settings_say(pages: float, first: float, last: float):
    everybody = people(world.build(MarketplaceConfig(users=8000), 1))
    for day, said in ((0, first), (31, last)):
        rng = stream(1, Purpose.DAY, day, 0)
        plan = session.schedule(rng, everybody, slice(0, 8000), pages, day)
        assert len(plan.user) / 8000 == pytest.approx(said, rel=0.03)
