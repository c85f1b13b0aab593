"""What is measured of a day before anyone may build on it: mergeable counts over all rows.

A `Tally` maps `op:table.column.metric` to a number; `op` (sum, min, max) says how two tallies of
parts of a table merge, so Beam can measure files in any order. `metrics` turns the whole day's
tally into the figures that the expectations of `pipeline.quality` judge: null shares, ranges,
sets, rejects and duplicates, volume and mix against the days before, freshness.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

from features.schemas import PRICE_LEVELS, SEQ_COLUMNS, SEQUENCE_LENGTH, BehaviorType, Scenario
from infra.config import Config

Tally = dict[str, float]

EVENT_TABLES = ("behaviors", "impressions", "follows", "items")
CANDIDATE_COLUMNS = ("cand_clicked", "cand_label", "cand_weight", "cand_features", "cand_origin")
MIXES = {"behaviors": ("type", "scenario"), "impressions": ("scenario",), "samples": ("scenario",)}
ID_COLUMNS = {
    "behaviors": ("user_id", "item_id", "ts", "type", "scenario"),
    "impressions": ("user_id", "request_id", "ts"),
    "follows": ("user_id", "icon_id", "ts", "followed"),
    "items": ("item_id",),
    "samples": ("sample_id", "user_id", "ts", "seq_item"),
}


class QualityConfig(Config):
    """Limits; shares are of rows, 0..1. Over a `max_` limit stops the run, `warn_` does not."""

    max_reject_share: float = Field(0.05, ge=0, le=1)
    """Refused rows among those read."""
    warn_reject_share: float = Field(0.01, ge=0, le=1)
    """Refused rows among those read."""
    max_duplicate_share: float = Field(0.5, ge=0, le=1)
    """Rows that were there already."""
    warn_duplicate_share: float = Field(0.05, ge=0, le=1)
    """Rows that were there already."""
    max_volume_ratio: float = Field(10.0, gt=1)
    """Rows against the median of the days before, and its inverse for a day too small."""
    warn_volume_ratio: float = Field(2.0, gt=1)
    """As `max_volume_ratio`."""
    max_drift: float = Field(0.5, gt=0)
    """Population stability index of the type, scenario and price mix against the days before."""
    warn_drift: float = Field(0.1, gt=0)
    """As `max_drift`."""
    warn_stale_h: float = Field(6.0, gt=0)
    """Hours from the day's last event to its end."""
    max_stale_h: float = Field(24.0, gt=0)
    """Hours from the day's last event to its end."""
    warn_null_share: float = Field(0.5, ge=0, le=1)
    """Of the optional attributes of an item: category, brand, shop, price."""
    warn_bad_price_share: float = Field(0.0, ge=0, le=1)
    """Prices of zero or less: some logs write 0 where they do not know."""
    max_bad_price_share: float = Field(0.02, ge=0, le=1)
    """As `warn_bad_price_share`."""
    warn_empty_history_share: float = Field(0.6, ge=0, le=1)
    """Moments of users of whom nothing is known yet."""
    min_rows: int = Field(1, ge=0)
    """Behaviours, or moments, without which a day is not a day."""
    history_days: int = Field(7, ge=1)
    """Days before that volume and mix are held against."""


def measure(name: str, table: pa.Table) -> Tally:
    """The tally of a part of table `name`; reads each column once, grows with the columns."""
    tally: Tally = {f"sum:{name}.rows": table.num_rows}
    for column in ID_COLUMNS[name]:
        tally[f"sum:{name}.{column}.nulls"] = table.column(column).null_count
    if "ts" in table.column_names and table.num_rows:
        ts = table.column("ts").cast(pa.int64())
        bounds = pc.min_max(ts).as_py()
        if bounds["min"] is not None:
            tally[f"min:{name}.ts.first"] = bounds["min"]
            tally[f"max:{name}.ts.last"] = bounds["max"]
    for column in MIXES.get(name, ()):
        for entry in pc.value_counts(table.column(column)).to_pylist():
            tally[f"sum:{name}.{column}.mix.{entry['values']}"] = entry["counts"]
    special = {"behaviors": _behaviors, "items": _items, "samples": _samples}.get(name)
    if special:
        tally |= special(table)
    return tally


def merge(tallies: Iterable[Tally]) -> Tally:
    """The tally of all parts together."""
    out: Tally = {}
    for tally in tallies:
        for key, value in tally.items():
            if key not in out:
                out[key] = value
            elif key.startswith("sum:"):
                out[key] += value
            else:
                out[key] = (min if key.startswith("min:") else max)(out[key], value)
    return out


def metrics(
    tally: Tally, counts: Mapping[str, int], day: date, zone: str, before: Sequence[Tally]
) -> dict[str, float]:
    """Figures by name, `table.column.metric`.

    Args:
        tally: the whole day's.
        counts: what the events step counted (`<table>_read`, `_rejected`, ...).
        day: the day judged.
        zone: the data set's time zone.
        before: tallies of the days before, newest last; may be empty.
    """
    flat, *past = (
        {key.split(":", 1)[1]: value for key, value in one.items()} for one in (tally, *before)
    )
    out = _shares(flat) | _against(flat, past) | _refused(counts)
    if "behaviors.ts.last" in flat:
        end = datetime.combine(day + timedelta(days=1), time(), ZoneInfo(zone)).astimezone(UTC)
        out["behaviors.ts.stale_h"] = end.timestamp() / 3600 - flat["behaviors.ts.last"] / 3.6e6
    return dict(sorted(out.items()))


def _shares(flat: Tally) -> Tally:
    """Rows, maxima, and every count of bad or absent values as a share of its table's rows."""
    out: Tally = {}
    for key, value in flat.items():
        rows = flat.get(f"{key.partition('.')[0]}.rows", 0)
        if key.endswith((".rows", ".longest")):
            out[key] = value
        elif key.endswith((".nulls", ".bad")) and rows:
            out[f"{key.removesuffix('s')}_share"] = value / rows
    return out


def _against(flat: Tally, past: Sequence[Tally]) -> Tally:
    """Volume and mix against the days before; silent until there are three of them."""
    out: Tally = {}
    if len(past) < 3:
        return out
    for table in (*EVENT_TABLES, "samples"):
        rows = f"{table}.rows"
        if rows in flat:
            out[f"{table}.volume_ratio"] = _volume_ratio(flat[rows], [p.get(rows, 0) for p in past])
        for column in (*MIXES.get(table, ()), "price"):
            prefix = f"{table}.{column}.mix."
            now, then = _mix(flat, prefix), [_mix(p, prefix) for p in past]
            if now and any(then):
                out[f"{table}.{column}.drift"] = stability_index(now, then)
    return out


def _refused(counts: Mapping[str, int]) -> Tally:
    out: Tally = {}
    for table in EVENT_TABLES:
        read = counts.get(f"{table}_read", 0)
        if read:
            out[f"{table}.reject_share"] = counts.get(f"{table}_rejected", 0) / read
            out[f"{table}.duplicate_share"] = counts.get(f"{table}_duplicate", 0) / read
    return out


def stability_index(now: Mapping[str, float], before: Sequence[Mapping[str, float]]) -> float:
    """Population stability index of a mix against the mean of the days before (0: the same)."""
    names = sorted({*now, *(name for one in before for name in one)})
    p = [now.get(name, 0.0) for name in names]
    q = [sum(one.get(name, 0.0) for one in before) for name in names]
    smooth = 0.5  # half an event: an unseen value is rare, not impossible
    p_total, q_total = sum(p) + smooth * len(names), sum(q) + smooth * len(names)
    pairs = [((a + smooth) / p_total, (b + smooth) / q_total) for a, b in zip(p, q, strict=True)]
    return sum((a - b) * math.log(a / b) for a, b in pairs)


def _volume_ratio(rows: float, before: list[float]) -> float:
    median = sorted(before)[len(before) // 2]
    return rows / median if median else math.inf if rows else 1.0


def _mix(flat: Mapping[str, float], prefix: str) -> dict[str, float]:
    return {key.removeprefix(prefix): v for key, v in flat.items() if key.startswith(prefix)}


def _count(mask: pa.ChunkedArray) -> float:
    return pc.sum(mask.cast(pa.int64())).as_py() or 0


def _outside(values: pa.ChunkedArray, low: float, high: float) -> float:
    return _count(pc.or_(pc.less(values, low), pc.greater(values, high)))


def _behaviors(table: pa.Table) -> Tally:
    price = table.column("price")
    level = pc.floor(pc.log2(pc.if_else(pc.greater(price, 0), price, None)))
    tally = {
        "sum:behaviors.type.bad": _outside(table.column("type"), 1, max(BehaviorType)),
        "sum:behaviors.scenario.bad": _outside(table.column("scenario"), 1, max(Scenario)),
        "sum:behaviors.price.bad": _count(pc.less_equal(price, 0)),
    }
    for entry in pc.value_counts(level).to_pylist():
        if entry["values"] is not None:
            tally[f"sum:behaviors.price.mix.{entry['values']:.0f}"] = entry["counts"]
    return tally


def _items(table: pa.Table) -> Tally:
    tally: Tally = {
        f"sum:items.{name}.nulls": table.column(name).null_count
        for name in ("category_id", "brand_id", "shop_id", "price")
    }
    tally["sum:items.price.bad"] = _count(pc.less_equal(table.column("price"), 0))
    return tally


def _samples(table: pa.Table) -> Tally:
    length = pc.list_value_length(table.column("seq_item"))
    uneven = pa.chunked_array([pa.repeat(False, table.num_rows)])
    for column in SEQ_COLUMNS[1:]:
        other = pc.list_value_length(table.column(column))
        uneven = pc.or_(uneven, pc.not_equal(length, other))
    asked = table.filter(pc.is_valid(table.column("cand_item")))
    shown = pc.list_value_length(asked.column("cand_item"))
    ragged = pa.chunked_array([pa.repeat(False, asked.num_rows)])
    for column in CANDIDATE_COLUMNS:
        ragged = pc.or_(ragged, pc.not_equal(shown, pc.list_value_length(asked.column(column))))
    clicked = pc.list_flatten(asked.column("cand_clicked"))
    label = pc.list_flatten(asked.column("cand_label"))
    features = pc.list_flatten(pc.list_flatten(asked.column("cand_features")))
    return {
        "sum:samples.seq_item.empty.bad": _count(pc.equal(length, 0)),
        "max:samples.seq_item.longest": pc.max(length).as_py() or 0,
        "sum:samples.seq_item.uneven.bad": _count(uneven),
        "sum:samples.cand_item.uneven.bad": _count(ragged),
        "sum:samples.seq_type.bad": _outside(
            pc.list_flatten(table.column("seq_type")), 1, max(BehaviorType)
        ),
        "sum:samples.cand_label.bad": _count(pc.not_equal(pc.abs(label), 1)),
        "sum:samples.cand_features.bad": _count(pc.invert(pc.is_finite(features))),
        "sum:samples.price_level.bad": _outside(table.column("price_level"), 1, PRICE_LEVELS),
        "sum:samples.shown": len(clicked),
        "sum:samples.clicked": pc.sum(clicked).as_py() or 0,
    }


LONGEST = SEQUENCE_LENGTH
