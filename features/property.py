"""The properties of a behaviour: what, where, how long ago, when in the day and week (Section 4.1).

Gap edges grow geometrically from five minutes because interest decays that way: five minutes
against one hour matters, day 20 against day 21 does not. Clock parts are of the data set's time
zone, daylight saving included. Midnights, hours and what a log says of local times follow one time
zone database: after a change of law two would disagree for months. Codes start at 1; 0 is padding.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from itertools import pairwise
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np
from numpy.typing import NDArray

from features.schemas import BehaviorType, Scenario
from infra.errors import ConfigError

MINUTE_MS = 60_000
DAY_MS = 86_400_000
EPOCH = date(1970, 1, 1)
NEVER = np.iinfo(np.int64).min
"""A time on the wall that the clocks jumped over."""
LATEST = np.iinfo(np.int64).max

GAP_EDGES_MIN = (1, *(5 * 2**k for k in range(14)))
"""Bucket edges in minutes: 1, 5, 10, 20, ... 40,960 (28 days)."""
NUM_GAPS = len(GAP_EDGES_MIN) + 1
NUM_DAYPARTS = 8
WORKDAY, WEEKEND = 1, 2
CODES = {
    "type": len(BehaviorType),
    "scenario": len(Scenario),
    "gap": NUM_GAPS,
    "daypart": NUM_DAYPARTS,  # of the data set's time zone
    "weekend": WEEKEND,
}
"""How many codes each of `features.schemas.PROPERTIES` has, in that order; 0 is padding."""
ALL = slice(None)

_FIRST_WEEKDAY = EPOCH.weekday()
_HOUR_MS = 60 * MINUTE_MS
_DAY_MIN, _WEEK_MIN = 24 * 60, 7 * 24 * 60
_LAST_DAY = 130 * 365 + 32
"""Since 1970, the end of 2099."""
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
        if len(ts) < _WEEK_MIN or high - low > 2 * len(ts) + 1_000:  # as of one user, or far apart
            return self._convert(minutes)
        # Time zones change on whole minutes: convert each minute once, then look up.
        first, last = low // _WEEK_MIN, high // _WEEK_MIN + 1
        table = _minutes(self, first, last)
        at = minutes - first * _WEEK_MIN
        return ClockParts(table.day.take(at), table.daypart.take(at), table.weekend.take(at))

    def _convert(self, minutes: NDArray[np.int64]) -> ClockParts:
        hours = self.wall_ms(minutes * MINUTE_MS) // _HOUR_MS
        day = hours // 24
        part = hours % 24 // _HOURS_PER_PART + 1
        weekend = np.where((day + _FIRST_WEEKDAY) % 7 >= 5, WEEKEND, WORKDAY)
        return ClockParts(day.astype(np.int32), part.astype(np.int8), weekend.astype(np.int8))

    def wall_ms(self, ts: NDArray[np.int64]) -> NDArray[np.int64]:
        """Times on the wall, written as if they were UTC, of UTC milliseconds."""
        turns = _turns(self.zone)
        return ts + turns.shift_ms.take(
            np.searchsorted(turns.minute, ts // MINUTE_MS, side="right")
        )

    def utc_ms(self, wall: NDArray[np.int64]) -> NDArray[np.int64]:
        """UTC milliseconds of times on the wall, written as if they were UTC.

        Of two the earlier, where the clocks were put back over a time; NEVER where they were put
        forward over it.
        """
        turns = _turns(self.zone)
        at = turns.minute * MINUTE_MS
        ends, starts = at + turns.shift_ms[:-1], at + turns.shift_ms[1:]  # of offsets, on the wall
        first = np.searchsorted(ends, wall, side="right")  # offset that is not over by then
        began = np.append(NEVER, starts).take(first)
        return np.where(wall >= began, wall - turns.shift_ms.take(first), NEVER)

    def comes_again(self, ts: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Whether the wall will show the time of a moment once more, since it is put back over it.

        Args:
            ts: UTC milliseconds; `utc_ms` gives the first of the two.
        """
        turns = _turns(self.zone)
        at = turns.minute * MINUTE_MS
        first = at + np.diff(turns.shift_ms)  # not before the turn where the clock goes forward
        return ts >= np.append(first, LATEST).take(np.searchsorted(at, ts, side="right"))

    def same_around(self, other: "LocalClock", day: date) -> bool:
        """Whether another zone's clock shows the same, hour by hour, a year before and after a day.

        Zones have several names, and many have agreed for decades only.
        """
        start = self.midnight_ms(day)
        hours = np.arange(start - 366 * DAY_MS, start + 366 * DAY_MS, _HOUR_MS)
        return np.array_equal(self.wall_ms(hours), other.wall_ms(hours))

    def midnight_ms(self, day: date) -> int:
        """UTC milliseconds at which the local day begins.

        Raises:
            ConfigError: the zone is unknown.
        """
        start = datetime(day.year, day.month, day.day, tzinfo=_info(self.zone))
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
    """Found once a process: a look at every day, then closer where two days differ."""
    offset = _offset(zone)
    days = range(0, _LAST_DAY * _DAY_MIN, _DAY_MIN)
    shifts = [offset(minute) for minute in days]
    found = [
        turn
        for at, (one, other) in enumerate(pairwise(shifts))
        if one != other
        for turn in _between(days[at], days[at + 1], offset)
    ]
    shift = [shifts[0], *[offset(minute) for minute in found]]
    return _Turns(np.array(found, np.int64), np.array(shift, np.int64))


def _between(low: int, high: int, offset: Callable[[int], int]) -> Iterator[int]:
    """The first minutes of new offsets after `low`, up to `high`."""
    if offset(low) == offset(high):
        return
    if high - low == 1:
        yield high
        return
    middle = (low + high) // 2
    yield from _between(low, middle, offset)
    yield from _between(middle, high, offset)


def _offset(zone: str) -> Callable[[int], int]:
    """Minute since 1970 -> milliseconds of local time from UTC."""
    info, start = _info(zone), datetime(1970, 1, 1, tzinfo=UTC)

    def offset(minute: int) -> int:
        local = (start + timedelta(minutes=minute)).astimezone(info)
        return round((local.utcoffset() or timedelta()).total_seconds() * 1000)

    return offset


def _info(zone: str) -> ZoneInfo:
    try:
        return ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise _unknown(zone) from None


def _unknown(zone: str) -> ConfigError:
    return ConfigError(f"time zone {zone!r} is unknown. Give an IANA name such as Asia/Shanghai.")


def told(
    kind: NDArray[np.int8],
    scenario: NDArray[np.int8],
    ts: NDArray[np.int64],
    until: NDArray[np.int64] | int,
    clock: LocalClock,
    rows: NDArray[np.int64] | slice = ALL,
) -> dict[str, NDArray[np.int8]]:
    """The properties of behaviours as the moments see them: a column a name of `PROPERTIES`.

    Args:
        kind: of each behaviour, a `BehaviorType`.
        scenario: of each behaviour, a `Scenario`.
        ts: of each behaviour, UTC milliseconds.
        until: when the moment is that sees it, UTC milliseconds: aligned with `rows`, or one.
        clock: of the data set's time zone.
        rows: which behaviours, in the order wanted; many moments may see the same one.
    """
    parts = clock.parts(ts)
    return {
        "type": kind[rows],
        "scenario": scenario[rows],
        "gap": gap_bucket(until - ts[rows]),
        "daypart": parts.daypart[rows],
        "weekend": parts.weekend[rows],
    }


def day_number(day: date) -> int:
    """Days since 1970-01-01, as in `ClockParts.day`."""
    return (day - EPOCH).days
