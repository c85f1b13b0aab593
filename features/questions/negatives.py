"""Negatives of derived moments, and of shops: seeded draws that do not give themselves away.

The headline protocol `same-day` draws from what *other* users clicked that day, so that positives
and negatives have the same popularity and the same share of brand-new items; drawing from "items
known by then" would make novelty a giveaway. The day's clicks are bounded by a hash: the clicks
with the smallest draws are kept, a combine that merges in any order, whatever the buckets. A draw
depends on the seed, the moment and its number alone.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from features.catalog import FIRST_ROW, CatalogArrays
from features.draws import mix
from features.items.statistics import Statistics
from features.schemas import POOL, BehaviorType
from features.timeline import Codes, Ints

Hashes = NDArray[np.uint64]
Bools = NDArray[np.bool_]
TRIES = 8
"""Draws before a candidate is given up: a draw must be another user's click on another item."""


def pool_of(behaviors: pa.Table, size: int) -> pa.Table:
    """The `size` clicks with the smallest draws, as POOL."""
    clicks = np.flatnonzero(behaviors.column("type").to_numpy() == BehaviorType.CLICK)
    draw = mix(behaviors.column("key").to_numpy().take(clicks))
    order = _smallest(draw, size)
    chosen = behaviors.select(["user_hash", "item_id"]).take(pa.array(clicks[order]))
    table = pa.table(
        [
            pa.array(draw[order]),
            chosen.column("user_hash"),
            chosen.column("item_id").cast(pa.string()),
        ],
        schema=POOL,
    )
    return _settled(table, size)


def merge_pools(pools: Sequence[pa.Table], size: int) -> pa.Table:
    """The smallest `size` draws of several pools: associative and commutative."""
    if len(pools) == 1:
        return pools[0].slice(0, size)
    draws = [pool.column("draw").to_numpy() for pool in pools]
    whole = np.concatenate([np.empty(0, np.uint64), *draws])
    if len(whole) > size:
        limit = np.partition(whole, size - 1)[size - 1]
        stops = [int(np.searchsorted(draw, limit, side="right")) for draw in draws]
        pools = [pool.slice(0, stop) for pool, stop in zip(pools, stops, strict=True)]
        whole = np.concatenate([draw[:stop] for draw, stop in zip(draws, stops, strict=True)])
    order = np.argsort(whole)
    table = pa.concat_tables([POOL.empty_table(), *pools]).combine_chunks()
    return _settled(table.take(pa.array(order)), size)


def _smallest(draw: Hashes, size: int) -> Ints:
    """Where the `size` smallest draws stand, and those equal to the last of them; ascending."""
    if len(draw) <= size:
        return np.argsort(draw)
    rows = np.flatnonzero(draw <= np.partition(draw, size - 1)[size - 1])
    return rows[np.argsort(draw[rows])]


def _settled(ascending: pa.Table, size: int) -> pa.Table:
    """The first `size` rows of a pool in its one order: equal draws, which are rare, by content."""
    draw = ascending.column("draw").to_numpy()
    if (draw[1:] == draw[:-1]).any():
        by = [("draw", "ascending"), ("user_hash", "ascending"), ("item_id", "ascending")]
        ascending = ascending.sort_by(by).combine_chunks()
    return ascending.slice(0, size)


@dataclass(frozen=True)
class Pool:
    """The day's sampled clicks, looked up in the catalog."""

    item: Codes
    user_hash: Hashes
    by_category: Ints
    """Positions sorted by category."""
    category_start: Ints
    """Positions of category c are by_category[category_start[c] : category_start[c + 1]]."""

    @classmethod
    def of(cls, table: pa.Table, catalog: CatalogArrays) -> "Pool":
        """A published POOL with catalog rows."""
        item = catalog.rows_of(table.column("item_id"))
        known = item >= FIRST_ROW
        item = item[known]
        category = catalog.category[item]
        order = np.argsort(category, kind="stable")
        edges = np.arange(int(catalog.category.max(initial=0)) + 2)
        start = np.searchsorted(category[order], edges)
        return cls(item, table.column("user_hash").to_numpy()[known], order, start)


@dataclass(frozen=True)
class Drawn:
    """Negatives, one entry each."""

    moment: Ints
    item: Codes


@dataclass(frozen=True)
class Wish:
    """Whom to draw for: one entry a moment."""

    seed: Hashes
    user_hash: Hashes
    item: Codes
    """The positive, never drawn as its own negative."""


def other_clicks(pool: Pool, wish: Wish, count: int) -> Drawn:
    """`count` clicks of other users for each moment, any category."""
    width = np.full(len(wish.item), len(pool.item), np.uint64)

    def pick(who: Ints, draw: Ints) -> tuple[Codes, Bools]:
        return pool.item[draw], pool.user_hash[draw] != wish.user_hash[who]

    return _draw(pick, width, wish, count)


def same_category(pool: Pool, wish: Wish, category: Codes, count: int) -> Drawn:
    """The same, within the category of each positive; fewer where it has too few clicks."""
    known = (category >= FIRST_ROW) & (category < len(pool.category_start) - 1)
    safe = np.where(known, category, 0)
    low = pool.category_start[safe]
    width = np.where(known, pool.category_start[safe + 1] - low, 0).astype(np.uint64)

    def pick(who: Ints, draw: Ints) -> tuple[Codes, Bools]:
        at = pool.by_category[low[who] + draw]
        return pool.item[at], pool.user_hash[at] != wish.user_hash[who]

    return _draw(pick, width, wish, count)


def uniform(catalog: CatalogArrays, wish: Wish, count: int) -> Drawn:
    """`count` items of the catalog for each moment, each as likely as any."""
    width = np.full(len(wish.item), catalog.num_rows - FIRST_ROW, np.uint64)
    is_item = catalog.is_item()

    def pick(who: Ints, draw: Ints) -> tuple[Codes, Bools]:
        rows = (draw + FIRST_ROW).astype(np.int32)
        return rows, is_item[rows]

    return _draw(pick, width, wish, count)


def popular(catalog: CatalogArrays, statistics: Statistics, wish: Wish, count: int) -> Drawn:
    """`count` items for each moment, as likely as their clicks of the days before (plus one)."""
    clicks = np.rint(statistics.item.clicks[FIRST_ROW:]).astype(np.int64)
    upto = np.cumsum(clicks + catalog.is_item()[FIRST_ROW:])
    width = np.full(len(wish.item), upto[-1] if len(upto) else 0, np.uint64)

    def pick(who: Ints, draw: Ints) -> tuple[Codes, Bools]:
        rows = np.searchsorted(upto, draw, side="right") + FIRST_ROW
        return rows.astype(np.int32), np.ones(len(who), bool)

    return _draw(pick, width, wish, count)


def _draw(
    pick: Callable[[Ints, Ints], tuple[Codes, Bools]], width: Hashes, wish: Wish, count: int
) -> Drawn:
    """`count` accepted picks per moment from numbers below `width`; fewer if TRIES do not do."""
    moment = np.repeat(np.arange(len(wish.item)), count)
    number = np.tile(np.arange(count, dtype=np.uint64), len(wish.item))
    seed = mix(wish.seed[moment] + number)
    item = np.zeros(len(moment), np.int32)
    left = np.flatnonzero(width[moment])
    for attempt in range(TRIES):
        who = moment[left]
        draw = (mix(seed[left] + np.uint64(attempt)) % width[who]).astype(np.int64)
        picked, allowed = pick(who, draw)
        good = allowed & (picked != wish.item[who])
        item[left[good]] = picked[good]
        left = left[~good]
    found = item > 0
    return Drawn(moment[found], item[found])
