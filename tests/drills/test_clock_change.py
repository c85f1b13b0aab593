"""Days of 23 and of 25 hours in the log's time zone are cut where its clock says midnight."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from features.raw.dataset import load
from infra.store import Store
from pipeline.raw.importing import import_files
from tests import samples_log
from tests.samples_log import MINUTE, ZONE

pytestmark = pytest.mark.drill

STEP = 10 * MINUTE
WINDOW = 60 * MINUTE
USERS = ("u1", "u2")
SHORT, LONG = date(2026, 3, 29), date(2026, 10, 25)
ONE = timedelta(days=1)


def local_day(ts: int) -> date:
    """By the standard library, one row at a time."""
    return datetime.fromtimestamp(ts / 1000, UTC).astimezone(ZoneInfo(ZONE)).date()


def midnight(day: date) -> int:
    return int(datetime(day.year, day.month, day.day, tzinfo=ZoneInfo(ZONE)).timestamp() * 1000)


@pytest.fixture(scope="module", params=[(SHORT, 23), (LONG, 25)], ids=["23 hours", "25 hours"])
def log(request, tmp_path_factory):
    """A page and a click every ten minutes, the night around the change; imported, day by day."""
    day, hours = request.param
    home = tmp_path_factory.mktemp("home")
    (home / "small.toml").write_text(samples_log.DATASET.replace("]\n", ']\nformat = "jsonl"\n'))
    times = range(midnight(day - ONE), midnight(day + 2 * ONE), STEP)
    rows = [(user, ts) for user in USERS for ts in times]
    shown = "".join(
        f'{{"request_id": "{user}-{ts}", "user_id": "{user}", "ts": {ts}, "scenario": "search", '
        f'"item_ids": ["i1", "i2"]}}\n'
        for user, ts in rows
    )
    done = "".join(
        f'{{"user_id": "{user}", "item_id": "i1", "type": "click", "ts": {ts}, '
        f'"request_id": "{user}-{ts}"}}\n'
        for user, ts in rows
    )
    (home / "shown.jsonl").write_text(shown)
    (home / "done.jsonl").write_text(done)
    dataset = load(str(home / "small.toml"))
    files = [f"behaviors={home}/done.jsonl", f"impressions={home}/shown.jsonl"]
    days = [day - ONE, day, day + ONE]
    import_files(Store(home), dataset, files)
    store = samples_log.run(home, days)
    return store, day, hours, times


def test_the_day_holds_its_hours(log):
    store, day, hours, times = log
    table = store.partition("events", day, "behaviors").table()
    assert len(table) == hours * 6 * len(USERS)
    found = table["ts"].cast("int64").to_pylist()
    assert {local_day(ts) for ts in found} == {day}
    assert sorted(set(found)) == [ts for ts in times if local_day(ts) == day]


def test_no_row_is_late_and_none_is_refused(log):
    store, day, _, _ = log
    for one in (day, day + ONE):
        assert store.partition("events", one, "behaviors").manifest().counts["behaviors_late"] == 0
        assert store.partition("rejects", one).manifest().rows == 0


def test_a_moment_is_published_on_the_day_on_which_its_window_closes(log):
    store, day, hours, times = log
    pages = store.partition("samples", day).table()
    found = sorted(set(pages["ts"].cast("int64").to_pylist()))
    assert found == [ts for ts in times if local_day(ts + WINDOW) == day]
    assert len(found) == hours * 6


def test_a_history_ends_at_the_local_midnight(log):
    store, day, _, times = log
    state = store.partition("sequences", day, "history").table()
    horizon = midnight(day + ONE) - WINDOW
    known = [ts for ts in times if local_day(ts) <= day]
    kept = [ts for ts in known if ts < horizon][-100:] + [ts for ts in known if ts >= horizon]
    for user in USERS:
        assert [row["ts"] for row in state.to_pylist() if row["user_id"] == user] == kept
