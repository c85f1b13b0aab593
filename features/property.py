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

_FIRST_WEEKDAY = EPOCH.weekday()
_HOUR_MS = 60 * MINUTE_MS
_DAY_MIN, _WEEK_MIN = 24 * 60, 7 * 24 * 60
_LAST_DAY = 130 * 365 + 32
"""Since 1970, the end of 2099: polars knows no summer time after it."""
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
        """Local date, daypart 1..NUM_DAYPARTS and workday/weekend of UTC milliseconds.

        Of the years 1970 to 2099; before and after them a zone's offset stays what it is at the
        edge, without summer time.

        Raises:
            ConfigError: the zone is unknown.
        """
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
        turns = _turns(self.zone)
        shift = turns.shift_ms.take(np.searchsorted(turns.minute, minutes, side="right"))
        hours = (minutes * MINUTE_MS + shift) // _HOUR_MS
        day = hours // 24
        part = hours % 24 // _HOURS_PER_PART + 1
        weekend = np.where((day + _FIRST_WEEKDAY) % 7 >= 5, WEEKEND, WORKDAY)
        return ClockParts(day.astype(np.int32), part.astype(np.int8), weekend.astype(np.int8))

    def midnight_ms(self, day: date) -> int:
        """UTC milliseconds at which the local day begins.

        Raises:
            ConfigError: the zone is unknown.
        """
        try:
            zone = ZoneInfo(self.zone)
        except (ZoneInfoNotFoundError, ValueError):
            raise _unknown(self.zone) from None
        start = datetime(day.year, day.month, day.day, tzinfo=zone)
        return round(start.timestamp() * 1000)

    def end_ms(self, day: date) -> int:
        """UTC milliseconds at which the local day is over."""
        return self.midnight_ms(day + timedelta(days=1))


@lru_cache(maxsize=4)
def _minutes(clock: LocalClock, first_week: int, last_week: int) -> ClockParts:
    """Every minute of some weeks since 1970; buckets of a day ask for the same ones."""
    return clock._convert(np.arange(first_week * _WEEK_MIN, last_week * _WEEK_MIN))


@dataclass(frozen=True)
class _Turns:
    """When a zone's offset from UTC changes."""

    minute: NDArray[np.int64]
    """Since 1970, ascending."""
    shift_ms: NDArray[np.int64]
    """The offset before the first of them, and from each on."""


@lru_cache(maxsize=16)
def _turns(zone: str) -> _Turns:
    """Found once a process, by polars.

    Polars wakes all its threads even for the hundred times of one history, which on a busy machine
    costs a request more than its network.
    """
    days = np.arange(_LAST_DAY) * _DAY_MIN
    try:
        shift = _shift_ms(zone, days)
    except pl.exceptions.PolarsError:  # it knows fewer names than zoneinfo, as of `localtime`
        raise _unknown(zone) from None
    turned = days[:-1][shift[1:] != shift[:-1]]
    minutes = (turned[:, None] + np.arange(_DAY_MIN + 1)).ravel()
    each = _shift_ms(zone, minutes)
    at = np.flatnonzero(each[1:] != each[:-1]) + 1
    return _Turns(minutes[at], np.append(shift[:1], each[at]))


def _unknown(zone: str) -> ConfigError:
    return ConfigError(f"time zone {zone!r} is unknown. Give an IANA name such as Asia/Shanghai.")


def _shift_ms(zone: str, minutes: NDArray[np.int64]) -> NDArray[np.int64]:
    """Of local time from UTC."""
    utc = pl.Series(minutes * MINUTE_MS).cast(pl.Datetime("ms")).dt.replace_time_zone("UTC")
    local = utc.dt.convert_time_zone(zone).dt.replace_time_zone(None)
    shift: NDArray[np.int64] = (local.to_physical() - utc.to_physical()).to_numpy()
    return shift


def day_number(day: date) -> int:
    """Days since 1970-01-01, as in `ClockParts.day`."""
    return (day - EPOCH).days
