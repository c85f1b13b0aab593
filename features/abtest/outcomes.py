"""The pages whose attribution window closes on a day, and what came of each (Section 6.5).

A page counts on the day in which its window [ts, ts + W] closes, and an action counts for its
user's page whose request it names, if it is about an item of that page and within the window: the
rule of `features.labels`, so that the clicks of a day here are the clicks of the day's samples.
A request shown again counts at its first page, by the rule of `features.questions.moments`; rows
that one page was logged as are one page here too (`features.pages`).
An order is a purchase that counts; its price is what was paid, else the catalog's. A price below
zero (a refund, a wrong sign) does not say what was sold, and one alone may outweigh all sales of an
arm: the order counts, without sales.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from features import labels
from features.catalog import CatalogArrays
from features.pages import united, users_of
from features.schemas import BEHAVIORS, IMPRESSIONS, BehaviorType, conform
from features.timeline import Ints, codes_of

PAGE_COLUMNS = (
    *("user_hash", "user_id", "ts", "request_id", "item_ids", "variant", "model_version", "line"),
    *("price_level", "latency_ms", "failed"),
)
PAGES = pa.schema([IMPRESSIONS.field(name) for name in PAGE_COLUMNS])
ACTION_COLUMNS = ("user_hash", "ts", "item_id", "type", "request_id", "price", "key")
ACTIONS = pa.schema([BEHAVIORS.field(name) for name in ACTION_COLUMNS])


@dataclass(frozen=True, kw_only=True)
class Window:
    """Which pages count on a day, in UTC milliseconds."""

    start_ms: int
    """Midnight."""
    end_ms: int
    window_ms: int
    since_ms: int = -(2**62)
    """The experiment's first midnight: pages before it are not of it."""
    before_ms: int = -(2**62)
    """Midnight of the day before."""

    @property
    def opened_ms(self) -> int:
        """From here on a page of the day before closes on the day."""
        return self.start_ms - self.window_ms


@dataclass(frozen=True)
class Arrived:
    """A bucket's rows of the day before and of the day, in user order each."""

    pages: tuple[pa.Table, pa.Table]
    """Columns PAGES."""
    actions: tuple[pa.Table, pa.Table]
    """Columns ACTIONS; only rows with a request."""


@dataclass(frozen=True)
class Counted:
    """Pages that count on the day, and what came of each."""

    pages: pa.Table
    """Columns PAGES."""
    shown: Ints
    clicks: Ints
    orders: Ints
    sales: NDArray[np.float64]
    true_level: NDArray[np.int8]
    """Of the topmost item bought whose level is known; 0: none was."""
    counts: Mapping[str, int]
    """What was left out: pages, and orders of which no sales are known."""


def count(arrived: Arrived, window: Window, catalogs: Sequence[CatalogArrays]) -> Counted:
    """The pages whose window closes on the day, with their outcomes.

    Args:
        arrived: rows of the day before and of the day.
        window: of the day.
        catalogs: of the day before and of the day; a page is looked up in that of its own day.
    """
    pages, counts = _closing(arrived.pages, window)
    ts = milliseconds(pages)
    shown = pages["item_ids"].combine_chunks().value_lengths().to_numpy().astype(np.int64)
    actions, page = _about(pages, ts, arrived.actions, window.window_ms)
    hit, place = np.unique(page, return_inverse=True)
    offered = pages["item_ids"].take(pa.array(hit)).combine_chunks()
    owner = np.repeat(np.arange(len(hit)), offered.value_lengths().to_numpy())
    codes = codes_of(offered.flatten(), actions["item_id"])
    key = np.concatenate([owner, place]) * np.int64(len(codes.values) + 1) + codes.codes
    pairs = labels.match(key[: len(owner)], key[len(owner) :])
    kind = actions["type"].to_numpy()[pairs.action]
    bought = kind == BehaviorType.PURCHASE
    clicked = np.unique(pairs.candidate[kind == BehaviorType.CLICK])
    paid = np.unique(pairs.action[bought])  # in their order, so that sums are the same
    today = (ts[hit] >= window.start_ms).astype(np.int8)
    levels, prices = _looked_up(codes.values, catalogs)
    rows = len(ts)
    item = codes.codes[len(owner) :][paid]
    price = _price(actions["price"].to_numpy()[paid], prices[today[place[paid]], item])
    basket = np.unique(pairs.candidate[bought])[::-1]  # backwards: the topmost is written last
    level = levels[today[owner[basket]], codes.codes[basket]]
    basket, level = basket[level > 0], level[level > 0]
    true_level = np.zeros(rows, np.int8)
    true_level[hit[owner[basket]]] = level
    return Counted(
        pages=pages,
        shown=shown,
        clicks=np.bincount(hit[owner[clicked]], minlength=rows),
        orders=np.bincount(hit[place[paid]], minlength=rows),
        sales=np.asarray(
            np.bincount(hit[place[paid]], np.where(price > 0, price, 0.0), minlength=rows),
            np.float64,
        ),
        true_level=true_level,
        counts={
            **counts,
            "unpriced_orders": int(np.isnan(price).sum()),
            "orders_below_zero": int((price < 0).sum()),
        },
    )


def _closing(arrived: tuple[pa.Table, pa.Table], window: Window) -> tuple[pa.Table, dict[str, int]]:
    """Pages whose window closes on the day, each request of a user once.

    What is left out is told of pages of an arm alone, which is what it is held against; too late is
    what would have counted on a day before.
    """
    ts = milliseconds(arrived[1])
    late = (ts >= window.since_ms) & (ts < window.opened_ms)
    too_late = int((late & _of_an_arm(arrived[1])).sum())
    own = _united(_between(arrived[1], window.opened_ms, window.end_ms), window.start_ms)
    # A page that closes after the day is shown last: no other one repeats it here.
    own = _between(own, window.opened_ms, window.end_ms - window.window_ms)
    waiting = _waiting(arrived[0], window)
    whole = _one([waiting, own], PAGES)
    ts = milliseconds(whole)
    closes = ts >= max(window.opened_ms, window.since_ms)
    kept = closes & _asked(whole, ts, waiting.num_rows, window)
    repeated = closes & ~kept & _of_an_arm(whole)
    left = {"too_late": too_late, "repeated_pages": int(repeated.sum())}
    if not kept.all():
        whole = whole.filter(pa.array(kept))
    return whole.combine_chunks(), left


def _of_an_arm(pages: pa.Table) -> NDArray[np.bool_]:
    """Pages of an experiment's arm, whichever."""
    return pc.is_valid(pages["variant"]).to_numpy()


def _waiting(pages: pa.Table, window: Window) -> pa.Table:
    """Pages that arrived the day before and were open at its end, and those of their requests."""
    known = _between(pages, window.before_ms - window.window_ms, window.start_ms)
    known = _united(known, window.before_ms)
    is_open = pa.array(milliseconds(known) >= window.opened_ms)
    named = known.filter(is_open)["request_id"].combine_chunks()
    return known.filter(pc.is_in(known["request_id"], named))


def _united(pages: pa.Table, midnight_ms: int) -> pa.Table:
    """Less the rows whose items stand on an earlier page now; one that adds none is told apart."""
    day = (milliseconds(pages) >= midnight_ms).astype(np.int64)
    found = united(pages, users_of(pages), day)
    return found.table.filter(pa.array(~found.added)) if found.added.any() else found.table


def _asked(pages: pa.Table, ts: Ints, waiting: int, window: Window) -> NDArray[np.bool_]:
    """Whether a page asks its request, by the rule of `features.questions.moments`.

    A request is asked at the first of its pages that arrive on a day, also where only a later one
    closes on the day that is read out, and not again where one waits since the day before.

    Args:
        pages: of the day before, then of the day.
        ts: of each.
        waiting: how many are of the day before.
        window: of the day.
    """
    request = _requests(pages)
    if np.bincount(request, minlength=1).max() <= 1:  # almost always; then no sort
        return np.ones(len(request), np.bool_)
    old = _first(request[:waiting], ts[:waiting])
    still_open = old & (ts[:waiting] >= window.opened_ms)
    own = _first(request[waiting:], ts[waiting:])
    own &= ~np.isin(request[waiting:], request[:waiting][still_open])
    return np.concatenate([old, own])


def _first(request: Ints, ts: Ints) -> NDArray[np.bool_]:
    """The earliest row of each request."""
    order = np.argsort(ts, kind="stable")
    first = np.zeros(len(request), np.bool_)
    first[order[np.unique(request[order], return_index=True)[1]]] = True
    return first


def _between(pages: pa.Table, start_ms: int, end_ms: int) -> pa.Table:
    """Pages of [start, end)."""
    ts = milliseconds(pages)
    return pages.filter(pa.array((ts >= start_ms) & (ts < end_ms)))


def _about(
    pages: pa.Table, ts: Ints, arrived: tuple[pa.Table, pa.Table], window_ms: int
) -> tuple[pa.Table, Ints]:
    """Actions within the window of a page that they name, each once, and the page's row."""
    actions = _one(arrived, ACTIONS)
    named = _requests(pages, actions)
    row = np.full(int(named.max(initial=0)) + 1, -1, np.int64)
    row[named[: len(ts)]] = np.arange(len(ts))
    page = row[named[len(ts) :]]
    found = np.flatnonzero(page >= 0)
    page, some = page[found], actions.take(pa.array(found))
    since = milliseconds(some) - ts[page]
    keep = (since >= 0) & (since <= window_ms)
    once = np.zeros(len(keep), np.bool_)
    once[np.unique(some["key"].to_numpy(), return_index=True)[1]] = True
    kept = np.flatnonzero(keep & once)
    return some.take(pa.array(kept)), page[kept]


def _requests(*tables: pa.Table) -> Ints:
    """A number for each user and request, row after row: ids need be unique for a user only."""
    request = codes_of(*(table["request_id"] for table in tables))
    users = np.concatenate([table["user_hash"].to_numpy() for table in tables])
    user = np.unique(users, return_inverse=True)[1].astype(np.int64)
    pairs = user * (len(request.values) + 1) + request.codes
    return np.unique(pairs, return_inverse=True)[1].astype(np.int64)


def _one(tables: Sequence[pa.Table], schema: pa.Schema) -> pa.Table:
    """One after the other; an empty one may be coded otherwise than its neighbour."""
    some = [table for table in tables if table.num_rows] or tables[:1]
    if any(table.schema != some[0].schema for table in some):  # one is of before a column was there
        some = [conform(table, schema) for table in some]
    return pa.concat_tables(some).unify_dictionaries()


def _looked_up(
    items: pa.Array, catalogs: Sequence[CatalogArrays]
) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Level and price of the items in each catalog: [catalogs, items]."""
    rows = [catalog.rows_of_distinct(items) for catalog in catalogs]
    pairs = list(zip(catalogs, rows, strict=True))
    return (
        np.stack([catalog.price_level[row] for catalog, row in pairs]),
        np.stack([catalog.price[row] for catalog, row in pairs]),
    )


def _price(paid: NDArray[np.floating], listed: NDArray[np.floating]) -> NDArray[np.float64]:
    """What was paid, else what the catalog asks; NaN where neither is known."""
    return np.where(np.isnan(paid), listed, paid).astype(np.float64)


def milliseconds(table: pa.Table) -> Ints:
    """UTC milliseconds of `ts`."""
    return table["ts"].cast(pa.int64()).to_numpy()
