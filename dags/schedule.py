"""When nights run, from the environment of the scheduler, the DAG processor and every worker.

`DUPN_NIGHTLY_START`: the first day that has a night, YYYY-MM-DD. Without it nothing is scheduled,
and nights are triggered by hand or over REST with the Param `day`. With it every day from there on
has its run, missed ones oldest first. `DUPN_NIGHTLY_CRON` (02:00 by default; before 11:00) and
`DUPN_NIGHTLY_ZONE` (by default the time zone of the data set) say when, on the day after.
`DUPN_NIGHTLY_DATASET` and `DUPN_NIGHTLY_PRESET` are what a scheduled run works with, and what every
form says at first (`dupn up` sets them). `DUPN_NIGHTLY_LOOK_S` is the time between two looks for
raw data. An empty variable counts as one that is not set.

A scheduled run brings no Params along: a worker reads the DAG file itself, and takes them from its
own environment.
"""

import os
import tomllib
from collections.abc import Callable, Mapping
from datetime import date, datetime, time, timedelta
from importlib import resources
from pathlib import Path
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

from airflow.sdk import CronTriggerTimetable
from croniter import croniter

from infra.errors import ConfigError
from pipeline.days import BY_INTERVAL

T = TypeVar("T")

SAYS = {"dataset": "DUPN_NIGHTLY_DATASET", "preset": "DUPN_NIGHTLY_PRESET"}
"""Where a run whose `conf` does not say it has a Param from."""
_DAY_S = 86400
_LOOK = "a number of seconds, above 0 and at most 86400"


def _said(name: str, default: str, kind: Callable[[str], T], form: str) -> T:
    text = os.environ.get(name) or default
    try:
        return kind(text)
    except (ValueError, KeyError):
        raise ConfigError(f"{name} = {text!r} is not {form}. Set it anew.") from None


def zone_of(dataset: str) -> str:
    """The time zone that a data set's description names; UTC where there is none to be read.

    Read as plain TOML, because DAG files import nothing heavy, and whatever it holds: what is wrong
    with a description is said by the task that reads it.
    """
    folder = Path(str(resources.files("infra"))) / "datasets"
    path = Path(dataset) if dataset.endswith(".toml") else folder / f"{dataset}.toml"
    try:
        return ZoneInfo(tomllib.loads(path.read_text("utf-8-sig"))["time_zone"]).key
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return "UTC"


def _seconds(text: str) -> float:
    """What Airflow takes as the time between two looks."""
    seconds = float(text)
    if not 0 < seconds <= _DAY_S:  # nan is none of these
        raise ValueError
    return seconds


DATASET = os.environ.get("DUPN_NIGHTLY_DATASET") or "marketplace"
PRESET = os.environ.get("DUPN_NIGHTLY_PRESET") or "demo"
ZONE = _said("DUPN_NIGHTLY_ZONE", zone_of(DATASET), ZoneInfo, "a time zone like Europe/Berlin").key
LOOK_S = _said("DUPN_NIGHTLY_LOOK_S", "60", _seconds, _LOOK)


def nightly() -> dict[str, Any]:
    """Schedule and start date of a DAG that has one run a data day."""
    if not os.environ.get("DUPN_NIGHTLY_START"):
        return {"schedule": None, "start_date": None}
    first = _said("DUPN_NIGHTLY_START", "", date.fromisoformat, "a day like 2026-03-01")
    # The run of day D starts in the morning of D + 1, and twelve hours before that it is D, on days
    # of 23 and 25 hours too. (CronPartitionTimetable names the wrong day where the hour of the
    # schedule is one that the clock leaves out.) Airflow gives a run no task whose start date lies
    # after those twelve hours: 11:00 of the first day is after the morning that would start the
    # night before, and never after what the first night is dated.
    start = datetime.combine(first, time(11), ZoneInfo(ZONE))
    form = "once every day and before 11:00, as 0 2 * * * is"
    cron = _said("DUPN_NIGHTLY_CRON", "0 2 * * *", _once_a_morning, form)
    half_a_day = timedelta(hours=12)
    timetable = CronTriggerTimetable(cron, timezone=ZONE, interval=half_a_day)
    return {"schedule": timetable, "start_date": start}


def _once_a_morning(cron: str) -> str:
    """The schedule, if each day of the clock has one tick of it, before 11:00.

    A later one would, by twelve hours, be dated on its own day where the clock goes back.
    """
    minutes, hours, *dates = croniter.expand(cron)[0]
    at = [*minutes, *hours]
    if dates != [["*"]] * 3 or len(at) != 2 or "*" in at or hours[0] >= 11:
        raise ValueError
    return cron


def known_here(context: Mapping[str, Any]) -> None:
    """Refuse a scheduled run on a worker that was not told what it works with.

    Raises:
        ConfigError: a variable is missing; with the defaults it would be the night of other data.
    """
    if not _is_scheduled(context):
        return
    conf = getattr(context["dag_run"], "conf", None) or {}
    missing = [SAYS[name] for name in SAYS if name not in conf and not os.environ.get(SAYS[name])]
    if missing:
        raise ConfigError(
            f"this run is scheduled, and where its task runs {' and '.join(missing)} "
            f"{'are' if missing[1:] else 'is'} not set. Set it for every worker as for the "
            "scheduler, then clear the task."
        )


def same_days(context: Mapping[str, Any], zone: str) -> None:
    """Refuse a scheduled run whose schedule goes by another clock than the days of its data.

    Another name of the same clock will do.

    Args:
        context: Airflow's task context.
        zone: of the data set.

    Raises:
        ConfigError: nights would be those of other days than meant, left out, or come twice.
    """
    start: datetime | None = context.get("data_interval_start")
    if zone == ZONE or start is None or not _is_scheduled(context):
        return
    year = [start + timedelta(days=day) for day in range(366)]
    if all(_offset(at, zone) == _offset(at, ZONE) for at in year):
        return
    raise ConfigError(
        f"this run is scheduled by the clock of {ZONE}, and the days of its data set are of "
        f"{zone}: a night may be another day's than meant. Set DUPN_NIGHTLY_ZONE to {zone}, or not "
        "at all, for the scheduler, the DAG processor and every worker, then delete this run: it "
        "is made again for its own day."
    )


def _offset(at: datetime, zone: str) -> timedelta | None:
    return at.astimezone(ZoneInfo(zone)).utcoffset()


def _is_scheduled(context: Mapping[str, Any]) -> bool:
    kind = getattr(context.get("dag_run"), "run_type", None)
    return str(getattr(kind, "value", kind)) in BY_INTERVAL
