"""Closing a day's statistics: from items to shops, brands, categories and the whole market.

Arrays by catalog row, so memory grows with the number of items and not with the day.
"""

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from features.items import deciles
from features.items.counts import Counts, Overall
from features.items.statistics import GROUP, OVERALL, StatisticsConfig
from features.schemas import UNKNOWN_ROW


def group(item: Counts, row: NDArray[np.int32]) -> pa.Table:
    """Sums over the items of each vocabulary row: schema GROUP; the unknown one has none.

    Args:
        item: by catalog row.
        row: shop, brand or category of each catalog row.
    """
    length = int(row.max()) + 1
    sums = item.summed(row, length)
    items = np.bincount(row, minlength=length)
    kept = np.flatnonzero(items)
    kept = kept[kept > UNKNOWN_ROW]
    return pa.table(
        {"row": pa.array(kept, pa.int32()), "items": items[kept], **sums.take(kept).arrays()},
        schema=GROUP,
    )


def overall(item: Counts, config: StatisticsConfig) -> Overall:
    """The market's rates and, smoothed with them, the deciles of all items."""
    rates = Overall(
        ctr=_share(item.page_clicks, item.impressions),
        cvr=_share(item.purchases, item.clicks),
        prior_impressions=config.prior_impressions,
        prior_clicks=config.prior_clicks,
    )
    return Overall(**{**rates.__dict__, "edges": deciles.edges(item, rates)})


def overall_table(market: Overall) -> pa.Table:
    """One row: schema OVERALL."""
    edges = market.edges or {}
    row = {
        "ctr": market.ctr,
        "cvr": market.cvr,
        "prior_impressions": market.prior_impressions,
        "prior_clicks": market.prior_clicks,
        **{f"{name}_edges": list(values) for name, values in edges.items()},
    }
    return pa.Table.from_pylist([row], schema=OVERALL)


def _share(part: NDArray[np.float32], whole: NDArray[np.float32]) -> float:
    total = float(whole.sum(dtype=np.float64))
    return min(1.0, float(part.sum(dtype=np.float64)) / total) if total else 0.0
