"""Price levels 1..7 within a category (the PPP task, Section 4.3): quantiles of its items' prices.

A category with too few prices borrows the edges of the whole market. Edges are published with the
statistics of a day and applied from the next day on.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from features.schemas import PRICE_LEVELS, UNKNOWN_ROW

NUM_EDGES = PRICE_LEVELS - 1
WHOLE_MARKET = UNKNOWN_ROW
"""The category row under which the edges of the whole market stand."""

_MIDDLE = (PRICE_LEVELS + 1) / 2

PRICE = pa.schema(
    [
        ("category", pa.int32()),  # vocabulary row; 1: the whole market
        ("prices", pa.int64()),  # priced items behind the edges
        ("edges", pa.list_(pa.float32(), NUM_EDGES)),
    ]
)
"""`statistics/dt=D/price`, ascending by category; only categories with edges of their own."""


@dataclass(frozen=True)
class PriceEdges:
    """Inner edges of the seven levels; `table[of[category]]`."""

    of: NDArray[np.int32]
    table: NDArray[np.float32]

    def rows(self, category: NDArray[np.integer]) -> NDArray[np.float32]:
        """Six edges per entry of `category`: its own, or the whole market's."""
        safe = np.where(category < len(self.of), category, WHOLE_MARKET)
        return self.table[self.of[safe]]

    def levels(
        self, price: NDArray[np.floating], category: NDArray[np.integer]
    ) -> NDArray[np.int8]:
        """1..7 per price; 0 where the price is NaN or no edges are known."""
        if not len(self.table):
            return np.zeros(len(price), np.int8)
        prices = price.astype(np.float32)
        level = 1 + (prices[:, None] > self.rows(category)).sum(axis=1)
        return np.where(np.isnan(prices), 0, level).astype(np.int8)


NO_EDGES = PriceEdges(of=np.empty(0, np.int32), table=np.empty((0, NUM_EDGES), np.float32))


def quantile_edges(
    price: NDArray[np.floating], category: NDArray[np.integer], min_prices: int
) -> pa.Table:
    """The table PRICE of priced items; empty where nothing has a price.

    Args:
        price: NaN where unknown.
        category: vocabulary row; 0 and 1 (unknown) count for the whole market only.
        min_prices: priced items that a category needs for edges of its own.
    """
    known = ~np.isnan(price)
    prices, categories = price[known].astype(np.float32), category[known]
    if not len(prices):
        return PRICE.empty_table()
    order = np.lexsort((prices, categories))
    prices, categories = prices[order], categories[order]
    found, start, count = np.unique(categories, return_index=True, return_counts=True)
    own = (found > UNKNOWN_ROW) & (count >= min_prices)
    market = np.sort(prices)
    starts = np.concatenate([[0], start[own] + len(market)])
    counts = np.concatenate([[len(market)], count[own]])
    edges = _edges(np.concatenate([market, prices]), starts, counts)
    return pa.table(
        {
            "category": pa.array(np.concatenate([[WHOLE_MARKET], found[own]]), pa.int32()),
            "prices": pa.array(counts, pa.int64()),
            "edges": pa.FixedSizeListArray.from_arrays(pa.array(edges.ravel()), NUM_EDGES),
        },
        schema=PRICE,
    )


def _edges(
    ordered: NDArray[np.float32], start: NDArray[np.int64], count: NDArray[np.int64]
) -> NDArray[np.float32]:
    """Quantiles 1/7..6/7 of each run: the smallest price with that share at or below it."""
    share = np.arange(1, PRICE_LEVELS) / PRICE_LEVELS
    rank = np.ceil(count[:, None] * share[None, :]).astype(np.int64) - 1
    return ordered[start[:, None] + np.maximum(rank, 0)]


def dearness(level: NDArray[np.int8]) -> NDArray[np.floating[Any]]:
    """-1 at the cheapest price level, 1 at the dearest, 0 where it is unknown."""
    return (level - _MIDDLE) / (PRICE_LEVELS - _MIDDLE) * (level > 0)


def of_table(table: pa.Table) -> PriceEdges:
    """Published edges, ready to look up."""
    if not table.num_rows:
        return NO_EDGES
    columns: Mapping[str, NDArray[np.generic]] = {
        "category": table.column("category").to_numpy(),
        "edges": table.column("edges").combine_chunks().flatten().to_numpy(),
    }
    categories = columns["category"].astype(np.int64)
    edges = columns["edges"].reshape(-1, NUM_EDGES).astype(np.float32)
    of = np.zeros(int(categories.max()) + 1, np.int32)
    of[:] = int(np.flatnonzero(categories == WHOLE_MARKET)[0])
    of[categories] = np.arange(len(categories))
    return PriceEdges(of=of, table=edges)
