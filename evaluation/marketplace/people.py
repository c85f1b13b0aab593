"""Who shops: what a person is (fixed) and what a person has in mind (carried from day to day).

`People` follows from the seed. `Minds` is state: lasting tastes that drift, the needs that people
are shopping for, what they lately bought, carted and opened. One row a user everywhere.
"""

import io
from dataclasses import dataclass, fields, replace

import numpy as np
from numpy.typing import NDArray

from evaluation.marketplace.seeds import Purpose, stream
from evaluation.marketplace.world import SEGMENTS, STYLES, Floats, Ints32, World

TASTES = 12
"""Categories a person likes lastingly; Taobao users touch 5.5 a day, mostly known ones."""
NEEDS = 4
"""Things a person shops for at the same time; who wants more forgets the first."""
BOUGHT = 6
"""Purchases that are remembered: the rest are too old to satiate anybody."""
CARTS = 3
"""Items left in the cart that are kept. Only the newest is thought of, and may be bought later; the
others change nothing."""

TASTE_CHANGE = 0.03
"""Chance a day that a taste gives way to a new one: half of them last three weeks."""
TASTE_WALK = 0.15
"""Daily standard deviation of a taste's log strength: moods of the week."""
LATE_JOINERS = 0.12
"""Share of users that join after the first day (over the next 30), so that cold starts happen."""


@dataclass(frozen=True)
class People:
    """What does not change about each user."""

    gender: Ints32
    age: Ints32
    city: Ints32
    style: Ints32
    second_style: Ints32
    wealth: Floats  # the part of price attitude common to all categories, standard normal
    salt: Ints32  # makes the part of it that belongs to one category
    activity: Floats  # multiplies pages a day; mean 1, heavy tail
    loyalty: Floats  # how much a known shop or brand counts
    night: Floats  # hours by which the day is shifted
    joined: Ints32  # first day with an account

    @property
    def segment(self) -> Ints32:
        """The profile group that interests depend on."""
        return self.gender * (SEGMENTS // 2) + self.age


@dataclass
class Minds:
    """What changes; arrays are updated in place while a day runs."""

    taste: Ints32  # (users, TASTES) categories
    taste_strength: Floats  # log scale, mean 0
    need: Ints32  # (users, NEEDS) category, -1: none
    need_level: Floats  # price level looked for
    need_brand: Ints32  # -1: any
    need_style: Ints32
    need_attribute: Ints32
    need_heat: Floats  # at `need_ms`; cools from then on
    need_ms: NDArray[np.int64]
    bought: Ints32  # (users, BOUGHT) category, -1: none; newest first
    bought_shop: Ints32
    bought_ms: NDArray[np.int64]
    cart_item: Ints32  # (users, CARTS) items, -1: none; newest first
    cart_ms: NDArray[np.int64]
    last_category: Ints32  # (users, 1) of the last click; what the shop's own recall uses
    last_shop: Ints32  # (users, 1) of the last click, -1: none

    def part(self, low: int, high: int) -> "Minds":
        """Users [low, high) as views: changes show in the whole."""
        return Minds(**{f.name: getattr(self, f.name)[low:high] for f in fields(self)})

    def saved(self) -> bytes:
        """A byte-stable archive."""
        sink = io.BytesIO()
        np.savez(sink, **{f.name: getattr(self, f.name) for f in fields(self)})
        return sink.getvalue()

    @staticmethod
    def load(archive: bytes) -> "Minds":
        """What `saved` wrote."""
        with np.load(io.BytesIO(archive)) as arrays:
            kept = {name: arrays[name] for name in arrays.files}
        kept.setdefault("last_shop", np.full_like(kept["last_category"], -1))  # older archives
        return Minds(**kept)


def people(world: World) -> People:
    """Everybody who will ever have an account."""
    rng = stream(world.seed, Purpose.PEOPLE)
    count = world.config.users
    gender, age = rng.integers(0, 2, count), rng.integers(0, SEGMENTS // 2, count)
    wealth = rng.standard_normal(count)
    city = np.clip(np.round(1.5 + 0.8 * wealth + 0.8 * rng.standard_normal(count)), 0, 3)
    by_age = rng.integers(0, STYLES, (SEGMENTS, 2))[gender * (SEGMENTS // 2) + age]
    pick = np.where(rng.random(count) < 0.5, by_age[:, 0], by_age[:, 1])
    style = np.where(rng.random(count) < 0.5, pick, rng.integers(0, STYLES, count))
    activity = np.exp(0.85 * rng.standard_normal(count) - 0.5 * 0.85**2)
    late = rng.random(count) < LATE_JOINERS
    return People(
        gender=gender.astype(np.int32),
        age=age.astype(np.int32),
        city=city.astype(np.int32),
        style=style.astype(np.int32),
        second_style=((style + rng.integers(1, STYLES, count)) % STYLES).astype(np.int32),
        wealth=wealth.astype(np.float32),
        salt=rng.integers(0, 2**20, count).astype(np.int32),
        activity=np.minimum(activity, 8.0).astype(np.float32),
        loyalty=rng.uniform(0.2, 1.2, count).astype(np.float32),
        night=rng.normal(0, 0.8, count).astype(np.float32),
        joined=np.where(late, rng.integers(1, 31, count), 0).astype(np.int32),
    )


def first_minds(world: World, everybody: People) -> Minds:
    """Everybody on the eve of the first day: tastes, no needs yet."""
    rng = stream(world.seed, Purpose.DRIFT, 0)
    count = world.config.users
    taste = np.stack([_draw(rng, world, everybody.segment) for _ in range(TASTES)], axis=1)
    none = np.full((count, NEEDS), -1, np.int32)
    never = np.int64(-(10**15))
    return Minds(
        taste=taste,
        taste_strength=(0.6 * rng.standard_normal((count, TASTES))).astype(np.float32),
        need=none.copy(),
        need_level=np.zeros((count, NEEDS), np.float32),
        need_brand=none.copy(),
        need_style=none.copy(),
        need_attribute=none.copy(),
        need_heat=np.zeros((count, NEEDS), np.float32),
        need_ms=np.full((count, NEEDS), never),
        bought=np.full((count, BOUGHT), -1, np.int32),
        bought_shop=np.full((count, BOUGHT), -1, np.int32),
        bought_ms=np.full((count, BOUGHT), never),
        cart_item=np.full((count, CARTS), -1, np.int32),
        cart_ms=np.full((count, CARTS), never),
        last_category=np.full((count, 1), -1, np.int32),
        last_shop=np.full((count, 1), -1, np.int32),
    )


def drift(minds: Minds, world: World, everybody: People, day: int) -> Minds:
    """The same people a night later."""
    rng = stream(world.seed, Purpose.DRIFT, day)
    walk = TASTE_WALK * rng.standard_normal(minds.taste.shape)
    strength = 0.97 * minds.taste_strength + walk.astype(np.float32)
    user, slot = np.nonzero(rng.random(minds.taste.shape) < TASTE_CHANGE)
    taste = minds.taste.copy()
    taste[user, slot] = _draw(rng, world, everybody.segment[user])
    strength[user, slot] = (0.6 * rng.standard_normal(len(user))).astype(np.float32)
    return replace(minds, taste=taste, taste_strength=strength)


def _draw(rng: np.random.Generator, world: World, segments: Ints32) -> Ints32:
    """One category each, by what attracts the segment."""
    out = np.empty(len(segments), np.int32)
    for segment in range(SEGMENTS):
        cumulative = np.cumsum(world.segment_interest[segment])
        mine = np.flatnonzero(segments == segment)
        drawn = np.searchsorted(cumulative, rng.random(len(mine)) * cumulative[-1], side="right")
        out[mine] = np.minimum(drawn, len(cumulative) - 1)
    return out


_NOISE = np.random.default_rng(65_521).standard_normal(65_521).astype(np.float32)


def attitude(everybody_wealth: Floats, salt: Ints32, category: Ints32) -> Floats:
    """The price level a person looks for in a category, when nothing special is needed.

    0.6 of it is wealth; 0.7 belongs to person and category alone ("cheap socks, dear headphones").
    """
    noise = _NOISE[(salt.astype(np.int64) * 31 + category.astype(np.int64) * 7_919) % len(_NOISE)]
    return 0.6 * everybody_wealth + 0.7 * noise
