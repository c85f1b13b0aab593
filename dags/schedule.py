"""When nights run, from the environment of the scheduler and the DAG processor.

`DUPN_NIGHTLY_START`: the first day that has a night, YYYY-MM-DD. Without it nothing is scheduled,
and nights are triggered by hand or over REST with the Param `day`. With it every day from there on
has its run, missed ones oldest first. `DUPN_NIGHTLY_CRON` (02:00 by default; before 11:00) and
`DUPN_NIGHTLY_ZONE` (UTC by default; the time zone of the data) say when, on the day after.
`DUPN_NIGHTLY_DATASET` and `DUPN_NIGHTLY_PRESET` are what a scheduled run works with,
`DUPN_NIGHTLY_LOOK_S` is the time between two looks for raw data.
"""

import os
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from airflow.sdk import CronTriggerTimetable

ZONE = os.environ.get("DUPN_NIGHTLY_ZONE", "UTC")
LOOK_S = float(os.environ.get("DUPN_NIGHTLY_LOOK_S", "60"))
DATASET = os.environ.get("DUPN_NIGHTLY_DATASET", "marketplace")
PRESET = os.environ.get("DUPN_NIGHTLY_PRESET", "demo")


def nightly() -> dict[str, Any]:
    """Schedule and start date of a DAG that has one run a data day."""
    first = os.environ.get("DUPN_NIGHTLY_START")
    if not first:
        return {"schedule": None, "start_date": None}
    # The run of day D starts in the morning of D + 1, and twelve hours before that it is D, on days
    # of 23 and 25 hours too. (CronPartitionTimetable names the wrong day where the hour of the
    # schedule is one that the clock leaves out.)
    start = datetime.combine(
        date.fromisoformat(first) + timedelta(days=1), datetime.min.time(), ZoneInfo(ZONE)
    )
    cron = os.environ.get("DUPN_NIGHTLY_CRON", "0 2 * * *")
    half_a_day = timedelta(hours=12)
    timetable = CronTriggerTimetable(cron, timezone=ZONE, interval=half_a_day)
    return {"schedule": timetable, "start_date": start}
