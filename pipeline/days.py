"""Which day a run is about: the one function that every DAG asks.

Never `ds`: with a plain cron schedule it names the day on which the run starts, not the day of
the data, and a run that a person triggers without a date has none at all.
"""

from collections.abc import Mapping
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from infra.errors import ConfigError

EARLIEST, LATEST = date(1970, 1, 1), date(2199, 12, 31)
"""Days that may be named: far enough from the ends of the calendar to count on from them."""
LONGEST = 36_500
"""Days in a row that may be asked for."""
BY_INTERVAL = ("scheduled", "backfill")
"""Airflow's types of runs that are made for the day in which their data interval starts."""


def day_of_run(context: Mapping[str, Any], time_zone: str = "UTC") -> date:
    """The day of the data that a run works on.

    In this order: the partition key of the run, the Param `day`, and of a run by schedule or
    Backfill the start of the data interval (in the time zone of the data, because days are). That
    of a run which a person, a task or an asset triggered is about now.

    Args:
        context: Airflow's task context.
        time_zone: of the data set.

    Raises:
        ConfigError: none of the three says a day.
    """
    partition = getattr(context.get("dag_run"), "partition_key", None)
    asked = partition or (context.get("params") or {}).get("day")
    if asked:
        return _parse(str(asked))
    kind = getattr(context.get("dag_run"), "run_type", None)
    if kind is not None and str(getattr(kind, "value", kind)) not in BY_INTERVAL:
        raise ConfigError(
            "this run was triggered, not scheduled, and says no day. Trigger it with the Param day "
            "= YYYY-MM-DD: of a night, the day after the newest of `samples days` in `dupn status`."
        )
    start: datetime | None = context.get("data_interval_start")
    end: datetime | None = context.get("data_interval_end")
    if start is None:
        raise ConfigError("this run has no day. Trigger it with the Param day = YYYY-MM-DD.")
    if start == end:
        raise ConfigError(
            f"the data interval of this run is empty ({start.isoformat()}), so it names no day. "
            "Trigger it with the Param day = YYYY-MM-DD; schedule nights by DUPN_NIGHTLY_START, or "
            "with CronTriggerTimetable(..., interval=timedelta(hours=12))."
        )
    return start.astimezone(ZoneInfo(time_zone)).date()


def span(first: date | str, days: int) -> list[date]:
    """`days` days in order, from the first.

    Raises:
        ConfigError: the first is no day, or some day is out of reach.
    """
    start = _parse(first) if isinstance(first, str) else first
    if days > LONGEST + 1:  # the one after them, to evaluate on
        raise ConfigError(f"{days} days in a row are too many. Ask for at most {LONGEST}.")
    require_reach(start)
    require_reach(start + timedelta(days=days - 1))
    return [start + timedelta(days=i) for i in range(days)]


def require_reach(day: date) -> None:
    """Refuse a day that nobody means.

    Raises:
        ConfigError: it is too near to an end of the calendar.
    """
    if not EARLIEST <= day <= LATEST:
        raise ConfigError(f"{day} is out of reach. Name a day from {EARLIEST} to {LATEST}.")


def _parse(text: str) -> date:
    try:
        day = date.fromisoformat(text)
    except ValueError:
        raise ConfigError(f"{text!r} is not a day. Write it as YYYY-MM-DD.") from None
    require_reach(day)
    return day
