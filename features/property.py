"""The property of a behaviour: how long ago, when in the day, workday or weekend (Section 4.1).

Gap edges grow geometrically from five minutes because interest decays that way: five minutes
against one hour matters, day 20 against day 21 does not. Clock parts are of the data set's time
zone, daylight saving included. Codes start at 1; 0 is padding.
"""

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np
import polars as pl
from numpy.typing import NDArray

from infra.errors import ConfigError

MINUTE_MS = 60_000
DAY_MS = 86_400_000
EPOCH = date(1970, 1, 1)

GAP_EDGES_MIN = (1, *(5 * 2**k for k in range(14)))
"""Bucket edges in minutes: 1, 5, 10, 20, ... 40,960 (28 days)."""
NUM_GAPS = len(GAP_EDGES_MIN) + 1
NUM_DAYPARTS = 8
WORKDAY, WEEKEND = 1, 2

_WEEK_MIN = 7 * 24 * 60
_HOURS_PER_PART = 24 // NUM_DAYPARTS
_GAP_TABLE = (
    np.searchsorted(GAP_EDGES_MIN, np.arange(GAP_EDGES_MIN[-1] + 1), side="right") + 1
).astype(np.int8)


def gap_bucket(gap_ms: NDArray[np.int64]) -> NDArray[np.int8]:
    """1..NUM_GAPS; a gap that equals an edge is in the bucket above it.

    Args:
        gap_ms: milliseconds from the behaviour to the moment, not negative.
    """
    minutes = np.asarray(gap_ms, np.int64) // MINUTE_MS
    return _GAP_TABLE.take(minutes, mode="clip")


@dataclass(frozen=True)
class ClockParts:
    """Aligned with the timestamps asked for."""

    day: NDArray[np.int32]
    """Days since 1970-01-01 of the local date."""
    daypart: NDArray[np.int8]
    weekend: NDArray[np.int8]


@dataclass(frozen=True)
class LocalClock:
    """The clock on the wall of a data set's time zone."""

    zone: str

    def parts(self, ts: NDArray[np.int64]) -> ClockParts:
        """Local date, daypart 1..NUM_DAYPARTS and workday/weekend of UTC milliseconds."""
        if not len(ts):
            return ClockParts(np.empty(0, np.int32), np.empty(0, np.int8), np.empty(0, np.int8))
        minutes = ts // MINUTE_MS
        low, high = int(minutes.min()), int(minutes.max())
        if high - low > 2 * len(ts) + 1_000:
            return self._convert(minutes)
        # Time zones change on whole minutes: convert each minute once, then look up.
        first, last = low // _WEEK_MIN, high // _WEEK_MIN + 1
        table = _minutes(self, first, last)
        at = minutes - first * _WEEK_MIN
        return ClockParts(table.day.take(at), table.daypart.take(at), table.weekend.take(at))

    def _convert(self, minutes: NDArray[np.int64]) -> ClockParts:
        local = (
            pl.Series(minutes * MINUTE_MS)
            .cast(pl.Datetime("ms"))
            .dt.replace_time_zone("UTC")
            .dt.convert_time_zone(self.zone)
        )
        day = local.dt.date().to_physical().to_numpy().astype(np.int32)
        part = (local.dt.hour().to_numpy() // _HOURS_PER_PART + 1).astype(np.int8)
        weekend = np.where(local.dt.weekday().to_numpy() >= 6, WEEKEND, WORKDAY).astype(np.int8)
        return ClockParts(day, part, weekend)

    def midnight_ms(self, day: date) -> int:
        """UTC milliseconds at which the local day begins.

        Raises:
            ConfigError: the zone is unknown.
        """
        try:
            zone = ZoneInfo(self.zone)
        except (ZoneInfoNotFoundError, ValueError):
            raise ConfigError(
                f"time zone {self.zone!r} is unknown. Give an IANA name such as Asia/Shanghai."
            ) from None
        start = datetime(day.year, day.month, day.day, tzinfo=zone)
        return round(start.timestamp() * 1000)

    def end_ms(self, day: date) -> int:
        """UTC milliseconds at which the local day is over."""
        return self.midnight_ms(day + timedelta(days=1))


@lru_cache(maxsize=4)
def _minutes(clock: LocalClock, first_week: int, last_week: int) -> ClockParts:
    """Every minute of some weeks since 1970; buckets of a day ask for the same ones."""
    return clock._convert(np.arange(first_week * _WEEK_MIN, last_week * _WEEK_MIN))


def day_number(day: date) -> int:
    """Days since 1970-01-01, as in `ClockParts.day`."""
    return (day - EPOCH).days
