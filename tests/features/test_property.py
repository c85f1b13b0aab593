from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from features.property import (
    CODES,
    GAP_EDGES_MIN,
    MINUTE_MS,
    NUM_DAYPARTS,
    NUM_GAPS,
    LocalClock,
    day_number,
    gap_bucket,
    told,
)
from features.schemas import PROPERTIES
from infra.errors import ConfigError
from training.config import ModelConfig


def test_a_gap_is_counted_up_to_the_millisecond():
    five = 5 * MINUTE_MS
    assert gap_bucket(np.array([0, 59_999, MINUTE_MS, five - 1, five])).tolist() == [1, 1, 2, 2, 3]


def test_gap_buckets_are_the_number_of_edges_passed():
    edges = np.array(GAP_EDGES_MIN) * MINUTE_MS
    gaps = np.concatenate([edges - 1, edges, edges + 1, [10**13]])
    expected = [1 + sum(gap >= edge for edge in edges) for gap in gaps.tolist()]
    assert gap_bucket(gaps).tolist() == expected
    assert max(expected) == NUM_GAPS <= 16


@pytest.mark.parametrize(
    "zone", ["Europe/Berlin", "Asia/Shanghai", "America/St_Johns", "Africa/Monrovia", "UTC"]
)
@pytest.mark.parametrize("days", [3, 20_000])
def test_clock_parts_are_those_on_the_wall(zone, days):
    start = datetime(2026, 3, 28, tzinfo=UTC) if days == 3 else datetime(1971, 1, 1, tzinfo=UTC)
    rng = np.random.default_rng(0)
    ts = int(start.timestamp() * 1000) + rng.integers(0, days * 86_400_000, 300)
    parts = LocalClock(zone).parts(ts)
    for index, moment in enumerate(ts.tolist()):
        local = (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=moment)).astimezone(
            ZoneInfo(zone)
        )
        assert parts.day[index] == day_number(local.date())
        assert parts.daypart[index] == local.hour * NUM_DAYPARTS // 24 + 1
        assert parts.weekend[index] == (2 if local.weekday() >= 5 else 1)


def test_a_day_is_as_long_as_its_clock_change_makes_it():
    clock = LocalClock("Europe/Berlin")
    hours = [
        (clock.end_ms(day) - clock.midnight_ms(day)) / 3_600_000
        for day in (date(2026, 3, 28), date(2026, 3, 29), date(2026, 10, 25))
    ]
    assert hours == [24, 23, 25]


@pytest.mark.parametrize(
    "zone", ["America/Vancouver", "Africa/Casablanca", "Pacific/Apia", "Australia/Lord_Howe"]
)
def test_a_day_of_the_clock_begins_at_its_midnight(zone):
    clock = LocalClock(zone)
    days = [date(2026, 10, 20) + timedelta(days=n) for n in range(0, 4_000, 7)]
    starts = np.array([clock.midnight_ms(day) for day in days])
    parts, before = clock.parts(starts), clock.parts(starts - MINUTE_MS)
    numbers = np.array([day_number(day) for day in days])
    assert (parts.day == numbers).all()
    assert (parts.daypart == 1).all()
    assert (before.day == numbers - 1).all()


@pytest.mark.parametrize(
    "zone", ["Europe/Berlin", "Australia/Lord_Howe", "America/St_Johns", "UTC"]
)
def test_a_time_comes_again_if_the_clock_is_put_back_over_it(zone):
    start = int(datetime(2011, 1, 1, tzinfo=UTC).timestamp() * 1000)
    ts = start + np.arange(0, 400 * 86_400_000, 15 * MINUTE_MS)
    local = [datetime.fromtimestamp(one / 1000, ZoneInfo(zone)) for one in ts.tolist()]
    later = [one.replace(fold=1).timestamp() - one.replace(fold=0).timestamp() for one in local]
    expected = [one.fold == 0 and apart > 0 for one, apart in zip(local, later, strict=True)]
    assert LocalClock(zone).comes_again(ts).tolist() == expected
    assert any(expected) == (zone != "UTC")


def test_one_user_and_a_whole_night_are_told_the_same_time():
    clock = LocalClock("Europe/Berlin")
    ts = clock.midnight_ms(date(2026, 10, 24)) + np.arange(0, 3 * 86_400_000, 10_000)
    whole = clock.parts(ts)
    for some in (slice(0, 1), slice(8_000, 9_000), slice(None, None, 999)):
        parts = clock.parts(ts[some])
        assert (parts.day == whole.day[some]).all()
        assert (parts.daypart == whole.daypart[some]).all()
        assert (parts.weekend == whole.weekend[some]).all()


def test_an_unknown_zone_is_named():
    with pytest.raises(ConfigError, match="Mars/Olympus"):
        LocalClock("Mars/Olympus").midnight_ms(date(2026, 1, 1))
    with pytest.raises(ConfigError, match="Mars/Olympus"):
        LocalClock("Mars/Olympus").parts(np.zeros(1, np.int64))


def test_every_property_is_told_has_its_codes_and_a_width_in_one_order():
    clock, none = LocalClock("UTC"), np.empty(0, np.int64)
    nothing = told(none.astype(np.int8), none.astype(np.int8), none, 0, clock)
    assert tuple(nothing) == tuple(CODES) == tuple(ModelConfig().property_dims) == PROPERTIES
    assert ModelConfig().p_dim == 48


def test_one_behaviour_is_told_anew_to_each_moment_that_sees_it():
    clock = LocalClock("Asia/Shanghai")
    friday, saturday = (
        int(datetime(2026, 11, day, hour, tzinfo=UTC).timestamp() * 1000)
        for day, hour in ((27, 15), (27, 16))  # 23:00 and midnight on the wall
    )
    kind, scenario = np.array([1, 4], np.int8), np.array([2, 3], np.int8)
    rows = np.array([1, 0, 1])
    until = np.array([saturday, saturday, saturday + 10 * MINUTE_MS])
    seen = told(kind, scenario, np.array([friday, saturday]), until, clock, rows)
    assert {name: codes.tolist() for name, codes in seen.items()} == {
        "type": [4, 1, 4],
        "scenario": [3, 2, 3],
        "gap": [1, 6, 4],  # 0, 60 and 10 minutes
        "daypart": [1, 8, 1],
        "weekend": [2, 1, 2],
    }


@pytest.mark.parametrize(
    ("zone", "same"),
    [("Europe/Vienna", True), ("Asia/Kolkata", False), ("Europe/London", False), ("UTC", False)],
)
def test_a_clock_of_another_name_shows_the_same_where_it_turns_on_the_same_hours(zone, same):
    assert LocalClock("Europe/Berlin").same_around(LocalClock(zone), date(2026, 7, 1)) == same
    assert LocalClock("UTC").same_around(LocalClock("Etc/UCT"), date(2026, 7, 1))
