from datetime import date, timedelta

import numpy as np
import pyarrow as pa
import pytest

from features.property import LocalClock, day_number
from features.questions import moments
from features.questions.moments import Calendar
from features.raw.clock import days_of
from features.schemas import IMPRESSIONS, conform

HOUR = 3_600_000
DAY = Calendar(start_ms=24 * HOUR, end_ms=48 * HOUR, window_ms=HOUR)


def pages(times, requests=None, users=None, items=None):
    count = len(times)
    user = np.array(users or [0] * count, np.int32)
    table = pa.table(
        {
            "user_hash": pa.array(user, pa.uint64()),
            "user_id": [f"u{number}" for number in user],
            "ts": pa.array(times, pa.timestamp("ms", tz="UTC")),
            "request_id": requests or [f"r{i}" for i in range(count)],
            "scenario": pa.array([1] * count, pa.int8()),
            "query": pa.nulls(count, pa.string()),
            "item_ids": items or [["a", "b"]] * count,
        }
    )
    return moments.pages(conform(table, IMPRESSIONS), user)


def names(some):
    return some.table.column("request_id").to_pylist()


@pytest.mark.parametrize("zone", ["America/St_Johns", "Africa/Cairo", "Europe/Berlin"])
def test_a_time_is_of_the_day_that_events_are_of_whatever_the_wall_shows(zone):
    first = date(2010, 11, 1)  # St John's went back from 0:01 of the 7th to 23:01 of the 6th
    days = [first + timedelta(days=n) for n in range(10)]
    ts = LocalClock(zone).midnight_ms(first) + np.arange(0, 10 * 24 * HOUR, 60_000)
    calendars = [Calendar.of(day, LocalClock(zone), HOUR) for day in days]
    found = np.array([calendar.holds(ts) for calendar in calendars])
    expected = days_of(ts, LocalClock(zone)) == np.array([[day_number(day)] for day in days])
    assert (found == expected).all()


def test_a_window_that_ends_at_midnight_is_still_open():
    arrived = moments.sort_out(pages([47 * HOUR - 1, 47 * HOUR]), DAY)
    waiting = arrived.own.take(np.flatnonzero(moments.open_rows(arrived.own, DAY)))
    assert names(waiting) == ["r1"]


def test_late_moments_count_until_the_day_in_which_they_close():
    times = [23 * HOUR - 1, 23 * HOUR, 24 * HOUR - 1, 24 * HOUR, 48 * HOUR - 1, 48 * HOUR]
    arrived = moments.sort_out(pages(times), DAY)
    assert names(arrived.late) == ["r1", "r2"]
    assert names(arrived.own) == ["r3", "r4"]
    assert (arrived.too_late, arrived.too_early) == (1, 1)


def test_a_request_is_asked_once_of_a_user_at_its_first_page():
    times = [22 * HOUR, 24 * HOUR - 1, 24 * HOUR, 25 * HOUR, 26 * HOUR, 25 * HOUR]
    shown = pages(times, ["r", "p", "p", "r", "r", "r"], [0, 0, 0, 0, 0, 1])
    arrived = moments.sort_out(shown, DAY)
    assert (names(arrived.late), arrived.too_late) == (["p"], 1)
    assert arrived.own.ts.tolist() == [25 * HOUR, 25 * HOUR]
    assert arrived.own.user.tolist() == [0, 1]
    assert arrived.repeated_pages == 2


def test_a_page_that_is_logged_as_a_row_an_item_is_one_moment():
    times = [24 * HOUR - 1, 24 * HOUR - 1, 24 * HOUR, 25 * HOUR, 26 * HOUR, 26 * HOUR]
    items = [["a"], ["b"], ["c"], ["a"], ["b"], ["a"]]
    shown = pages(times, ["p", "p", "p", "r", "r", "r"], items=items)
    arrived = moments.sort_out(shown, DAY)
    found = [(names(one), one.table["item_ids"].to_pylist()) for one in (arrived.late, arrived.own)]
    assert found == [(["p"], [["a", "b"]]), (["r"], [["a", "b"]])]  # past midnight nothing is added
    assert arrived.own.ts.tolist() == [25 * HOUR]
    assert (arrived.united_rows, arrived.repeated_pages) == (2, 2)


def test_a_request_of_another_user_is_another_moment():
    """Ids of requests need be unique for a user only."""
    shown = pages([24 * HOUR] * 3, ["1", "2-1", "1"], [2**30, 2**30, 7])
    ids = shown.table.column("sample_id").combine_chunks()
    assert ids.to_pylist() == [
        "page-0000000040000000-1",
        "page-0000000040000000-2-1",
        "page-0000000000000007-1",
    ]
    assert moments.requests_of(ids).to_pylist() == ["1", "2-1", "1"]
    others = pa.array(["follow-0000000000000007-1", "page-1", "click-0000000000000007-1", ""])
    assert moments.requests_of(others).null_count == 4


def test_only_the_first_moment_of_a_day_is_first():
    arrived = moments.sort_out(pages([24 * HOUR, 25 * HOUR]), DAY)
    assert arrived.own.table.column("first").to_pylist() == [True, False]


def icons(times, users):
    shown = pa.table(
        {
            "user_hash": pa.array(users, pa.uint64()),
            "user_id": [f"u{number}" for number in users],
            "ts": pa.array(times, pa.timestamp("ms", tz="UTC")),
            "icon_id": ["x"] * len(users),
            "followed": [True] * len(users),
        }
    )
    return moments.follows(shown, np.array(users, np.int32))


def test_what_waits_since_the_day_before_is_not_asked_again():
    late, own = 24 * HOUR - 1, 25 * HOUR
    shown = moments.of_day(
        pages([late, late, own], ["r", "s", "r"], [0, 0, 0]),
        icons([late, late, own], [0, 1, 1]),
        moments.none(),
    )
    waiting = moments.of_day(pages([late], ["r"]), icons([late], [0]), moments.none())
    arrived = moments.sort_out(shown, DAY).without(waiting)
    assert arrived.late.table.column("sample_id").to_pylist() == [
        "page-0000000000000000-s",
        f"follow-u1-{late}",
    ]
    assert arrived.own.table.column("sample_id").to_pylist() == [f"follow-u1-{own}"]
    assert arrived.own.table.column("first").to_pylist() == [True]
    assert arrived.repeated_pages == 3  # one of them on the day itself


def test_icons_shown_at_one_time_are_one_moment():
    shown = pa.table(
        {
            "user_hash": pa.array([1, 1, 1, 2], pa.uint64()),
            "user_id": ["a", "a", "a", "b"],
            "ts": pa.array([5, 5, 6, 6], pa.timestamp("ms", tz="UTC")),
            "icon_id": ["x", "y", "x", "z"],
            "followed": [True, False, False, True],
        }
    )
    found = moments.follows(shown, np.array([0, 0, 0, 1], np.int32))
    assert found.table.column("icon_ids").to_pylist() == [["x", "y"], ["x"], ["z"]]
    assert found.table.column("icon_followed").to_pylist() == [[1, 0], [0], [1]]
    assert found.user.tolist() == [0, 0, 1]
