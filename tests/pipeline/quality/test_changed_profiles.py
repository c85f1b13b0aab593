"""A profile column that follows what users do is told with what it does; attributes are not."""

import json
from datetime import date, timedelta

import pyarrow as pa
import pytest

from pipeline.quality import checks, judged
from pipeline.settings import load
from tests.pipeline.jobs.market_days import FIRST, Market, write

SECOND = FIRST + timedelta(days=1)


@pytest.fixture
def settings(tmp_path):
    return load("smoke", str(tmp_path))


def bring(settings, day: date, **columns):
    """A day of the market, whose users have some more columns."""
    tables = Market(users=400).day(day)
    for name, values in columns.items():
        tables["users"] = tables["users"].append_column(name, pa.array(values))
    write(settings.store, day, tables)


def told(caplog):
    return [line for line in caplog.messages if "changed share" in line]


def test_a_count_of_orders_is_a_warning_that_says_what_it_does_and_what_to_do(settings, caplog):
    bring(settings, FIRST, orders=["1"] * 400)
    bring(settings, SECOND, orders=["2"] * 9 + ["1"] * 391)
    checks.run(settings, SECOND, "events")
    (line,) = told(caplog)
    assert line.startswith(
        f"Quality of events {SECOND} warning: users.orders has changed share 0.0225, over the "
        f"limit 0.02: the share of users of whom it says something else than events/dt={FIRST}/u"
    )
    assert line.endswith("Map other columns, or send profile with each question.")
    assert judged.passed(settings.store, SECOND, "events")
    report = json.loads(settings.store.get(judged.report(SECOND, "events")))
    settings_of = {one["figure"]: one["setting"] for one in report["failures"]}
    assert settings_of["users.orders.changed_share"] == "warn_changed_share"


def test_what_changes_seldom_is_no_warning_nor_what_had_many_days_to_change(settings, caplog):
    later = FIRST + timedelta(days=30)
    bring(settings, FIRST, orders=["1"] * 400)
    bring(settings, SECOND, orders=["2"] * 8 + ["1"] * 392, new=["1"] * 400)
    bring(settings, later, orders=["3"] * 40 + ["1"] * 360, new=["1"] * 400)
    for day in (FIRST, SECOND, later):
        checks.run(settings, day, "events")
    assert told(caplog) == []
