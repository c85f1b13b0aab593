"""The first night that is scheduled is the one of the first day, and it has its tasks."""

import pytest

SCHEDULES = {
    "0 2 * * *": "2026-03-28T01:00:00+00:00",
    "0 0 * * *": "2026-03-27T23:00:00+00:00",
    "59 10 * * *": "2026-03-28T09:59:00+00:00",
}


@pytest.mark.parametrize("cron", SCHEDULES)
def test_the_first_night_has_every_task(first_nights, seen, cron):
    tasks = len(seen["dags"]["dupn_nightly_update"]["tasks"])
    assert first_nights[cron] == ["2026-03-27", SCHEDULES[cron], tasks]


@pytest.fixture(scope="module")
def first_nights(in_airflow):
    zone = {"DUPN_NIGHTLY_START": "2026-03-27", "DUPN_NIGHTLY_ZONE": "Europe/Berlin"}
    return in_airflow("first_night.py", *SCHEDULES, **zone)
