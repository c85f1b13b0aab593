"""Which items a page shows and in which order: the shop's recall and its ranking policy.

A `Ranker` is what the closed-loop A/B test puts in place of the logging policy; it sees what a
real ranker sees (who asks, when, the query, the candidates, and what everybody has done up to now)
and nothing of the latent state. Numbers of users and items are their ids (`words.ids` spells them).
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from evaluation.marketplace.query import Queries
from evaluation.marketplace.seeds import Purpose, stream
from evaluation.marketplace.world import Floats, Ints32, Items, World

SEARCH, RECOMMEND, AD = 1, 2, 3
PROPOSALS = 28
"""Draws for a page before ranking; an item that is drawn again counts once."""
WIDEST = 20
"""Most items a page shows."""
SIZES = {SEARCH: (14, 20), RECOMMEND: (10, 16), AD: (10, 12)}
"""Items of a page by scenario, as many as fit one to three screens of a phone: the least and the
most that it has room for. It shows fewer where its recall repeats itself and has no more."""
QUANTILES = 1024
"""Resolution of a category's popularity when recalling: finer than the shop's own counters."""
EXPOSURE_NOISE = 0.9
"""Scale of the Gumbel noise in the ranking: the logging policy explores, so that logs can teach."""
FUZZY = 0.55
"""Share of a search page recalled from the department instead of the category: real recall is."""
RELATED = 0.25
"""Share of a recommendation or ad page "because you viewed": the last clicked category."""


@dataclass(frozen=True)
class Requests:
    """Pages to be filled; row i of every array is one page."""

    user: NDArray[np.int64]
    ts: NDArray[np.int64]
    scenario: NDArray[np.int8]
    queries: Queries
    candidates: Ints32  # (pages, PROPOSALS); -1: none


@dataclass(frozen=True)
class Actions:
    """What was done, as a collector hears it; entry i of every array is one action."""

    user: NDArray[np.int64]
    item: Ints32
    ts: NDArray[np.int64]
    type: NDArray[np.int8]  # click 1, bookmark 2, cart 3, purchase 4
    scenario: NDArray[np.int8]  # of the page it was done on; 4: none (the cart)


@dataclass(frozen=True, kw_only=True)
class Ranked:
    """A ranker's answer; (pages, PROPOSALS) unless noted, anything where there is no candidate."""

    score: Floats
    """Pages show the highest first; with exploration."""
    sober: Floats
    """Without exploration: the truth marginalises position over it."""
    ctr: Floats | None = None
    """What it says besides, if it does: the chance of a click,"""
    l2r: Floats | None = None
    """the ranking score,"""
    price_level: NDArray[np.int8] | None = None
    """(pages,): the price level that will be bought, 1..7; 0: not said,"""
    level: NDArray[np.int8] | None = None
    """the level of each candidate as the ranker knows it; 0: unknown."""
    arm: NDArray[np.int8] | None = None
    """(pages,): which arm answered, where there are arms (`arms.Split`)."""


class Ranker(Protocol):
    """What the marketplace needs from a ranking policy."""

    def rank(self, requests: Requests, rng: np.random.Generator) -> Ranked:
        """A score per candidate. `rng` is for exploration."""
        ...

    def observe(self, actions: Actions) -> None:
        """Told of actions as they happen: the pages ranked next may rest on them."""
        ...


@dataclass(frozen=True)
class PopularityWithNoise:
    """The logging policy: log popularity of the days before, plus noise."""

    popularity: Floats

    def rank(self, requests: Requests, rng: np.random.Generator) -> Ranked:
        """Popularity plus Gumbel noise; without exploration popularity alone."""
        uniform = rng.random(requests.candidates.shape, np.float32)
        noise = -np.log(-np.log(uniform + 1e-9) + 1e-9)
        sober = self.popularity[requests.candidates]
        return Ranked(score=sober + np.float32(EXPOSURE_NOISE) * noise, sober=sober)

    def observe(self, actions: Actions) -> None:
        """Counters are those of the days before: nothing."""


@dataclass(frozen=True)
class Recall:
    """Tables to draw candidates from, by popularity, in one gather."""

    by_category: Ints32  # (categories, QUANTILES) items
    by_department: Ints32
    everywhere: Ints32  # (1, 16 * QUANTILES)
    by_shop: Ints32  # (shops, QUANTILES); no rows where nobody looks around in shops

    def draw(
        self, rng: np.random.Generator, scenario: NDArray[np.int8], category: Ints32,
        department: Ints32, exact: NDArray[np.bool_], shop: Ints32,
    ) -> Ints32:  # fmt: skip
        """Candidates per page, sorted, repeats replaced by -1.

        Args:
            rng: the block's stream.
            scenario: of each page.
            category: asked for in the query; on other pages the last clicked one, or -1.
            department: asked for (or last clicked), or -1.
            exact: whether a query names its category; else it names the department only.
            shop: whose page it is, -1: nobody's.
        """
        shape = (len(scenario), PROPOSALS)
        position = rng.integers(0, QUANTILES * 16, shape, dtype=np.int32)
        kind = rng.random(shape, np.float32)
        search = (scenario == SEARCH)[:, None]
        near = np.where(search, np.where(exact[:, None], 1 - FUZZY, 0), RELATED)
        near = np.where((category >= 0)[:, None], near, 0)
        fine = position >> 4
        own = self.by_category[category[:, None], fine]
        around = np.where(search, self.by_department[department[:, None], fine],
                          self.everywhere[0, position])  # fmt: skip
        drawn = np.where(kind < near, own, around)
        inside = shop >= 0
        drawn[inside] = self.by_shop[shop[inside, None], fine[inside]]
        drawn.sort(axis=1)
        drawn[:, 1:][drawn[:, 1:] == drawn[:, :-1]] = -1
        return drawn


def recall(world: World, items: Items, popularity: Floats, day: int) -> Recall:
    """The tables of one day: only what is on sale."""
    rng = stream(world.seed, Purpose.RECALL, day)
    alive = np.flatnonzero(items.death > day).astype(np.int32)
    weight = np.exp(popularity[alive].astype(np.float64))
    category = items.category[alive]
    department = world.category_department[category]
    shops = world.config.shops if world.config.in_shop else 0
    return Recall(
        _quantiles(rng, alive, weight, category, len(world.category_share), QUANTILES),
        _quantiles(rng, alive, weight, department, world.departments, QUANTILES),
        _quantiles(rng, alive, weight, np.zeros_like(category), 1, QUANTILES * 16),
        _quantiles(rng, alive, weight, items.shop[alive], shops, QUANTILES),
    )


def _quantiles(
    rng: np.random.Generator, items: Ints32, weight: NDArray[np.float64], group: Ints32,
    groups: int, width: int,
) -> Ints32:  # fmt: skip
    """Per group, `width` items in proportion to weight (systematic sampling); -1 if it is empty."""
    order = np.argsort(group, kind="stable")
    edges = np.searchsorted(group[order], np.arange(groups + 1))
    out = np.full((groups, width), -1, np.int32)
    for index in range(groups):  # over groups, never over rows
        mine = order[edges[index] : edges[index + 1]]
        if len(mine):
            cumulative = np.cumsum(weight[mine])
            points = (np.arange(width) + rng.random()) / width * cumulative[-1]
            found = np.searchsorted(cumulative, points, side="right").clip(max=len(mine) - 1)
            out[index] = items[mine[found]]
    return out
