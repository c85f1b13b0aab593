"""A time is the same millisecond for the service as for the raw log, however it is written."""

import json
from datetime import UTC, datetime

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.raw import clock
from features.raw.raw_table import TimeFormat
from serving.contracts import milliseconds, question
from serving.http_contracts import Asking

NOON = 1_772_712_000_000
SECONDS = TimeFormat(unit="s")


def asked(written):
    """As a body has it, and as a question to the logged model has it."""
    body = json.dumps({"user_id": "u", "ts": written})
    times = (Asking.model_validate_json(body).ts, question({"ts": written}).ts)
    one, other = (milliseconds(ts) for ts in times)
    assert one == other
    return one


@pytest.mark.parametrize(
    "written",
    ["2026-03-05T12:00:00.9996Z", "2026-03-05T12:00:00.9999999Z", "2026-03-05T12:00:00.999Z"],
)
def test_a_text_is_of_the_millisecond_in_which_it_lies(written):
    form = TimeFormat(format="%Y-%m-%dT%H:%M:%S.%f%z")
    raw = clock.to_ms(pa.chunked_array([[written]]), form, "UTC")
    assert asked(written) == raw[0].as_py() == NOON + 999


@given(st.integers(0, 4_000_000_000_000) | st.floats(0, 4e12))
def test_a_number_of_seconds_is_rounded_as_in_the_raw_log(ms):
    written = ms / 1000
    raw = clock.to_ms(pa.chunked_array([[written]]), SECONDS, "UTC")
    assert asked(written) == raw[0].as_py()
    if "e" not in (text := str(written)):
        as_text = clock.to_ms(pa.chunked_array([[text]]), SECONDS, "UTC")
        assert asked(text) == as_text[0].as_py()


def test_a_moment_of_microseconds_is_cut_and_never_rounded_up():
    for microsecond, ms in ((0, 0), (999, 0), (1_000, 1), (999_999, 999)):
        assert milliseconds(datetime(2026, 3, 5, 12, 0, 0, microsecond, UTC)) == NOON + ms
    assert milliseconds(datetime(1969, 12, 31, 23, 59, 59, 999_999, UTC)) == -1
