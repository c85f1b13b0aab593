"""One day of the whole marketplace, in memory: what `simulate` writes and an A/B test replays.

`play` takes the ranking policy as an argument; to run arms side by side, pass `arms.Split`, which
asks each user's own arm. Everything else (people, needs, supply) is the same world.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime

import numpy as np
import polars as pl
from numpy.typing import NDArray

from evaluation.marketplace import choice, logs, needs, people, policies, session, world
from evaluation.marketplace.arms import Stamp
from evaluation.marketplace.config import MarketplaceConfig
from evaluation.marketplace.day import Block
from evaluation.marketplace.effects import Effects
from evaluation.marketplace.follows import FollowPages
from evaluation.marketplace.people import Minds, People
from evaluation.marketplace.policies import PopularityWithNoise, Ranker
from evaluation.marketplace.seeds import Purpose, stream
from evaluation.marketplace.world import Floats, Items, World

BLOCK = 8192
"""Users that advance together; a block has its own random stream, so this is part of the world."""
FORGET = 0.85
"""What the shop's click counters keep from one day to the next: about a week's memory."""
COUNTED = 0.5
"""Weight of log clicks in the shop's popularity score, beside the fame it starts from."""


@dataclass(frozen=True)
class Carried:
    """What one day leaves to the next."""

    day: int  # number of the day that ended; -1 on the eve of the first
    minds: Minds  # updated in place by the next day: play each day once
    clicks: NDArray[np.float64]  # per item, decayed
    pending: pl.DataFrame  # behaviours that arrive tomorrow


@dataclass(frozen=True)
class Marketplace:
    """A world and its people: all that follows from settings and seed alone."""

    world: World
    everybody: People

    @staticmethod
    def build(config: MarketplaceConfig, seed: int) -> "Marketplace":
        """The marketplace of a seed."""
        place = world.build(config, seed)
        return Marketplace(place, people.people(place))

    def eve(self) -> Carried:
        """The evening before the first day."""
        minds = people.first_minds(self.world, self.everybody)
        return Carried(-1, minds, np.zeros(0), logs.no_behaviors())


@dataclass(frozen=True)
class Played:
    """A day's log by block, and how it left people and counters (`pending` still yesterday's)."""

    items: Items
    parts: list[logs.BlockTables]
    after: Carried
    effects: Effects


def play(
    market: Marketplace,
    carried: Carried,
    today: date,
    ranker: Callable[[Floats], Ranker] = PopularityWithNoise,
    stamps: Sequence[Stamp] = (),
) -> Played:
    """The day after `carried`.

    Args:
        market: the world and its people.
        carried: how the day before ended.
        today: the date.
        ranker: the policy, made from the items' popularity score for each block of users.
        stamps: of the arms, by number, where the ranker is a `Split`.
    """
    place, everybody = market.world, market.everybody
    day, items = carried.day + 1, place.items(carried.day + 1)
    clicks = np.zeros(len(items))
    clicks[: len(carried.clicks)] = FORGET * carried.clicks
    popularity = (items.fame + COUNTED * np.log1p(clicks)).astype(np.float32)
    minds = people.drift(carried.minds, place, everybody, day) if day else carried.minds
    recall = policies.recall(place, items, popularity, day)
    midnight = int(datetime.combine(today, datetime.min.time(), UTC).timestamp() * 1000)
    parts, effects = [], Effects.none(place.config.users, max(1, len(stamps)))
    for low in range(0, place.config.users, BLOCK):
        rng = stream(place.seed, Purpose.DAY, day, low // BLOCK)
        users = slice(low, min(low + BLOCK, place.config.users))
        mine = minds.part(users.start, users.stop)
        liked = choice.interest(place, mine, midnight, weekend=today.weekday() >= 5)
        block = Block(
            reasons=choice.Reasons(place, items, everybody, low, liked),
            minds=mine,
            births=needs.Births(place, everybody, low),
            recall=recall,
            ranker=ranker(popularity),
            follows=FollowPages(place, everybody, low, day),
            midnight=midnight,
        )
        plan = session.schedule(rng, everybody, users, place.config.pages_per_day, day)
        prefix = f"r{day:04d}b{low // BLOCK:03d}n"
        log = block.run(rng, plan)
        effects.add(log, items)
        parts.append(logs.tables(rng, place, items, log, prefix, stamps))
    for part in parts:
        np.add.at(clicks, part.clicks, 1)
    return Played(items, parts, Carried(day, minds, clicks, carried.pending), effects)
