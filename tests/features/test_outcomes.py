"""Which pages of an experiment are said to have come too late."""

from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pytest

from features import catalog, outcomes
from features.outcomes import ACTIONS, PAGES, Arrived, Window

HOUR = timedelta(hours=1)
START = datetime(2026, 3, 4, tzinfo=UTC)


def late(ts, variant, since):
    """How many are too late of one page that arrives on the day."""
    told = {
        "user_hash": 7, "user_id": "u", "ts": ts, "request_id": "r", "item_ids": ["i"],
        "variant": variant,
    }  # fmt: skip
    page = pa.Table.from_pylist([told], PAGES)
    start, first = (round(one.timestamp() * 1000) for one in (START, since))
    window = Window(start_ms=start, end_ms=start + 86_400_000, window_ms=3_600_000, since_ms=first)
    none = ACTIONS.empty_table()
    arrived = Arrived((PAGES.empty_table(), page), (none, none))
    found = outcomes.count(arrived, window, (catalog.empty(), catalog.empty()))
    assert len(found.pages) == (ts >= START - HOUR)
    return found.counts["too_late"]


@pytest.mark.parametrize(
    ("ts", "variant", "since", "counted"),
    [
        (START - 2 * HOUR, "new", START - 24 * HOUR, 1),
        (START - 2 * HOUR, None, START - 24 * HOUR, 0),  # nobody's arm
        (START - 25 * HOUR, "new", START - 24 * HOUR, 0),  # of before the experiment
        (START + HOUR, "new", START, 0),
    ],
)
def test_only_pages_of_an_arm_and_of_the_experiments_time_are_too_late(ts, variant, since, counted):
    assert late(ts, variant, since) == counted
