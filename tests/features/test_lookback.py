"""How late a row may come is counted in days of the log's clock."""

from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from features.events import EventsConfig, Window
from features.raw.dataset import parse_description


@pytest.mark.parametrize("day", [date(2026, 3, 30), date(2026, 10, 26)])
def test_the_lookback_begins_at_a_midnight_of_the_clock_whatever_it_did_since(day):
    berlin = parse_description('name = "b"\ntime_zone = "Europe/Berlin"\n', "b.toml")
    window = Window.of(day, berlin, EventsConfig(lookback_days=3))
    local = datetime.fromtimestamp(window.low / 1_000, ZoneInfo(berlin.time_zone))
    assert local.isoformat()[:19] == f"{day - timedelta(days=3)}T00:00:00"


@pytest.mark.parametrize("zone", ["Asia/Shanghai", "America/New_York"])
def test_it_may_reach_back_as_far_as_there_are_days(zone):
    dataset = parse_description(f'name = "b"\ntime_zone = "{zone}"\n', "b.toml")
    assert Window.of(date(2026, 3, 30), dataset, EventsConfig(lookback_days=10**9)).low < 0
