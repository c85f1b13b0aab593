"""What is measured of a day before anyone may build on it: mergeable counts over all rows.

`features.quality.measured` makes the tally of a part of a table, which Beam merges; `metrics` turns
the whole day's tally into the figures that the expectations of `pipeline.quality.checks` judge:
null shares, ranges, sets, rejects, duplicates, volume and mix against the days before, freshness.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, time, timedelta
from statistics import median
from zoneinfo import ZoneInfo

from pydantic import Field

from features.catalog import FIRST_ROW
from features.quality.measured import MIXES, Tally
from features.raw.raw_table import LOGS, SNAPSHOTS, TABLES
from features.schemas import SEQUENCE_LENGTH
from infra.config import CENTURY, Config

LONGEST = SEQUENCE_LENGTH
"""Behaviours of a sample's history, at most."""
EVENT_TABLES = (*LOGS, "items")
"""Tables of which every row is measured; of the other snapshots it is known what was refused."""
AMBIGUOUS = "ambiguous_share"
"""Metric of a log that has times which the clock of its zone showed twice: of the rows read."""
ABSENT = "absent_share"
"""Metric, then 1, of what all the days before had and this one has none of: a log, or prices."""
ONLY_CLICKS = "only_clicks_share"
"""Metric, then 1, of samples whose every candidate was clicked: nothing can be told from them."""
REPEATED = "repeated_share"
"""Metric of the ids of samples that stand there again; a moment is one row."""
UNLEVELLED = {"catalog.price_level": "0", "samples.price_level": "None"}
"""By column of a mix, the value that says nothing is known: levels follow the edges of the day
before, so a log that tells its prices by itself begins without any, which is no other mix. And few
moments ask for a price level."""
MANY = {"samples.price_level": 300, "behaviors.price": 100}
"""By column of a mix, the values without which its drift is not told: of fewer purchases chance
alone moves seven levels past `warn_drift`, of fewer prices their powers of two past `max_drift`.
Simulated: lognormal prices, of which the logarithms have a standard deviation of 1, against seven
days of as many. 10 a day stopped 35 % of the days, 20 13 %, 30 4 %, 50 0.2 %, 60 0.05 %; with a
deviation of 1.5, 50 1.2 % and 75 0.06 %."""
COMPARED = 100
"""Rows without which, on the day and on its usual one, a table has no volume ratio; snapshots,
which no chance makes, always have one. Simulated: pages of four follows, their number by chance
around a level that varies by a third. 3 follows a day stopped 28 % of the days, 10 11 %, 30 0.3 %;
from 100 rows on no size stopped more than 0.003 %. What is there no more, `ABSENT` tells."""
OFTEN = 200
"""Rows a day from which the last one of a table says when it broke off; a shop of a few follows a
day has none on many an evening. A day without a late behaviour is asked whatever its size."""
UNITS = {
    "rows": "rows",
    "lost_parts": "files or row groups",
    "longest": "behaviours",
    "volume_ratio": "ratio",
    "drift": "stability index",
    "stale_h": "h",
}
"""By metric; every other one is a share."""


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
    """Rows against the median of the days before, and its inverse for a day too small; none count
    as one. Of all but snapshots only where the day or the median has 100."""
    warn_volume_ratio: float = Field(2.0, gt=1)
    """As `max_volume_ratio`."""
    max_drift: float = Field(0.5, gt=0)
    """Population stability index of the type, scenario and price mix against the days before."""
    warn_drift: float = Field(0.1, gt=0)
    """As `max_drift`."""
    warn_stale_h: float = Field(6.0, gt=0)
    """Hours from the day's last behaviour to its end, of a day of 24."""
    warn_page_stale_h: float = Field(3.0, gt=0)
    """The same of pages, follows and samples, where a day has 200 of them and their times are no
    dates alone; samples end an attribution window before their day."""
    max_stale_h: float = Field(24.0, gt=0)
    """As `warn_stale_h`, of behaviours alone."""
    warn_null_share: float = Field(0.5, ge=0, le=1)
    """Of the optional attributes of an item: category, brand, shop, price. And of a day's users
    and items, where there is a table of them that does not have them."""
    min_joined_share: float = Field(1e-4, ge=0, le=1)
    """Of the requests that behaviours name, those that are pages of the day, and of the clicks that
    name one of these, those on an item of it: with none, nothing is ever clicked. Of a day's
    bookmarks, carts and purchases, those that name a request, where clicks do. And of pages that
    `dupn serve` wrote beside others, those that behaviours name: with none, a page may be there
    twice. 0 asks nothing."""
    warn_changed_share: float = Field(0.02, ge=0, le=1)
    """A day, of the users whom the day's `users` and those before know: whose value of a column is
    another. A birthday comes once in 365 days, a move less often; what changes for more follows
    what users do, and tells samples of the morning what happened in the evening."""
    warn_bad_price_share: float = Field(0.0, ge=0, le=1)
    """Prices of zero or less: some logs write 0 where they do not know."""
    max_bad_price_share: float = Field(0.02, ge=0, le=1)
    """As `warn_bad_price_share`."""
    warn_empty_history_share: float = Field(0.6, ge=0, le=1)
    """Moments of users of whom nothing is known yet."""
    min_rows: int = Field(1, ge=0)
    """Behaviours, or moments, without which a day is not a day."""
    history_days: int = Field(7, ge=3, le=CENTURY)
    """Days before that volume and mix are held against; of fewer than three nothing is asked."""


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


def kept(counts: Mapping[str, int]) -> Tally:
    """Rows of the snapshots, `table.rows`, by what the events step counted of those that came.

    The newest one holds: an empty one, or a tenth of it, would empty profiles.
    """
    found = {name: counts.get(f"{name}_kept") for name in SNAPSHOTS}
    return {f"{name}.rows": float(rows) for name, rows in found.items() if rows is not None}


def metrics(
    tally: Tally,
    counts: Mapping[str, int],
    day: date,
    zone: str,
    before: Sequence[Tally],
    window_ms: int = 0,
) -> dict[str, float]:
    """Figures by name, `table.column.metric`.

    Args:
        tally: the whole day's.
        counts: what the events step counted (`<table>_read`, `_rejected`, ...), of every table.
        day: the day judged.
        zone: the data set's time zone.
        before: tallies of the days before, newest last; may be empty.
        window_ms: attribution window; moments of the day's end are samples of the next one.
    """
    flat, *past = (
        {key.split(":", 1)[1]: value for key, value in one.items()} for one in (tally, *before)
    )
    flat = kept(counts) | flat
    out = (
        _shares(flat) | _against(flat, past) | _absent(flat, past) | _refused(counts) | _gaps(flat)
    )
    if 0 < flat.get("samples.shown", 0) == flat.get("samples.clicked"):
        out[f"samples.{ONLY_CLICKS}"] = 1.0
    out |= _stale(flat, day, zone, window_ms)
    return dict(sorted(out.items()))


def _shares(flat: Tally) -> Tally:
    """Rows, maxima, and every count of bad or absent values as a share.

    Of its table's rows, or of as many values as `.of` counts where a row holds a list of them.
    """
    out: Tally = {}
    for key, value in flat.items():
        rows = flat.get(f"{key.partition('.')[0]}.rows", 0)
        if key.endswith((".rows", ".longest")):
            out[key] = value
        elif key.endswith((".nulls", ".bad", ".repeated")) and (of := flat.get(f"{key}.of", rows)):
            out[f"{key.removesuffix('s')}_share"] = value / of
    return out


def _against(flat: Tally, past: Sequence[Tally]) -> Tally:
    """Volume and mix against the days before; silent until there are three of them."""
    out: Tally = {}
    if len(past) < 3:
        return out
    for table in (*TABLES, "samples", "catalog"):
        rows = f"{table}.rows"
        had = [p[rows] for p in past if rows in p]  # a snapshot need not come every day
        if rows in flat and len(had) >= 3:
            usual = median(had)
            if table in SNAPSHOTS or max(flat[rows], usual) >= COMPARED:
                # none is as one: a limit can be set that lets the day pass
                out[f"{table}.volume_ratio"] = max(flat[rows], 1.0) / max(usual, 1.0)
        for column in (*MIXES.get(table, ()), "price"):
            name = f"{table}.{column}"
            now, then = _mix(flat, name), [_mix(p, name) for p in past]
            counted = min(sum(now.values()), sum(sum(one.values()) for one in then))
            if now and any(then) and counted >= MANY.get(name, 0):
                out[f"{name}.drift"] = stability_index(now, then)
    return out


def _absent(flat: Tally, past: Sequence[Tally]) -> Tally:
    """What the days before, one at least, all had and this one lacks."""
    if "behaviors.rows" not in flat or not past:
        return {}
    lost = [
        one
        for one in LOGS[1:]
        if not flat.get(f"{one}.rows") and all(p.get(f"{one}.rows") for p in past)
    ]
    prices = "behaviors.price"
    unpriced = flat["behaviors.rows"] and not _mix(flat, prices)
    if unpriced and all(_mix(p, prices) for p in past):
        lost.append(prices)
    return {f"{one}.{ABSENT}": 1.0 for one in lost}


def _stale(flat: Tally, day: date, zone: str, window_ms: int) -> Tally:
    """Hours from a table's last row to the end of what the day has of it."""
    begin, end = (
        datetime.combine(day + timedelta(days=n), time(), ZoneInfo(zone)).timestamp() / 3600
        for n in (0, 1)
    )
    out: Tally = {}
    for table in (*LOGS, "samples"):
        last = flat.get(f"{table}.ts.last")
        told = flat.get(f"{table}.rows", 0) >= OFTEN and last != flat.get(f"{table}.ts.first")
        if last is not None and (told or table == "behaviors"):
            until = end - (window_ms / 3.6e6 if table == "samples" else 0)
            # of 24: times may be dates alone, and then a day of 25 hours is not staler than another
            out[f"{table}.ts.stale_h"] = (until - last / 3.6e6) * 24 / (end - begin)
    return out


def _gaps(flat: Tally) -> Tally:
    """Rows that a catalog lacks between the first and the last: embeddings are looked up by row."""
    rows = flat.get("catalog.rows", 0)
    if not rows:
        return {}
    span = flat["catalog.row.last"] - FIRST_ROW + 1
    return {"catalog.row.bad_share": abs(span - rows) / rows}


def _refused(counts: Mapping[str, int]) -> Tally:
    out: Tally = {}
    for table in TABLES:
        read = counts.get(f"{table}_read", 0)
        if read:
            out[f"{table}.reject_share"] = counts.get(f"{table}_rejected", 0) / read
            out[f"{table}.duplicate_share"] = counts.get(f"{table}_duplicate", 0) / read
        if read and (twice := counts.get(f"{table}_ambiguous", 0)):
            out[f"{table}.{AMBIGUOUS}"] = twice / read
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


def _mix(flat: Mapping[str, float], column: str) -> dict[str, float]:
    prefix = f"{column}.mix."
    found = {key.removeprefix(prefix): v for key, v in flat.items() if key.startswith(prefix)}
    found.pop(UNLEVELLED.get(column, ""), None)
    return found
