"""Source times to UTC milliseconds, and UTC milliseconds to days of a time zone.

Numbers are counted from 1970 UTC in the declared unit; texts are read by their format in their
zone. What cannot be read is null, never an exception: `features.events` refuses such rows.
"""

from datetime import date, timedelta

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from features.property import DAY_MS, EPOCH, NEVER, LocalClock
from features.raw.raw_table import TimeFormat

HOUR_MS = 3_600_000
PLAUSIBLE = (631_152_000_000, 4_102_444_800_000)
"""1990 and 2100: times before and after cannot be told from a wrong unit."""
_DAYS_AT_ONCE = (PLAUSIBLE[1] - PLAUSIBLE[0]) // DAY_MS + 3
_WHOLE = r"^-?0*\d{1,19}$"
_HEX = r"(?i)^0x[0-9a-f]{1,16}$"
_INT64 = np.iinfo(np.int64)
_FRACTION = r"^-?\d{1,18}\.\d+$"


def to_ms(column: pa.ChunkedArray, form: TimeFormat, zone: str) -> pa.ChunkedArray:
    """Int64 milliseconds since 1970 UTC; null where the value cannot be read as `form` says."""
    kind = column.type
    if pa.types.is_nested(kind):
        return pa.chunked_array([pa.nulls(len(column), pa.int64())])
    if pa.types.is_timestamp(kind):
        return _from_timestamps(column, form.zone or zone)
    if form.format is not None:
        return _from_texts(column, form, form.zone or zone)
    if pa.types.is_integer(kind):
        return _scaled(_within(column).cast(pa.int64()), form.unit)
    if pa.types.is_floating(kind):
        return _from_fractions(column.cast(pa.float64()), form.unit)
    return _from_numbers_in_text(column, form.unit)


def ambiguous(
    ms: NDArray[np.int64], kind: pa.DataType, form: TimeFormat, zone: str
) -> NDArray[np.bool_]:
    """Whether a time was read from a local clock that showed it twice; the earlier was taken.

    Not a midnight: it stands for its day.

    Args:
        ms: what `to_ms` read.
        kind: of the column that it read.
        form: how its times are written.
        zone: of the data set.
    """
    local = has_no_zone(kind) if pa.types.is_timestamp(kind) else form.is_local
    if not local:
        return np.zeros(len(ms), np.bool_)
    clock = LocalClock(form.zone or zone)
    twice = clock.comes_again(ms)
    if twice.any():
        twice[twice] = clock.wall_ms(ms[twice]) % DAY_MS != 0
    return twice


def has_no_zone(kind: pa.DataType) -> bool:
    """Whether a column is of timestamps of which nothing says where they are: a clock, or UTC."""
    return bool(pa.types.is_timestamp(kind)) and kind.tz is None


def _scaled(whole: pa.ChunkedArray, unit: str) -> pa.ChunkedArray:
    if unit == "us":
        return pc.divide(whole, pa.scalar(1_000, pa.int64()))
    if unit == "s":
        limit = pa.scalar(np.iinfo(np.int64).max // 1_000, pa.int64())
        fits = pc.less_equal(pc.abs(whole), limit)
        return pc.multiply(pc.if_else(fits, whole, None), pa.scalar(1_000, pa.int64()))
    return whole


def _from_fractions(number: pa.ChunkedArray, unit: str) -> pa.ChunkedArray:
    """Seconds are rounded to the millisecond that they were; smaller parts than one are cut off."""
    if unit == "s":
        ms = pc.round(pc.multiply(number, 1_000.0))  # 1.001 s are a little more or less in binary
    else:
        ms = pc.floor(pc.divide(number, 1_000.0 if unit == "us" else 1.0))
    fits = pc.less(pc.abs(ms), 2.0**63)
    return pc.if_else(fits, ms, None).cast(pa.int64())


def _within(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Null for what is past the numbers with a sign; no time is."""
    if not pa.types.is_uint64(column.type):
        return column
    fits = pc.less_equal(column, pa.scalar(np.iinfo(np.int64).max, pa.uint64()))
    return pc.if_else(fits, column, None)


def days_of(ms: NDArray[np.int64], clock: LocalClock) -> NDArray[np.int32]:
    """Days since 1970-01-01 on a clock, of each UTC millisecond.

    Midnights of the days that occur are looked up once each, so clock changes are right.
    """
    if not len(ms):
        return np.empty(0, np.int32)
    first = max(int(ms.min()) // DAY_MS - 1, -700_000)
    last = min(int(ms.max()) // DAY_MS + 1, 2_900_000)
    if last - first > _DAYS_AT_ONCE:  # nonsense: those rows are refused for their time anyway
        return np.asarray(ms // DAY_MS).clip(-700_000, 2_900_000).astype(np.int32)
    numbers = np.arange(first, last + 2)
    edges = np.array([clock.midnight_ms(day_of_number(int(n))) for n in numbers])
    return numbers[np.searchsorted(edges, ms, side="right") - 1].astype(np.int32)


def day_of_number(number: int) -> date:
    """The date that many days after 1970-01-01."""
    return EPOCH + timedelta(days=number)


def _from_numbers_in_text(column: pa.ChunkedArray, unit: str) -> pa.ChunkedArray:
    texts = column.cast(pa.string())
    try:
        return _scaled(texts.cast(pa.int64()), unit)
    except pa.ArrowInvalid:
        stripped = pc.replace_substring_regex(pc.utf8_trim_whitespace(texts), r"^\+|\.0*$", "")
        whole, hexadecimal, fraction = (
            pc.if_else(pc.match_substring_regex(stripped, pattern), stripped, None)
            for pattern in (_WHOLE, _HEX, _FRACTION)
        )
        return pc.coalesce(
            _scaled(_fitting(whole), unit),
            _scaled(hexadecimal.cast(pa.int64()), unit),  # which the cast of clean texts reads, too
            _from_fractions(fraction.cast(pa.float64()), unit),
        )


def _fitting(whole: pa.ChunkedArray) -> pa.ChunkedArray:
    """Numbers of up to 19 digits as the cast of clean texts reads them; null for the others."""
    wide = whole.cast(pa.decimal128(19, 0))
    low, high = (pa.scalar(int(edge), wide.type) for edge in (_INT64.min, _INT64.max))
    fits = pc.and_(pc.greater_equal(wide, low), pc.less_equal(wide, high))
    return pc.if_else(fits, wide, None).cast(pa.int64())


def _from_timestamps(column: pa.ChunkedArray, zone: str) -> pa.ChunkedArray:
    if has_no_zone(column.type):
        series = pl.Series(column.cast(pa.timestamp("ms"), safe=False))
        return _localise(series, zone)
    return column.cast(pa.timestamp("ms", tz="UTC"), safe=False).cast(pa.int64())


def _from_texts(column: pa.ChunkedArray, form: TimeFormat, zone: str) -> pa.ChunkedArray:
    texts = pl.Series(column.cast(pa.string()))
    pattern = form.pattern
    if form.pad:
        texts = texts.str.zfill(form.pad)
    if form.lacks_minutes:
        texts = "00~" + texts
    if form.year is not None:
        years = pl.Series([str(form.year)]) if form.year_starts == "0101" else _years(texts, form)
        texts, pattern = years + "~" + texts, "%Y~" + pattern
    parsed = texts.str.to_datetime(pattern, strict=False, time_unit="ms")
    if isinstance(parsed.dtype, pl.Datetime) and parsed.dtype.time_zone:
        return pa.chunked_array([parsed.to_physical().to_arrow()])
    return _localise(parsed, zone)


def _years(texts: pl.Series, form: TimeFormat) -> pl.Series:
    parsed = ("2000~" + texts).str.to_datetime(f"%Y~{form.pattern}", strict=False)
    after = parsed.dt.strftime("%m%d") < form.year_starts
    assert form.year is not None
    return pl.select(
        pl.when(after).then(pl.lit(str(form.year + 1))).otherwise(pl.lit(str(form.year)))
    ).to_series()


def _localise(naive: pl.Series, zone: str) -> pa.ChunkedArray:
    """UTC milliseconds of local times; null where the clocks were put forward over one.

    But a midnight stands for its day, also where clocks go forward at midnight: it is the moment at
    which that day begins.
    """
    told = naive.dt.cast_time_unit("ms").to_physical()
    wall, clock = told.fill_null(0).to_numpy(), LocalClock(zone)
    ms = clock.utc_ms(wall)
    jumped = (ms == NEVER) & (wall % DAY_MS == 0)
    if jumped.any():
        ms[jumped] = clock.utc_ms(wall[jumped] - HOUR_MS) + HOUR_MS
    absent = told.is_null().to_numpy() | (ms == NEVER)
    return pa.chunked_array([pa.array(ms, mask=absent)])
