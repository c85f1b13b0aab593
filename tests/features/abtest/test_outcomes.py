"""Which pages count on a day, and which of an experiment are said to have come too late."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from features import catalog
from features.abtest import outcomes
from features.abtest.outcomes import ACTIONS, PAGE_COLUMNS, PAGES, Arrived, Window
from features.questions import moments
from features.questions.moments import Calendar
from features.schemas import IMPRESSIONS, BehaviorType

HOUR = timedelta(hours=1)
START = datetime(2026, 3, 4, tzinfo=UTC)


def late(ts, variant, since):
    """How many are too late of one page that arrives on the day."""
    told = {
        "user_hash": 7, "user_id": "u", "ts": ts, "request_id": "r", "item_ids": ["i"],
        "variant": variant,
    }  # fmt: skip
    page = pa.Table.from_pylist([told], PAGES)
    start, first = (round(one.timestamp() * 1000) for one in (START, since))
    window = Window(start_ms=start, end_ms=start + 86_400_000, window_ms=3_600_000, since_ms=first)
    none = ACTIONS.empty_table()
    arrived = Arrived((PAGES.empty_table(), page), (none, none))
    found = outcomes.count(arrived, window, (catalog.empty(), catalog.empty()))
    assert len(found.pages) == (ts >= START - HOUR)
    return found.counts["too_late"]


@pytest.mark.parametrize(
    ("ts", "variant", "since", "counted"),
    [
        (START - 2 * HOUR, "new", START - 24 * HOUR, 1),
        (START - 2 * HOUR, None, START - 24 * HOUR, 0),  # nobody's arm
        (START - 25 * HOUR, "new", START - 24 * HOUR, 0),  # of before the experiment
        (START + HOUR, "new", START, 0),
    ],
)
def test_only_pages_of_an_arm_and_of_the_experiments_time_are_too_late(ts, variant, since, counted):
    assert late(ts, variant, since) == counted


H = 3_600_000
NIGHT = Window(start_ms=48 * H, end_ms=72 * H, window_ms=6 * H, before_ms=24 * H)
"""Of the third day; the day before is the second."""


def shown(rows, variant="old"):
    """(user, request, hour) and items, else "i", as impressions, sorted as published events are."""
    told = [
        {"user_hash": user, "user_id": f"u{user}", "ts": hour * H, "request_id": f"r{request}"}
        | {"item_ids": items or ["i"], "scenario": 1, "variant": variant}
        for user, request, hour, *items in sorted(rows)
    ]
    return pa.Table.from_pylist(told, IMPRESSIONS)


def arrival(rows, day):
    """What `sequences` and `samples` make of pages that arrive on a day."""
    table = shown(rows)
    user = table["user_hash"].to_numpy().astype(np.int32)
    whole = moments.of_day(moments.pages(table, user), moments.none(), moments.none())
    calendar = Calendar(day * 24 * H, (day + 1) * 24 * H, NIGHT.window_ms)
    return moments.sort_out(whole, calendar), calendar


def asked(yesterday, today):
    """User, request, items and time of the pages among the samples of the third day."""
    old, before = arrival(yesterday, 1)
    new, calendar = arrival(today, 2)
    waiting = old.own.take(np.flatnonzero(moments.open_rows(old.own, before)))
    new = new.without(waiting)
    own = new.own.take(np.flatnonzero(~moments.open_rows(new.own, calendar)))
    return sorted(row for one in (waiting, new.late, own) for row in names(one.table))


def names(table):
    columns = (table[name].cast(pa.string()).to_pylist() for name in ("user_id", "request_id"))
    items = ("".join(some) for some in table["item_ids"].to_pylist())
    return list(zip(*columns, items, table["ts"].cast(pa.int64()).to_pylist(), strict=True))


def counted(yesterday, today, variant="old"):
    tables = tuple(shown(rows, variant).select(PAGE_COLUMNS) for rows in (yesterday, today))
    none = ACTIONS.empty_table()
    return outcomes.count(Arrived(tables, (none, none)), NIGHT, (catalog.empty(), catalog.empty()))


page = st.tuples(
    st.integers(0, 1),
    st.integers(0, 1),
    st.integers(5, 25).map(lambda n: 3 * n),
    st.sampled_from("ij"),
)


@given(st.lists(page, max_size=8), st.lists(page, max_size=8))
@example([], [(0, 0, 65, "i"), (0, 0, 71, "j")])  # a row an item, and midnight's window between
@example([(0, 0, 34, "i"), (0, 0, 47, "j")], [])
@example([(0, 0, 47, "i")], [(0, 0, 47, "j")])  # of a page that waits nothing is added any more
@example([], [(0, 0, 50), (0, 0, 71)])  # the second page closes on the day after
@example([(0, 0, 34), (0, 0, 47)], [])  # so it did here: it is no page of this day
@example([(0, 0, 34), (0, 0, 47)], [(0, 0, 50)])
@example([(0, 0, 17), (0, 0, 47)], [(0, 0, 46)])  # what came too late asks nothing
def test_pages_that_count_are_the_samples_of_the_day(yesterday, today):
    assert sorted(names(counted(yesterday, today).pages)) == asked(yesterday, today)


def test_a_page_shown_again_in_the_evening_does_not_count_on_the_next_day():
    rows = [(0, 0, 34), (0, 0, 47), (0, 1, 47)]
    night = counted(rows, [])
    assert names(night.pages) == [("u0", "r1", "i", 47 * H)]
    assert night.counts["repeated_pages"] == 1
    nobodys = counted(rows, [], None)  # of another surface: no arm's pages, and no loss of theirs
    assert len(nobodys.pages) == 1
    assert nobodys.counts["repeated_pages"] == 0


def test_a_page_that_is_logged_as_a_row_an_item_counts_with_all_of_them():
    """And none of its rows is a page that was sent again."""
    rows = [(0, 0, 50 + n, item) for n, item in enumerate("abc")]
    for found in (counted([], rows), counted([], [*rows, (0, 0, 53, "a")])):
        assert names(found.pages) == [("u0", "r0", "abc", 50 * H)]
        assert found.shown.tolist() == [3]
    assert found.counts["repeated_pages"] == 1


def test_an_item_that_a_page_shows_twice_is_one_display_and_clicked_once():
    """Sponsored and found, say: as statistics and samples have it."""
    told = {"user_hash": 7, "ts": 50 * H, "item_id": "a", "type": BehaviorType.CLICK, "key": 1}
    click = pa.Table.from_pylist([told | {"request_id": "r0"}], ACTIONS)
    page = shown([(7, 0, 49, "a", "b", "a")]).select(PAGE_COLUMNS)
    arrived = Arrived((page[:0], page), (click[:0], click))
    found = outcomes.count(arrived, NIGHT, (catalog.empty(), catalog.empty()))
    assert (found.shown.tolist(), found.clicks.tolist()) == ([2], [1])


def bought(*prices):
    """A page whose user buys its item at these prices, one after the other."""
    rows = [
        {
            "user_hash": 7, "ts": (50 * H) + n, "item_id": "i", "type": BehaviorType.PURCHASE,
            "request_id": "r0", "price": price, "key": n,
        }
        for n, price in enumerate(prices)
    ]  # fmt: skip
    none, page = ACTIONS.empty_table(), shown([(7, 0, 49)]).select(PAGE_COLUMNS)
    arrived = Arrived((page[:0], page), (none, pa.Table.from_pylist(rows, ACTIONS)))
    return outcomes.count(arrived, NIGHT, (catalog.empty(), catalog.empty()))


def test_an_order_of_a_price_below_zero_counts_without_sales():
    """Of a refund or a wrong sign; one alone outweighed all sales of an arm."""
    found = bought(3.0, -1e7, None, 0.0, 4.0)
    assert (found.orders.tolist(), found.sales.tolist()) == ([5], [7.0])
    assert found.counts["unpriced_orders"] == found.counts["orders_below_zero"] == 1
