"""What is for sale and by whom: departments, categories, brands, shops, icons and items.

Everything here follows from the seed alone. Items are born and die; those of day `d` are known
without simulating the days before it. Prices are kept as `level`: the log price in standard
deviations around the median of its category, which is how shoppers compare.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from evaluation.marketplace.config import MarketplaceConfig
from evaluation.marketplace.seeds import Purpose, stream

Floats = NDArray[np.float32]
Ints32 = NDArray[np.int32]

STYLES = 6
"""Tastes in looks: few enough to recognise a person by, as stylists do ("sporty", "classic")."""
ATTRIBUTES = 10
"""Attribute words of a category ("leather", "waterproof"); an item has two, a need asks for one."""
BRANDS_PER_DEPARTMENT = 24
TURNOVER = 0.01
"""Share of the range born, and dying, each day: a listing lives about three months."""
BORN_ATTENTION = 0.5
"""Standard deviation of an item's own appeal beyond quality (its photo): popularity has a tail."""


@dataclass(frozen=True)
class Items:
    """Items in order of birth; one array a property."""

    category: Ints32
    brand: Ints32
    shop: Ints32
    style: Ints32
    attributes: Ints32  # (items, 2), numbers within the category
    level: Floats  # log price in standard deviations around the category's median
    price: Floats
    quality: Floats  # standard normal; buyers notice it, the catalog does not say it
    fame: Floats  # log popularity at birth; what the logging policy knows first
    death: Ints32  # first day on which it is no longer sold
    birth: Ints32

    def __len__(self) -> int:
        return len(self.category)

    @staticmethod
    def joined(parts: "Sequence[Items]") -> "Items":
        """All of them, in this order."""
        names = [field.name for field in fields(Items)]
        return Items(**{n: np.concatenate([getattr(one, n) for one in parts]) for n in names})


@dataclass(frozen=True)
class World:
    """The supply side; fixed for ever but for the items."""

    config: MarketplaceConfig
    seed: int
    departments: int
    category_department: Ints32
    category_share: Floats
    category_price: Floats  # log of the median price
    category_spread: Floats  # standard deviation of the log price
    category_leisure: NDArray[np.bool_]  # browsed for pleasure: more on weekends
    brand_tier: Floats
    brand_style: Ints32
    shop_department: Ints32
    shop_tier: Floats
    shop_attraction: Floats
    icon_style: Ints32
    icon_department: Ints32
    icon_fame: Floats
    segment_interest: Floats  # (segments, categories): whom a category attracts

    def items(self, day: int) -> Items:
        """Everything born up to and including day `day` (0 is the first), dead or alive."""
        daily = max(1, round(self.config.items * TURNOVER))
        return Items.joined(
            [
                self._born(
                    stream(self.seed, Purpose.BIRTHS, birth),
                    daily if birth else self.config.items,
                    birth,
                )
                for birth in range(day + 1)
            ]
        )

    def _born(self, rng: np.random.Generator, count: int, day: int) -> Items:
        category = rng.choice(len(self.category_share), count, p=_exact(self.category_share))
        department = self.category_department[category]
        brand = department * BRANDS_PER_DEPARTMENT + rng.integers(0, BRANDS_PER_DEPARTMENT, count)
        shops = np.argsort(self.shop_department, kind="stable")
        starts = np.searchsorted(self.shop_department[shops], np.arange(self.departments + 1))
        width = np.maximum(np.diff(starts)[department], 1)
        shop = shops[np.minimum(starts[department] + rng.integers(0, width), len(shops) - 1)]
        quality = rng.standard_normal(count)
        own_style = rng.integers(0, STYLES, count)
        level = 0.6 * self.brand_tier[brand] + 0.3 * self.shop_tier[shop]
        level = level + 0.74 * rng.standard_normal(count)
        log_price = self.category_price[category] + self.category_spread[category] * level
        first = rng.integers(0, ATTRIBUTES, count)
        second = (first + rng.integers(1, ATTRIBUTES, count)) % ATTRIBUTES
        fame = 0.7 * quality + BORN_ATTENTION * rng.standard_normal(count)
        fame = fame + 0.5 * self.shop_attraction[shop] - (1.5 if day else 0.0)
        return Items(
            category=category.astype(np.int32),
            brand=brand.astype(np.int32),
            shop=shop.astype(np.int32),
            style=np.where(rng.random(count) < 0.7, self.brand_style[brand], own_style).astype(
                np.int32
            ),
            attributes=np.stack([first, second], axis=1).astype(np.int32),
            level=level.astype(np.float32),
            price=np.round(np.exp(log_price), 2).astype(np.float32),
            quality=quality.astype(np.float32),
            fame=fame.astype(np.float32),
            death=(day + 1 + rng.exponential(1 / TURNOVER, count)).astype(np.int32),
            birth=np.full(count, day, np.int32),
        )


SEGMENTS = 12
"""Gender (2) x age band (6): what a profile says about interests, and no more."""


def build(config: MarketplaceConfig, seed: int) -> World:
    """The world of a seed."""
    rng = stream(seed, Purpose.WORLD)
    count = config.categories
    departments = config.departments
    department = np.arange(count) % departments
    share = (1.0 / np.arange(1, count + 1) ** 0.7)[rng.permutation(count)]
    brands = departments * BRANDS_PER_DEPARTMENT
    shop_department = np.arange(config.shops) % departments
    drawn = np.exp(0.9 * rng.standard_normal((SEGMENTS, departments)))
    interest = drawn[:, department] * share
    return World(
        config=config,
        seed=seed,
        departments=departments,
        category_department=department.astype(np.int32),
        category_share=(share / share.sum()).astype(np.float32),
        category_price=rng.normal(4.0, 0.9, count).astype(np.float32),
        category_spread=rng.uniform(0.4, 0.7, count).astype(np.float32),
        category_leisure=rng.random(count) < 0.4,
        brand_tier=rng.standard_normal(brands).astype(np.float32),
        brand_style=rng.integers(0, STYLES, brands).astype(np.int32),
        shop_department=shop_department.astype(np.int32),
        shop_tier=rng.standard_normal(config.shops).astype(np.float32),
        shop_attraction=(0.6 * rng.standard_normal(config.shops)).astype(np.float32),
        icon_style=rng.integers(0, STYLES, config.icons).astype(np.int32),
        icon_department=rng.integers(0, departments, config.icons).astype(np.int32),
        icon_fame=(0.5 * rng.standard_normal(config.icons)).astype(np.float32),
        segment_interest=(interest / interest.sum(axis=1, keepdims=True)).astype(np.float32),
    )


def _exact(share: Floats) -> NDArray[np.float64]:
    exact = share.astype(np.float64)
    return exact / exact.sum()
