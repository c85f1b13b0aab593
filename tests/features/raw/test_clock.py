from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.property import LocalClock, day_number
from features.raw.clock import PLAUSIBLE, ambiguous, day_of_number, days_of, to_ms
from features.raw.raw_table import TimeFormat
from features.schemas import MS


@pytest.mark.parametrize("zone", ["UTC", "Asia/Shanghai", "Europe/Berlin", "America/New_York"])
@settings(max_examples=25, deadline=None)
@given(seconds=st.lists(st.integers(1_388_000_000, 1_420_000_000), min_size=1, max_size=50))
def test_days_are_those_of_the_zone_also_when_clocks_change(zone, seconds):
    ms = np.array(seconds, np.int64) * 1_000
    local = [datetime.fromtimestamp(s, UTC).astimezone(ZoneInfo(zone)).date() for s in seconds]
    assert [day_of_number(int(n)) for n in days_of(ms, LocalClock(zone))] == local


def test_a_day_begins_at_its_midnight():
    berlin = LocalClock("Europe/Berlin")
    for offset in range(400):
        day = date(2024, 1, 1) + timedelta(days=offset)
        start = berlin.midnight_ms(day)
        found = days_of(np.array([start - 1, start]), berlin)
        assert list(found) == [day_number(day) - 1, day_number(day)]


def test_times_as_far_apart_as_an_import_takes_keep_their_zone():
    first, last = PLAUSIBLE
    written = datetime(2024, 11, 26, 2, tzinfo=ZoneInfo("Asia/Shanghai"))
    ms = np.array([first, int(written.timestamp()) * 1_000, last - 1])
    found = [day_of_number(int(n)) for n in days_of(ms, LocalClock("Asia/Shanghai"))]
    assert found == [date(1990, 1, 1), date(2024, 11, 26), date(2100, 1, 1)]


@pytest.mark.parametrize(("unit", "factor"), [("s", 1_000), ("ms", 1)])
def test_numbers_are_read_in_their_unit_and_nonsense_is_null(unit, factor):
    column = pa.chunked_array(
        [["1511544070", " 7 ", "+7", "1511544070.0", "x", "", None, "9" * 30]]
    )
    read = to_ms(column, TimeFormat(unit=unit), "UTC").to_pylist()
    at = 1511544070 * factor
    assert read == [at, 7 * factor, 7 * factor, at, None, None, None, None]


ODD_TIMES = {
    **dict.fromkeys(["0x69A4F6A0", "0X69a4f6a0", "+0x69A4F6A0"], 0x69A4F6A0),
    **dict.fromkeys(["0" * 20 + "1772", "+1772", " 1772", "1772.", "1772.0", "1772.9"], 1772),
    **dict.fromkeys(["9223372036854775807", "0x7FFFFFFFFFFFFFFF"], 2**63 - 1),
    "-9223372036854775808": -(2**63),
    **dict.fromkeys(["9223372036854775808", "-9223372036854775809", "0x" + "1" * 17], None),
    **dict.fromkeys(["1.77e9", "nan", "0x", "-0x5", "", "\u0667", "1_000"], None),
}


@pytest.mark.parametrize("beside", [[], ["garbage"], ["7"], [None]], ids=str)
@pytest.mark.parametrize(("text", "expected"), ODD_TIMES.items())
def test_a_number_in_text_is_the_same_time_whatever_stands_beside_it(text, expected, beside):
    column = pa.chunked_array([pa.array([text, *beside], pa.string())])
    assert to_ms(column, TimeFormat(unit="ms"), "UTC")[0].as_py() == expected


def test_microseconds_and_typed_columns_are_read_too():
    assert to_ms(pa.chunked_array([[1_500_000]]), TimeFormat(unit="us"), "UTC").to_pylist() == [
        1500
    ]
    naive = pa.chunked_array([pa.array([date(2024, 1, 1)]).cast(pa.timestamp("us"))])
    assert to_ms(naive, TimeFormat(), "Asia/Shanghai").to_pylist() == [
        LocalClock("Asia/Shanghai").midnight_ms(date(2024, 1, 1))
    ]


@pytest.mark.parametrize("kind", [pa.float64(), pa.string()])
@pytest.mark.parametrize(
    ("unit", "given", "expected"),
    [
        ("s", ["1700000000.5", "1700000000.123", "7", None], [1700000000500, 1700000000123, 7000]),
        ("ms", ["1700000000000.9", "1", None], [1700000000000, 1]),
        ("us", ["1700000000000999.5", "1500", None], [1700000000000, 1]),
    ],
)
def test_fractions_are_read_alike_from_numbers_and_texts(kind, unit, given, expected):
    column = pa.chunked_array([pa.array(given).cast(kind)])
    assert to_ms(column, TimeFormat(unit=unit), "UTC").to_pylist() == [*expected, None]


def test_a_float_that_is_no_time_is_null():
    column = pa.chunked_array([[float("nan"), float("inf"), 1e300, None]])
    for unit in ("s", "ms", "us"):
        assert to_ms(column, TimeFormat(unit=unit), "UTC").to_pylist() == [None] * 4


@pytest.mark.parametrize("kind", [pa.int64(), pa.string()])
def test_seconds_of_which_the_milliseconds_do_not_fit_are_no_time(kind):
    last = (2**63 - 1) // 1_000
    column = pa.chunked_array([pa.array([last, last + 1, -last - 1, 10**17]).cast(kind)])
    assert to_ms(column, TimeFormat(unit="s"), "UTC").to_pylist() == [last * 1_000] + [None] * 3


def test_a_number_past_those_with_a_sign_is_no_time():
    column = pa.chunked_array([pa.array([2**63 + 5, 1_700_000_000_000, None], pa.uint64())])
    assert to_ms(column, TimeFormat(), "UTC").to_pylist() == [None, 1_700_000_000_000, None]


def test_a_text_is_read_in_its_zone():
    column = pa.chunked_array([["2019-10-01 00:00:00 UTC", "2019-10-01", None]])
    form = TimeFormat(format="%Y-%m-%d %H:%M:%S UTC", zone="UTC")
    assert to_ms(column, form, "Asia/Shanghai").to_pylist() == [1_569_888_000_000, None, None]


@pytest.mark.parametrize("space", ["", " "])
@pytest.mark.parametrize("fraction", ["", ".25"])
def test_an_iso_time_is_read_with_its_offset_of_which_z_is_one(space, fraction):
    offsets = ["Z", "z", "+00:00", "+0800", "+08:00", "+08", "-05:30", "", "UTC"]
    texts = [f"2026-02-01T08:00:00{fraction}{space}{one}" for one in offsets]
    form = TimeFormat(format=f"%Y-%m-%dT%H:%M:%S{'.%f' * bool(fraction)}{space}%z")
    found = to_ms(pa.chunked_array([texts]), form, "Asia/Shanghai").to_pylist()
    at = 1_769_932_800_000 + 250 * bool(fraction)
    hours = [0, 0, 0, -8, -8, -8, 5.5]
    assert found == [*[at + int(one * 3_600_000) for one in hours], None, None]


@pytest.mark.parametrize("more", ["", "Z", "%%"])
def test_a_fraction_of_a_second_is_read_to_the_millisecond(more):
    fractions = [".1", ".100", ".900", ".999999", ".123456789", "", "."]
    texts = [f"2019-10-01 00:00:00{one}{more.replace('%%', '%')}" for one in fractions]
    form = TimeFormat(format=f"%Y-%m-%d %H:%M:%S.%f{more}")
    found = to_ms(pa.chunked_array([texts]), form, "UTC").to_pylist()
    assert found[:-1] == [1_569_888_000_000 + ms for ms in (100, 100, 900, 999, 123, 0)]
    assert found[-1] is None


def test_a_fraction_is_read_of_a_date_without_a_year_too():
    form = TimeFormat(format="%m%d %H:%M:%S.%f", year=2014, year_starts="0511")
    found = to_ms(pa.chunked_array([["0511 00:00:00.5", "0510 00:00:00.25"]]), form, "UTC")
    began = [LocalClock("UTC").midnight_ms(day) for day in (date(2014, 5, 11), date(2015, 5, 10))]
    assert found.to_pylist() == [began[0] + 500, began[1] + 250]


def test_a_date_without_a_time_begins_its_day_also_where_midnight_is_skipped():
    """Cairo goes from 24 April 2026, 0:00, to 1:00."""
    days = pa.chunked_array([["2026-04-23", "2026-04-24", "2026-04-25"]])
    found = to_ms(days, TimeFormat(format="%Y-%m-%d"), "Africa/Cairo").to_pylist()
    assert found == [LocalClock("Africa/Cairo").midnight_ms(date(2026, 4, n)) for n in (23, 24, 25)]
    gone = pa.chunked_array([["2026-04-24 00:30"]])
    assert to_ms(gone, TimeFormat(format="%Y-%m-%d %H:%M"), "Africa/Cairo").to_pylist() == [None]


@pytest.mark.parametrize("zone", ["America/Vancouver", "Africa/Casablanca", "Pacific/Apia"])
def test_a_midnight_that_is_written_out_is_the_one_of_its_day(zone):
    days = [date(2026, 10, 20) + timedelta(days=n) for n in range(0, 4_000, 7)]
    written = pa.chunked_array([[f"{day} 00:00" for day in days]])
    found = to_ms(written, TimeFormat(format="%Y-%m-%d %H:%M"), zone).to_pylist()
    assert found == [LocalClock(zone).midnight_ms(day) for day in days]


def test_a_time_that_the_clocks_show_twice_is_the_first_of_the_two():
    column = pa.chunked_array([["2026-10-25 01:59", "2026-10-25 02:30", "2026-10-25 03:00"]])
    found = to_ms(column, TimeFormat(format="%Y-%m-%d %H:%M"), "Europe/Berlin").to_pylist()
    minutes = [(ms - found[0]) / 60_000 for ms in found]
    assert minutes == [0, 31, 121]


AUTUMN = ["2026-10-25 00:59", "2026-10-25 01:00", "2026-10-25 02:00", "2026-10-25 02:59", "x"]


@pytest.mark.parametrize(
    ("zone", "end", "expected"),
    [
        ("Europe/Berlin", "", [0, 0, 1, 1, 0]),
        ("Atlantic/Azores", "", [1, 0, 0, 0, 0]),
        ("UTC", "", [0, 0, 0, 0, 0]),
        ("Europe/Berlin", "%z", [0, 0, 0, 0, 0]),
    ],
)
def test_of_the_times_that_the_clocks_show_twice_it_is_known(zone, end, expected):
    form = TimeFormat(format=f"%Y-%m-%d %H:%M{end}")
    column = pa.chunked_array([[one + end.replace("%z", "+02") for one in AUTUMN]])
    ms = to_ms(column, form, zone).fill_null(0).to_numpy()
    assert ambiguous(ms, column.type, form, zone).tolist() == expected


def test_numbers_timestamps_and_midnights_are_told_by_what_they_are():
    twice = 1_792_888_200_000  # 2026-10-25 02:30 in Berlin, the first time
    for kind, known in ((pa.int64(), False), (pa.timestamp("ms"), True), (MS, False)):
        found = ambiguous(np.array([twice]), kind, TimeFormat(), "Europe/Berlin")
        assert found.tolist() == [known]
    form, zone = TimeFormat(format="%Y-%m-%d"), "America/Havana"  # from 1:00 to 0:00
    ms = np.array([LocalClock(zone).midnight_ms(date(2026, 11, 1))])
    assert ambiguous(np.append(ms, ms + 60_000), pa.string(), form, zone).tolist() == [False, True]


def test_a_date_without_a_year_gets_it_by_rule():
    column = pa.chunked_array([["829", "0101", "230", "1231"]])
    plain = to_ms(column, TimeFormat(format="%m%d", pad=4, year=2014), "UTC").to_pylist()
    assert [None if v is None else day_of_number(v // 86_400_000) for v in plain] == [
        date(2014, 8, 29),
        date(2014, 1, 1),
        None,
        date(2014, 12, 31),
    ]
    form = TimeFormat(format="%m%d", pad=4, year=2014, year_starts="0511")
    over = to_ms(column, form, "UTC").to_pylist()
    assert day_of_number(over[1] // 86_400_000) == date(2015, 1, 1)
    assert day_of_number(over[3] // 86_400_000) == date(2014, 12, 31)
    edge = to_ms(pa.chunked_array([["510", "511"]]), form, "UTC").to_pylist()
    assert [day_of_number(v // 86_400_000) for v in edge] == [date(2015, 5, 10), date(2014, 5, 11)]


@pytest.mark.parametrize(
    ("form", "text"),
    [
        ("%Y-%m-%d %H", "2014-12-06 14"),
        ("%Y%m%d%H", "2014120614"),
        ("%Y-%m-%d %I %p", "2014-12-06 02 PM"),
        ("%d.%m.%Y %k Uhr", "06.12.2014 14 Uhr"),
        ("%Y-%m-%dT%H%z", "2014-12-06T22+0800"),
        ("%Y-%m-%dT%H%z", "2014-12-06T22+08"),
        ("%Y-%m-%dT%H%z", "2014-12-06T14Z"),
    ],
)
def test_an_hour_without_minutes_is_read_as_its_beginning(form, text):
    column = pa.chunked_array([[text, None, "02", "06"]])
    found = to_ms(column, TimeFormat(format=form), "UTC").to_pylist()
    assert found == [int(datetime(2014, 12, 6, 14, tzinfo=UTC).timestamp()) * 1000, *[None] * 3]


def test_an_hour_without_minutes_may_lack_its_year_and_zeros_too():
    form = TimeFormat(format="%m%d%H", pad=6, year=2014, year_starts="0511")
    found = to_ms(pa.chunked_array([[120614, 51023]]).cast(pa.string()), form, "UTC").to_pylist()
    wanted = [datetime(2014, 12, 6, 14, tzinfo=UTC), datetime(2015, 5, 10, 23, tzinfo=UTC)]
    assert found == [int(at.timestamp()) * 1000 for at in wanted]
