"""Times as callers write them."""

import time
from datetime import UTC, datetime, timedelta, timezone

import pytest

from serving.contracts import milliseconds

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


@pytest.fixture
def elsewhere(monkeypatch):
    """A machine in another zone."""
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "Asia/Shanghai")
        time.tzset()
        yield
    time.tzset()


@pytest.mark.usefixtures("elsewhere")
@pytest.mark.parametrize(
    "written",
    [NOON.replace(tzinfo=None), NOON.astimezone(timezone(timedelta(hours=3)))],
    ids=["without a zone", "in another zone"],
)
def test_a_time_is_utc_unless_it_says_otherwise_wherever_the_machine_stands(written):
    assert milliseconds(written) == NOON.timestamp() * 1000
