"""Ranking features r_i of equation (9): what an ordinary ranker knows of a candidate (Table 1).

One pure function serves `samples` and serving: candidates and histories as flat arrays, the
catalog and the statistics of the days before as arrays by catalog row. Volumes are log1p over 5,
rates are logarithms around one per cent, everything else lies in [-1, 1]. Counts of an item, shop,
brand or category in a history come from one sort of the shared rows and two binary searches a
candidate, whatever the length of the history.
"""

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from features.catalog import FIRST_ROW, CatalogArrays
from features.counts import Counts
from features.schemas import SEQUENCE_LENGTH
from features.statistics import Statistics
from features.timeline import Codes, Ints, Spans
from infra.errors import ConfigError

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

_SPREAD, _SHIFT = np.uint64(0x9E3779B97F4A7C15), np.uint64(45)
"""Multiplicative hashing into 2**19 marks."""

_MONTHS_MIN = 60 * 24 * 60
"""Recency is 0 from 60 days on."""


@dataclass(frozen=True, kw_only=True)
class Pasts:
    """Histories as spans over shared rows, oldest first; serving has one span and one owner."""

    owner: Codes
    """Whose row it is; ascending."""
    item: Codes
    """Catalog row."""
    type: NDArray[np.int8]
    ts: Ints
    """UTC milliseconds."""
    spans: Spans
    """Rows of each moment's history."""
    moment_owner: Codes
    """Whose moment it is."""
    moment_ts: Ints


@dataclass(frozen=True, kw_only=True)
class Candidates:
    """One entry a candidate."""

    moment: Ints
    item: Codes
    relevance: Floats
    """Share of the query's words in the title (`features.relevance`); 0 without a query."""


def item_features(catalog: CatalogArrays, statistics: Statistics) -> Floats:
    """[catalog rows, len(ITEM_NAMES)]; padding and unknown items are zeros but for the bias."""
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
        "price_level": (catalog.price_level - 4) / 3 * (catalog.price_level > 0),
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
    table = np.column_stack([columns[name].astype(np.float32) for name in ITEM_NAMES])
    table[:FIRST_ROW, 1:] = 0
    return np.ascontiguousarray(table)


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
    out = np.empty((len(candidates.item), len(NAMES)), np.float32)
    out[:, : len(ITEM_NAMES)] = item_table.take(candidates.item, axis=0)
    length = pasts.spans.length.astype(np.float32)
    here = {name: index for index, name in enumerate(NAMES)}
    out[:, here["price_match"]] = _price_match(candidates, pasts, catalog)
    attributes = {
        "item": np.arange(catalog.num_rows, dtype=np.int32),
        "shop": catalog.shop,
        "brand": catalog.brand,
        "category": catalog.category,
    }
    now = pasts.moment_ts[candidates.moment]
    for name, attribute in attributes.items():
        met = _meetings(attribute, candidates, pasts)
        out[:, here[f"{name}_count"]] = np.log1p(met.count) / 5
        last = np.maximum(met.last, 0)
        ever = met.count > 0
        out[:, here[f"{name}_recency"]] = _recency(now - _at(pasts.ts, last)) * ever
        if name == "item":
            out[:, here["item_last_type"]] = _at(pasts.type, last) / np.float32(4) * ever
        if name == "category":
            share = met.count / np.maximum(length[candidates.moment], 1)
            out[:, here["category_share"]] = share
    out[:, here["history_length"]] = length[candidates.moment] / 100
    out[:, here["query_relevance"]] = candidates.relevance
    return out


@dataclass(frozen=True)
class _Meetings:
    """Per candidate: how often its attribute stands in the history, and the last row of it."""

    count: Ints
    last: Ints


def _meetings(attribute: Codes, candidates: Candidates, pasts: Pasts) -> _Meetings:
    """Sorted (owner, attribute, row) integers: rows of a span with one attribute are a range."""
    count = np.zeros(len(candidates.item), np.int64)
    last = np.full(len(candidates.item), -1, np.int64)
    if not len(pasts.item):
        return _Meetings(count, last)
    width = np.int64(int(attribute.max()) + 1)
    bits = np.int64(len(pasts.item).bit_length())
    if (int(pasts.owner[-1] + 1) * int(width)).bit_length() + int(bits) > 62:
        raise ConfigError(
            f"a bucket of {int(pasts.owner[-1]) + 1:,} users is too wide for a catalog of "
            f"{len(attribute):,} items. Set beam.buckets higher."
        )
    past, wanted = attribute.take(pasts.item), attribute.take(candidates.item)
    met = pasts.owner * width + past
    pair = pasts.moment_owner.take(candidates.moment) * width + wanted
    rows, asked = _shared(met, pair)
    rows, asked = rows[past.take(rows) >= FIRST_ROW], asked[wanted.take(asked) >= FIRST_ROW]
    if not len(rows):
        return _Meetings(count, last)
    packed = (met.take(rows) << bits) | rows
    packed.sort()
    ends = (pair.take(asked) << bits) | pasts.spans.stop.take(candidates.moment.take(asked))
    order = np.argsort(ends)  # searching for ascending values walks instead of jumping
    asked, ends = asked.take(order), ends.take(order)
    starts = (pair.take(asked) << bits) | pasts.spans.start.take(candidates.moment.take(asked))
    stop = np.searchsorted(packed, ends)
    before = packed.take(np.maximum(stop - 1, 0))
    hit = np.flatnonzero((stop > 0) & (before >= starts))
    who = asked.take(hit)
    count[who] = stop.take(hit) - np.searchsorted(packed, starts.take(hit))
    last[who] = before.take(hit) & ((np.int64(1) << bits) - 1)
    return _Meetings(count, last)


def _shared(left: Ints, right: Ints) -> tuple[Ints, Ints]:
    """Places of values that may stand on both sides; all that do are among them.

    Most of a history meets no candidate: a table of marks, which fits into a core's cache, tells
    that for a fraction of what a search costs. One user's history is searched as it is.
    """
    if len(left) <= SEQUENCE_LENGTH:
        return np.arange(len(left)), np.arange(len(right))
    slot = [((side.view(np.uint64) * _SPREAD) >> _SHIFT).view(np.int64) for side in (left, right)]
    marks = np.zeros((2, 1 << (64 - int(_SHIFT))), bool)
    marks[0][slot[1]] = True
    rows = np.flatnonzero(marks[0].take(slot[0]))
    marks[1][slot[0].take(rows)] = True
    return rows, np.flatnonzero(marks[1].take(slot[1]))


def _price_match(candidates: Candidates, pasts: Pasts, catalog: CatalogArrays) -> Floats:
    """1 where the candidate's price level is the mean level of the history, -1 six levels off."""
    level = catalog.price_level[pasts.item].astype(np.int64)
    total = np.append(0, np.cumsum(level))
    known = np.append(0, np.cumsum(level > 0))
    start, stop = pasts.spans.start, pasts.spans.stop
    mean = (total[stop] - total[start]) / np.maximum(known[stop] - known[start], 1)
    own = catalog.price_level[candidates.item]
    usual = mean[candidates.moment]
    match = 1 - np.abs(own - usual) / 3
    return np.where((own > 0) & (usual > 0), match, 0).astype(np.float32)


def _recency(gap_ms: Ints) -> Floats:
    minutes = (np.maximum(gap_ms, 0) / 60_000).astype(np.float32)
    share = np.log1p(minutes) / np.float32(np.log1p(_MONTHS_MIN))
    return np.maximum(1 - share, 0).astype(np.float32)


def _volume(count: Floats) -> Floats:
    return (np.log1p(count) / 5).astype(np.float32)


def _rate(rate: Floats) -> Floats:
    """Log of the rate, 0 at one per cent; the half permille gives 0 a place."""
    return (np.log((rate + 5e-4) / 1.05e-2) / 4).astype(np.float32)


def _at(values: NDArray[N], rows: Ints) -> NDArray[N]:
    return values[rows] if len(values) else np.zeros(len(rows), values.dtype)
