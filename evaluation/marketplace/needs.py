"""What a person is shopping for right now: needs are born, pursued, cool down and are met.

A need is a category with a price in mind and perhaps a brand, a style and an attribute. It is the
latent cause that clicks, queries, carts and purchases share: whoever reads a history well can tell
which needs are alive. Pursuing keeps a need warm; left alone it cools; a purchase ends it.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evaluation.marketplace.people import NEEDS, Minds, People, attitude
from evaluation.marketplace.session import DAY_MS
from evaluation.marketplace.world import ATTRIBUTES, BRANDS_PER_DEPARTMENT, Floats, Ints32, World

COOLING_DAYS = 1.5
"""Time in which an idle need falls to 1/e: people come back the next day, hardly the next week."""
STAY = 4.0
"""How much likelier a session goes on with the need at hand than switches: one thing at a time."""
WANDER = 0.8
"""Weight of starting something new against needs of heat one, in the middle of a session."""
OPENING = 3.5
"""The same when a session opens: people come back for another reason more often than not."""
FROM_TASTE = 0.8
"""Share of new needs within lasting tastes; the rest is what life brings."""
BUDGET_NOISE = 0.45
"""How far a need's price level lies from the person's usual one: a gift, a spare part."""
BRAND_WISH = 0.35
"""Share of needs with a brand in mind."""
ATTRIBUTE_WISH = 0.6
"""Share of needs with an attribute in mind."""
SECOND_STYLE = 0.25
"""Share of needs in the person's second style."""
HOTTEST = 1.3
"""Interest saturates: the tenth look makes nobody keener than the fifth."""


@dataclass(frozen=True)
class Chosen:
    """The need behind each page."""

    slot: NDArray[np.int64]
    category: Ints32
    level: Floats
    brand: Ints32
    style: Ints32
    attribute: Ints32
    heat: Floats
    fresh: NDArray[np.bool_]  # born with this page: no history can show it


def cooled(minds: Minds, user: NDArray[np.int64], now: NDArray[np.int64]) -> Floats:
    """(pages, NEEDS) heat now."""
    age = (now[:, None] - minds.need_ms[user]) / DAY_MS
    return (minds.need_heat[user] * np.exp(-np.maximum(age, 0) / COOLING_DAYS)).astype(np.float32)


@dataclass(frozen=True)
class Births:
    """What a new need is drawn from: one block's people."""

    world: World
    everybody: People
    low: int

    def fill(
        self, rng: np.random.Generator, minds: Minds, user: NDArray[np.int64],
        slot: NDArray[np.int64], category: Ints32 | None = None,
    ) -> None:  # fmt: skip
        """Give each user a new need in `slot`; its category by taste unless it is given."""
        count = len(user)
        if category is None:
            category = self._category(rng, minds, user)
        person = user + self.low
        usual = attitude(self.everybody.wealth[person], self.everybody.salt[person], category)
        brand = self.world.category_department[category] * BRANDS_PER_DEPARTMENT
        brand = brand + rng.integers(0, BRANDS_PER_DEPARTMENT, count)
        second = rng.random(count) < SECOND_STYLE
        minds.need[user, slot] = category
        minds.need_level[user, slot] = usual + BUDGET_NOISE * rng.standard_normal(count)
        minds.need_brand[user, slot] = np.where(rng.random(count) < BRAND_WISH, brand, -1)
        minds.need_style[user, slot] = np.where(
            second, self.everybody.second_style[person], self.everybody.style[person]
        )
        wish = rng.random(count) < ATTRIBUTE_WISH
        minds.need_attribute[user, slot] = np.where(wish, rng.integers(0, ATTRIBUTES, count), -1)

    def _category(self, rng: np.random.Generator, minds: Minds, user: NDArray[np.int64]) -> Ints32:
        weight = np.exp(minds.taste_strength[user])
        cumulative = np.cumsum(weight, axis=1)
        drawn = rng.random(len(user))[:, None] * cumulative[:, -1:]
        taste = minds.taste[user, (drawn > cumulative).sum(axis=1).clip(max=weight.shape[1] - 1)]
        share = np.cumsum(self.world.category_share)
        other = np.searchsorted(share, rng.random(len(user)) * share[-1]).clip(max=len(share) - 1)
        return np.where(rng.random(len(user)) < FROM_TASTE, taste, other).astype(np.int32)


def choose(
    rng: np.random.Generator, minds: Minds, births: Births, user: NDArray[np.int64],
    now: NDArray[np.int64], at_hand: NDArray[np.int64],
) -> Chosen:  # fmt: skip
    """Pick each page's need by heat; start a new one, in the coldest slot, now and then.

    Args:
        rng: the block's stream.
        minds: of the block; new needs are written into it.
        births: where new needs come from.
        user: row within the block, at most once.
        now: milliseconds of the page.
        at_hand: slot of the session's previous page, -1 at a session's start.
    """
    heat = cooled(minds, user, now)
    weight = heat * (minds.need[user] >= 0)
    held = np.arange(NEEDS) == at_hand[:, None]
    weight = np.where(held, weight * STAY, weight)
    cumulative = np.cumsum(weight, axis=1)
    drawn = rng.random(len(user)) * (cumulative[:, -1] + np.where(at_hand < 0, OPENING, WANDER))
    picked = (drawn[:, None] > cumulative).sum(axis=1)
    fresh = picked == NEEDS
    slot = np.where(fresh, np.argmin(heat, axis=1), picked)
    births.fill(rng, minds, user[fresh], slot[fresh])
    now_heat = np.where(fresh, 1.0, np.take_along_axis(heat, slot[:, None], 1)[:, 0])
    now_heat = now_heat.clip(max=HOTTEST).astype(np.float32)
    minds.need_heat[user, slot] = now_heat
    minds.need_ms[user, slot] = now
    at = (user, slot)
    return Chosen(
        slot=slot,
        category=minds.need[at],
        level=minds.need_level[at],
        brand=minds.need_brand[at],
        style=minds.need_style[at],
        attribute=minds.need_attribute[at],
        heat=now_heat,
        fresh=fresh,
    )
