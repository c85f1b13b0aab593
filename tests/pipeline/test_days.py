from datetime import UTC, date, datetime
from types import SimpleNamespace

import pytest
from airflow.utils.types import DagRunType

from infra.errors import ConfigError
from pipeline import steps
from pipeline.abtest import simulated
from pipeline.days import day_of_run, span
from pipeline.settings import load

START, END = datetime(2026, 3, 9, 2, tzinfo=UTC), datetime(2026, 3, 10, 2, tzinfo=UTC)
INTERVAL = {"data_interval_start": START, "data_interval_end": END}


def run(partition_key=None):
    return SimpleNamespace(partition_key=partition_key)


def test_a_partition_key_wins():
    context = {"dag_run": run("2026-01-01"), "params": {"day": "2026-02-02"}, **INTERVAL}
    assert day_of_run(context) == date(2026, 1, 1)


def test_then_the_param():
    context = {"dag_run": run(), "params": {"day": "2026-02-02"}, **INTERVAL}
    assert day_of_run(context) == date(2026, 2, 2)


def test_then_the_start_of_the_interval_not_its_end():
    assert day_of_run({"dag_run": run(), "params": {"day": None}, **INTERVAL}) == date(2026, 3, 9)


def test_a_run_without_any_says_what_to_do():
    # A manual or REST run with a null logical date: the keys are absent or None.
    for context in ({}, {"dag_run": run(), "params": {}, "data_interval_start": None}):
        with pytest.raises(ConfigError, match="Trigger it with the Param day"):
            day_of_run(context)


def test_the_interval_of_a_plain_cron_schedule_names_no_day():
    # Its start equals its end: the day on which the run starts, not the day of the data.
    context = {"data_interval_start": END, "data_interval_end": END}
    with pytest.raises(ConfigError, match="CronTriggerTimetable"):
        day_of_run(context)


INTERVALS = {DagRunType.SCHEDULED, DagRunType.BACKFILL_JOB}
NOW = {"data_interval_start": datetime(2026, 3, 13, 3, tzinfo=UTC),
       "data_interval_end": datetime(2026, 3, 13, 15, tzinfo=UTC)}  # fmt: skip


@pytest.mark.parametrize("kind", sorted(set(DagRunType) - INTERVALS))
def test_the_interval_of_a_run_that_something_triggered_is_the_hour_and_no_day(kind):
    triggered = SimpleNamespace(partition_key=None, run_type=kind)
    with pytest.raises(ConfigError, match=r"says no day.*after the newest of `samples days`"):
        day_of_run({"dag_run": triggered, "params": {"day": None}, **NOW})
    said = {"dag_run": triggered, "params": {"day": "2026-03-12"}, **NOW}
    assert day_of_run(said) == date(2026, 3, 12)


@pytest.mark.parametrize("kind", sorted(INTERVALS))
def test_that_of_a_run_by_schedule_or_backfill_is_its_day(kind):
    for one in (kind, kind.value):
        made = SimpleNamespace(partition_key=None, run_type=one)
        assert day_of_run({"dag_run": made, "params": {}, **NOW}) == date(2026, 3, 13)


def test_the_day_is_one_of_the_data_set():
    at = {
        "data_interval_start": datetime(2026, 3, 9, 18, tzinfo=UTC),
        "data_interval_end": datetime(2026, 3, 10, 18, tzinfo=UTC),
    }
    assert day_of_run(at) == date(2026, 3, 9)
    assert day_of_run(at, "Asia/Shanghai") == date(2026, 3, 10)


@pytest.mark.parametrize("text", ["20260309x", "yesterday", "2026-13-01"])
def test_what_is_no_day_is_refused(text):
    with pytest.raises(ConfigError, match=r"Write it as YYYY-MM-DD"):
        day_of_run({"params": {"day": text}})


def test_a_span_crosses_months():
    assert span("2026-02-27", 3) == [date(2026, 2, 27), date(2026, 2, 28), date(2026, 3, 1)]


REACH = "is out of reach. Name a day from 1970-01-01 to 2199-12-31"


@pytest.mark.parametrize("text", ["0026-03-02", "0001-01-01", "1969-12-31", "2200-01-01"])
def test_a_day_that_nobody_means_is_refused_wherever_it_is_said(text):
    with pytest.raises(ConfigError, match=REACH):
        day_of_run({"params": {"day": text}})
    with pytest.raises(ConfigError, match=REACH):
        span(text, 1)


@pytest.mark.parametrize(("first", "days"), [("9999-12-31", 2), ("2199-12-31", 2)])
def test_a_span_that_leaves_the_calendar_is_refused(first, days):
    with pytest.raises(ConfigError, match=REACH):
        span(first, days)


def test_no_step_goes_over_days_of_which_one_is_out_of_reach(tmp_path):
    settings = load("smoke", str(tmp_path))
    last, halves = date(2199, 12, 31), {"a": 0.5, "b": 0.5}
    arms = {"a": "x", "b": "y"}
    wanted = simulated.Wanted(
        days=2, first=last, arms=arms, shares=halves, salt="s", nightly=False, twins=False
    )
    for over in (
        lambda: steps.simulate(settings, last, 3),
        lambda: steps.train(settings, date(1970, 1, 1), 2),
        lambda: simulated.run(settings, wanted),
    ):
        with pytest.raises(ConfigError, match=REACH):
            over()
    assert not list(tmp_path.iterdir())


def test_a_span_has_an_end():
    assert len(span("1970-01-01", 36_501)) == 36_501
    with pytest.raises(ConfigError, match="Ask for at most 36500"):
        span("2026-03-02", 10**12)
