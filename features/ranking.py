"""Ranking features r_i of equation (9): what an ordinary ranker knows of a candidate (Table 1).

Of Table 1 there is no rating score, since no log here has ratings: shares of clicks that end in a
purchase stand for what people think of an item, its shop and brand. Price preference is read off
the history's price levels, not off what PPP infers (Section 3), which is learnt from these samples.
Sales volume counts buyers, not money.

One pure function serves `samples` and serving: candidates and histories as flat arrays, the
catalog and the statistics of the days before as arrays by catalog row. Volumes are log1p over 5,
rates are logarithms around one per cent, everything else lies in [-1, 1]. What an item is without a
user stands in a table of whole rows, so that a candidate costs one gather; of the rest, most is
zero, since most candidates meet nothing in a history, and only meetings are computed. They are
found (`features.questions.meetings`) in one way for many moments and in another for one, and are
the same.
"""

from collections.abc import Sequence
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from features.catalog import CatalogArrays
from features.items.counts import Counts
from features.items.statistics import Statistics
from features.price import dearness
from features.questions import meetings
from features.questions.meetings import Candidates, Pasts
from features.schemas import PRICE_LEVELS, UNKNOWN_ROW
from features.timeline import Ints

Floats = NDArray[np.float32]
N = TypeVar("N", bound=np.generic)

ITEM_NAMES = (
    "bias",
    "sales_volume",
    "popularity",
    "bookmarks",
    "carts",
    "item_ctr",
    "item_conversion",
    "shop_popularity",
    "shop_ctr",
    "shop_conversion",
    "brand_popularity",
    "brand_ctr",
    "category_popularity",
    "category_ctr",
    "category_conversion",
    "lr_ctr",
    "price_level",
    "freshness",
    "unseen_item",
)
"""Features of the item alone: one row a catalog row, computed once a day."""

USER_NAMES = (
    "price_match",
    "item_count",
    "item_recency",
    "item_last_type",
    "shop_count",
    "shop_recency",
    "brand_count",
    "brand_recency",
    "category_count",
    "category_share",
    "category_recency",
    "history_length",
    "query_relevance",
)
"""Features of the candidate for this user at this moment."""

NAMES = (*ITEM_NAMES, *USER_NAMES)
"""Columns of `cand_features`, in order."""
_HERE = {name: place for place, name in enumerate(NAMES)}

_MONTHS_MIN = 60 * 24 * 60
"""Recency is 0 from 60 days on."""


def difference(names: Sequence[str]) -> str:
    """What sets another list of features apart from NAMES, as a phrase."""
    gone = [name for name in names if name not in NAMES]
    new = [name for name in NAMES if name not in names]
    sides = [f"{side} {', '.join(who)}" for side, who in (("then", gone), ("now", new)) if who]
    return "; ".join(sides) or "in another order"


def item_features(catalog: CatalogArrays, statistics: Statistics) -> Floats:
    """[catalog rows, len(NAMES)]: what is known without a user, zero in the columns of the user.

    An item that nobody knows is told as one that nobody has met; padding is zeros but for the bias.
    """
    overall = statistics.overall
    seen = statistics.first_day > 0
    columns: dict[str, NDArray[np.generic]] = {
        "bias": np.ones(catalog.num_rows),
        "sales_volume": _volume(statistics.item.sales),
        "popularity": _volume(statistics.item.clicks),
        "bookmarks": _volume(statistics.item.bookmarks),
        "carts": _volume(statistics.item.carts),
        "item_ctr": _rate(statistics.ctr),
        "item_conversion": _rate(statistics.cvr),
        "lr_ctr": _rate(statistics.lr_ctr),
        "price_level": dearness(catalog.price_level),
        "freshness": np.where(seen, 1 / (1 + np.maximum(statistics.age_days, 0)), 0),
        "unseen_item": ~seen,
    }
    groups: dict[str, Counts] = {
        "shop": statistics.shop,
        "brand": statistics.brand,
        "category": statistics.category,
    }
    for name, counts in groups.items():
        columns[f"{name}_popularity"] = _volume(counts.clicks)
        columns[f"{name}_ctr"] = _rate(overall.click_through(counts))
        columns[f"{name}_conversion"] = _rate(overall.conversion(counts))
    table = np.zeros((catalog.num_rows, len(NAMES)), np.float32)
    for place, name in enumerate(ITEM_NAMES):
        table[:, place] = columns[name]
    table[:UNKNOWN_ROW, 1:] = 0  # padding
    return table


def features(
    candidates: Candidates, pasts: Pasts, catalog: CatalogArrays, item_table: Floats
) -> Floats:
    """[candidates, len(NAMES)], from nothing later than the moments.

    Args:
        candidates: what is to be ranked.
        pasts: what each user did before.
        catalog: attributes by catalog row.
        item_table: `item_features` of the days before.
    """
    out = item_table.take(candidates.item, axis=0)
    length = pasts.spans.length.astype(np.float32)
    out[:, _HERE["price_match"]] = _price_match(candidates, pasts, catalog)
    attributes = {"shop": catalog.shop, "brand": catalog.brand, "category": catalog.category}
    for name in ("item", *attributes):
        met = meetings.find(attributes.get(name), candidates, pasts)
        moment = candidates.moment.take(met.who)
        ago = _of(pasts.moment_ts, moment) - pasts.ts.take(met.last)
        told: dict[str, NDArray[np.floating[Any]]] = {
            f"{name}_count": np.log1p(met.count) / 5,
            f"{name}_recency": _recency(ago),
        }
        if name == "item":
            told["item_last_type"] = pasts.type.take(met.last) / np.float32(4)
        if name == "category":
            told["category_share"] = met.count / np.maximum(_of(length, moment), 1)
        for column, values in told.items():
            out[met.who, _HERE[column]] = met.each(values)
    out[:, _HERE["history_length"]] = _of(length, candidates.moment) / 100
    out[:, _HERE["query_relevance"]] = candidates.relevance
    return out


def _of(values: NDArray[N], moment: Ints) -> NDArray[N]:
    """A value a moment -> a value for each of `moment`; of a single moment, that one for all."""
    return values if len(values) == 1 else values.take(moment)


def _price_match(candidates: Candidates, pasts: Pasts, catalog: CatalogArrays) -> Floats:
    """1 where the candidate's price level is the mean level of the history, -1 six levels off."""
    past = catalog.price_level[pasts.item].astype(np.int64)
    total = np.append(0, np.cumsum(past))
    known = np.append(0, np.cumsum(past > 0))
    start, stop = pasts.spans.start, pasts.spans.stop
    usual = ((total[stop] - total[start]) / np.maximum(known[stop] - known[start], 1))[:, None]
    level = np.arange(1 + PRICE_LEVELS)
    match = np.where((level > 0) & (usual > 0), 1 - np.abs(level - usual) / 3, 0)
    own = catalog.price_level.take(candidates.item)
    if len(match) > 1:
        own = candidates.moment * len(level) + own
    return match.astype(np.float32).ravel().take(own)


def _recency(gap_ms: Ints) -> Floats:
    minutes = (np.maximum(gap_ms, 0) / 60_000).astype(np.float32)
    share = np.log1p(minutes) / np.float32(np.log1p(_MONTHS_MIN))
    return np.maximum(1 - share, 0).astype(np.float32)


def _volume(count: Floats) -> Floats:
    return (np.log1p(count) / 5).astype(np.float32)


def _rate(rate: Floats) -> Floats:
    """Log of the rate, 0 at one per cent; the half permille gives 0 a place."""
    return (np.log((rate + 5e-4) / 1.05e-2) / 4).astype(np.float32)
