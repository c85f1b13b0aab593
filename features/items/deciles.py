"""Statistics of the days before as tags of an item: its decile among all items with evidence.

Popularity (behaviours), click-through and conversion, 1 (least) to 10; 0 where the item has no
evidence, or none of late (`counts.EVIDENCE`). As tags they are embedded like any other attribute
(Section 4.1, item features).
"""

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from features.catalog import FIRST_ROW
from features.items.counts import EVIDENCE, Counts, Overall
from features.vocabulary import TAG_STATISTICS

DECILES = 10

EDGES = [(f"{name}_edges", pa.list_(pa.float64())) for name in TAG_STATISTICS]
"""Columns of `statistics/dt=D/overall`: nine inner edges each, or none without evidence."""


def values(counts: Counts, overall: Overall) -> dict[str, NDArray[np.float64]]:
    """Per tag statistic its value for each item; NaN without evidence."""
    found = {
        "popularity": (counts.behaviors, counts.behaviors),
        "ctr": (overall.click_through(counts), counts.impressions),
        "cvr": (overall.conversion(counts), counts.clicks),
    }
    return {
        name: np.where(evidence >= EVIDENCE, value, np.nan).astype(np.float64)
        for name, (value, evidence) in found.items()
    }


def edges(counts: Counts, overall: Overall) -> dict[str, NDArray[np.float64]]:
    """The nine inner edges per statistic, over items with evidence; empty where there are none."""
    shares = np.arange(1, DECILES) / DECILES
    found = {}
    for name, value in values(counts, overall).items():
        known = value[~np.isnan(value)]
        found[name] = np.quantile(known, shares, method="inverted_cdf") if len(known) else known
    return found


def tag_rows(counts: Counts, overall: Overall) -> NDArray[np.int32]:
    """Rows of the tag vocabulary, [n, 3]; 0 (no tag) before there are any statistics."""
    if overall.edges is None:
        return np.zeros((len(counts.clicks), len(TAG_STATISTICS)), np.int32)
    columns = []
    for place, (name, value) in enumerate(values(counts, overall).items()):
        decile = 1 + np.searchsorted(overall.edges[name], value)
        known = ~np.isnan(value)
        columns.append(FIRST_ROW + place * (DECILES + 1) + np.where(known, decile, 0))
    return np.column_stack(columns).astype(np.int32)
