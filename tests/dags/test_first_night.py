"""The first night that is scheduled is the one of the first day, and it has its tasks."""

from datetime import date, timedelta

import pytest

FIRST = date(2026, 3, 27)
SCHEDULES = {
    "0 2 * * *": "2026-03-28T01:00:00+00:00",
    "0 0 * * *": "2026-03-27T23:00:00+00:00",
    "59 10 * * *": "2026-03-28T09:59:00+00:00",
}


@pytest.mark.parametrize("cron", SCHEDULES)
def test_the_first_night_has_every_task(first_nights, seen, cron):
    tasks = len(seen["dags"]["dupn_nightly_update"]["tasks"])
    found = first_nights[cron]
    assert (found["days"][0], found["start"]) == (str(FIRST), SCHEDULES[cron])
    assert found["tasks"] == tasks


@pytest.mark.parametrize("cron", SCHEDULES)
def test_every_day_has_its_night_where_the_clock_goes_forward_or_back(first_nights, cron):
    assert first_nights[cron]["days"] == [str(FIRST + timedelta(n)) for n in range(240)]


@pytest.fixture(scope="module")
def first_nights(in_airflow):
    zone = {"DUPN_NIGHTLY_START": str(FIRST), "DUPN_NIGHTLY_ZONE": "Europe/Berlin"}
    return in_airflow("first_night.py", *SCHEDULES, **zone)
