"""Moments: when a question is asked of a user, before anything is looked up.

A page that was shown is a moment, so are icons shown at one time. Logs without impressions get
*derived* moments: each click asks "would the user click this?", and each first bookmark or cart
of an item in its session may ask for the price level of the purchase it leads to.

A moment belongs to the local day of its own time and is published on the day in which its window
[ts, ts + W] closes. One that arrives after that day is counted and left out. A request is asked
once, of the page that its rows of a day are (`features.pages`), as `features.abtest.outcomes`
counts it: a row that adds nothing to it is counted and left out, and so is one of the next day. So
are icons that wait since the day before and are sent again.
"""

from dataclasses import dataclass, replace
from datetime import date

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from features.labels import first_touches
from features.pages import first_rows, united
from features.property import LocalClock
from features.schemas import MOMENTS, BehaviorType, MomentKind, Scenario
from features.timeline import Codes, Ints, Timeline, Users, codes_of

PAGE_COLUMNS = ("user_hash", "user_id", "ts", "request_id", "scenario", "query", "item_ids")
"""What `pages` reads of impressions."""


@dataclass(frozen=True)
class Moments:
    """Moments of a bucket and, per row, the number of the user."""

    table: pa.Table
    user: Codes

    @property
    def ts(self) -> Ints:
        """UTC milliseconds."""
        return self.table.column("ts").to_numpy()

    def take(self, rows: Ints) -> "Moments":
        """Some rows, in the order asked."""
        return Moments(self.table.take(pa.array(rows)), self.user[rows])


@dataclass(frozen=True)
class Calendar:
    """Where the moments of a day stand: `horizon` is W before midnight."""

    start_ms: int
    end_ms: int
    window_ms: int

    @classmethod
    def of(cls, day: date, clock: LocalClock, window_ms: int) -> "Calendar":
        """The calendar of a local day."""
        return cls(clock.midnight_ms(day), clock.end_ms(day), window_ms)

    def holds(self, ts: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Whether a time is of the day: after its first midnight, also where the wall goes back."""
        return (ts >= self.start_ms) & (ts < self.end_ms)

    @property
    def horizon_ms(self) -> int:
        """From here on a moment of the day closes after midnight."""
        return self.end_ms - self.window_ms


@dataclass(frozen=True)
class Arrived:
    """The day's moments by where they belong."""

    own: Moments
    """Of the day itself, open ones included; `first` is set."""
    late: Moments
    """Of the day before, arrived in the day in which they close."""
    too_late: int
    """Arrived after the day in which they closed."""
    too_early: int
    """Their own day has not begun yet."""
    united_rows: int
    """Their items stand on the page of an earlier row of the same user, request and day."""
    repeated_pages: int
    """Their request, or the time at which icons were shown, is that of an earlier page of the same
    user, and they add nothing to it."""

    def without(self, asked: Moments) -> "Arrived":
        """Less the pages that are one of `asked`, which wait since the day before."""
        if not len(asked.user):
            return self
        parts = (asked, self.late, self.own)
        names = codes_of(*(_page_name(one.table) for one in parts))
        first = first_rows(np.concatenate([one.user for one in parts]), names.codes)
        again = first != np.arange(len(first))
        late, own = np.split(again[len(asked.user) :], [len(self.late.user)])
        if not (late.any() or own.any()):
            return self
        mine = self.own.take(np.flatnonzero(~own))
        return replace(
            self,
            own=Moments(_with_first(mine), mine.user),
            late=self.late.take(np.flatnonzero(~late)),
            repeated_pages=self.repeated_pages + int(late.sum()) + int(own.sum()),
        )


def sort_out(moments: Moments, calendar: Calendar) -> Arrived:
    """Moments that arrived on a day, in (user, time) order, by their own day."""
    ts = moments.ts
    early = ts >= calendar.end_ms
    own = (ts >= calendar.start_ms) & ~early
    late = (ts < calendar.start_ms) & (ts >= calendar.start_ms - calendar.window_ms)
    found = united(moments.table, moments.user, np.where(own, 1, np.where(late, 0, -1)))
    moments = Moments(found.table, moments.user)
    mine = moments.take(np.flatnonzero(own & ~found.again))
    return Arrived(
        own=Moments(_with_first(mine), mine.user),
        late=moments.take(np.flatnonzero(late & ~found.again)),
        too_late=int((~own & ~late & ~early).sum()),
        too_early=int(early.sum()),
        united_rows=int(found.added.sum()),
        repeated_pages=int((found.again & ~found.added).sum()),
    )


def open_rows(own: Moments, calendar: Calendar) -> NDArray[np.bool_]:
    """Which of the day's own moments are still open at midnight."""
    return own.ts >= calendar.horizon_ms


def of_day(pages: Moments, follows: Moments, derived: Moments) -> Moments:
    """All moments in (user, time, sample_id) order."""
    parts = [pages, follows, derived]
    table = pa.concat_tables([part.table for part in parts])
    user = np.concatenate([part.user for part in parts])
    whole = Moments(table, user)
    return whole.take(order(whole))


def order(moments: Moments) -> Ints:
    """Row numbers in (user, time, sample_id) order."""
    keys = pa.table(
        {
            "user": pa.array(moments.user),
            "ts": moments.table.column("ts"),
            "id": moments.table.column("sample_id"),
        }
    )
    by = [("user", "ascending"), ("ts", "ascending"), ("id", "ascending")]
    return pc.sort_indices(keys, sort_keys=by).to_numpy().astype(np.int64)


def page_ids(user_hash: NDArray[np.uint64], request: pa.ChunkedArray) -> pa.ChunkedArray:
    """`page-<user, 16 hex digits>-<request>`: a request id need be unique for its user only."""
    return pc.binary_join_element_wise("page", _hex(user_hash), request, "-")


def requests_of(sample_ids: pa.Array) -> pa.Array:
    """The request of every `page_ids`; null for other moments."""
    is_page = pc.match_substring_regex(sample_ids, "^page-[0-9a-f]{16}-")
    return pc.if_else(is_page, pc.utf8_slice_codeunits(sample_ids, len("page-") + 17), None)


def pages(impressions: pa.Table, user: Codes) -> Moments:
    """One moment per row of impressions; `sort_out` makes one a page of them."""
    request = _text(impressions.column("request_id"))
    columns = {
        **_whose(impressions),
        "sample_id": page_ids(impressions.column("user_hash").to_numpy(), request),
        "kind": _constant(MomentKind.PAGE, impressions.num_rows),
        "scenario": impressions.column("scenario"),
        "query": _text(impressions.column("query")),
        "request_id": request,
        "item_ids": impressions.column("item_ids"),
    }
    return Moments(_moments(columns), user)


def follows(shown: pa.Table, user: Codes) -> Moments:
    """One moment per user and time at which icons were shown."""
    ts = shown.column("ts").cast(pa.int64()).to_numpy()
    new = np.append(True, (user[1:] != user[:-1]) | (ts[1:] != ts[:-1]))[: len(ts)]
    starts = np.flatnonzero(new)
    offsets = pa.array(np.append(starts, len(ts)).astype(np.int32))
    icons = _text(shown.column("icon_id")).combine_chunks()
    followed = shown.column("followed").cast(pa.int8()).combine_chunks()
    head = shown.take(pa.array(starts))
    ids = pc.binary_join_element_wise(
        "follow", _text(head.column("user_id")), _digits(ts[starts]), "-"
    )
    columns = {
        **_whose(head),
        "sample_id": ids,
        "kind": _constant(MomentKind.FOLLOW, len(starts)),
        "scenario": _constant(Scenario.UNKNOWN, len(starts)),
        "icon_ids": pa.ListArray.from_arrays(offsets, icons),
        "icon_followed": pa.ListArray.from_arrays(offsets, followed),
    }
    return Moments(_moments(columns), user[starts])


def derived(timeline: Timeline, users: Users, click_share: float) -> Moments:
    """Clicks of the day, and first bookmarks and carts of an item in its session."""
    click = timeline.today & (timeline.type == BehaviorType.CLICK)
    if click_share < 1:
        click &= _uniform(timeline.key) < click_share
    touch = timeline.today & first_touches(timeline)
    touch &= (timeline.type != BehaviorType.CLICK) & (timeline.type != BehaviorType.PURCHASE)
    rows = np.flatnonzero(click | touch)
    kind = np.where(click[rows], MomentKind.CLICK, MomentKind.TOUCH).astype(np.int8)
    user = timeline.user[rows]
    names = pa.array(["", "", "", "click", "touch"])
    one = pa.array(np.arange(len(rows) + 1, dtype=np.int32))
    items = timeline.items.take(pa.array(timeline.item[rows]))
    columns = {
        "user_hash": pa.array(users.hashes[user]),
        "user_id": users.ids.take(pa.array(user)),
        "ts": pa.array(timeline.ts[rows]),
        "sample_id": pc.binary_join_element_wise(
            names.take(pa.array(kind)), _hex(timeline.key[rows]), "-"
        ),
        "kind": pa.array(kind),
        "scenario": pa.array(timeline.scenario[rows]),
        "key": pa.array(timeline.key[rows]),
        "item_ids": pa.ListArray.from_arrays(one, items),
    }
    return Moments(_moments(columns), user)


def none() -> Moments:
    """No moments."""
    return Moments(MOMENTS.empty_table(), np.empty(0, np.int32))


def with_histories(moments: Moments, timeline: Timeline) -> pa.Table:
    """The moments as OPEN: histories cut from what the timeline holds."""
    spans = timeline.before(moments.user, moments.ts)
    rows = spans.rows()
    offsets = pa.array(np.append(0, np.cumsum(spans.length)).astype(np.int32))
    values = {
        "seq_item_id": timeline.items.take(pa.array(timeline.item[rows])),
        "seq_ts": pa.array(timeline.ts[rows]),
        "seq_type": pa.array(timeline.type[rows]),
        "seq_scenario": pa.array(timeline.scenario[rows]),
    }
    table = moments.table
    for name, flat in values.items():
        table = table.append_column(name, pa.ListArray.from_arrays(offsets, flat))
    return table


def _page_name(table: pa.Table) -> pa.ChunkedArray:
    """What a page is called, one of icons too, by request or time; null where nothing was shown.

    A derived moment that comes again has gone with its behaviour, which the history knows.
    """
    derived = pc.greater(table.column("kind"), pa.scalar(int(MomentKind.FOLLOW), pa.int8()))
    return pc.if_else(derived, None, table.column("sample_id"))


def _with_first(moments: Moments) -> pa.Table:
    """Rows come in (user, time) order: the first of each user is the user's first of the day."""
    first = np.append(True, moments.user[1:] != moments.user[:-1])[: len(moments.user)]
    at = MOMENTS.get_field_index("first")
    return moments.table.set_column(at, MOMENTS.field(at), pa.array(first))


def _moments(columns: dict[str, pa.Array | pa.ChunkedArray]) -> pa.Table:
    length = len(columns["sample_id"])
    columns.setdefault("key", pa.array(np.zeros(length, np.uint64)))
    columns.setdefault("first", pa.array(np.zeros(length, bool)))
    filled = [
        columns[field.name].cast(field.type)
        if field.name in columns
        else pa.nulls(length, field.type)
        for field in MOMENTS
    ]
    return pa.table(filled, schema=MOMENTS)


def _whose(table: pa.Table) -> dict[str, pa.ChunkedArray]:
    return {
        "user_hash": table.column("user_hash"),
        "user_id": _text(table.column("user_id")),
        "ts": table.column("ts").cast(pa.int64()),
    }


def _text(column: pa.ChunkedArray) -> pa.ChunkedArray:
    return column.cast(pa.string())


def _constant(value: int, length: int) -> pa.Array:
    return pa.array(np.full(length, value, np.int8))


def _digits(values: Ints) -> pa.Array:
    return pa.array(values).cast(pa.string())


def _hex(keys: NDArray[np.uint64]) -> pa.Array:
    """Sixteen hex digits each."""
    digits = np.frombuffer(b"0123456789abcdef", np.uint8)
    data = keys.astype(">u8").view(np.uint8).reshape(-1, 8)
    text = np.stack([digits[data >> 4], digits[data & 15]], axis=2).reshape(-1, 16)
    whole = pa.py_buffer(np.ascontiguousarray(text).tobytes())
    offsets = pa.py_buffer((np.arange(len(keys) + 1, dtype=np.int32) * 16).tobytes())
    return pa.StringArray.from_buffers(len(keys), offsets, whole)


def _uniform(keys: NDArray[np.uint64]) -> NDArray[np.float64]:
    """Numbers in [0, 1) that depend on nothing but the key."""
    mixed = keys * np.uint64(0x9E3779B97F4A7C15)
    return (mixed >> np.uint64(11)).astype(np.float64) * 2.0**-53
