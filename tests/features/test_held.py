"""Which snapshot holds on a day, and how often a store is asked for it."""

from datetime import date, timedelta

import pytest

from features import held
from infra.partition import Partition
from infra.store import Store

FIRST = date(2024, 1, 1)
TODAY = 400
"""Days after the first."""


def day(number):
    return FIRST + timedelta(days=number)


def publish(store, stage, number, *names, **lineage):
    with store.partition(stage, day(number), *names).publish(**lineage) as out:
        out.record([])


def grown(store, days, users, first=0):
    """Nights of a log, of which some bring users."""
    for number in range(first, days):
        publish(store, "events", number, "behaviors")
        if number in users:
            publish(store, "events", number, "users")
        publish(store, "catalog", number, **{held.NOTE: held.note(store, day(number))})


@pytest.fixture
def asked(monkeypatch):
    """Keys that a store was asked for."""
    seen = []
    for name in ("exists", "manifest"):
        real = getattr(Partition, name)
        monkeypatch.setattr(
            Partition, name, lambda self, real=real: (seen.append(self.key), real(self))[1]
        )
    return seen


@pytest.mark.parametrize("users", [(), (0,), (0, 5, 6), (19,), (3, 25)])
def test_it_is_the_newest_at_or_before_the_day(tmp_path, users):
    store = Store(tmp_path)
    grown(store, 30, users)
    for number in range(30):
        expected = store.latest("events", day(number), "users")
        assert held.newest(store, day(number), "users") == expected


@pytest.mark.parametrize("users", [(), (0,)])
def test_the_requests_do_not_grow_with_the_days(tmp_path, asked, users):
    store, counts = Store(tmp_path), []
    for first, days in ((0, 20), (20, 60)):
        grown(store, days, users, first)
        asked.clear()
        held.newest(store, day(days - 1), "users")
        counts.append(len(asked))
    assert counts[0] == counts[1] <= held.NEAR + 2


def test_without_a_note_each_day_is_asked_and_a_snapshot_that_is_gone_is_not_the_newest(tmp_path):
    store = Store(tmp_path)
    grown(store, 20, (0, 4))
    newest = store.partition("events", day(4), "users")
    for number in range(12, 20):
        publish(store, "catalog", number)  # as an earlier release did
    assert held.newest(store, day(19), "users") == newest
    for number in range(12, 20):
        store.partition("catalog", day(number)).remove()
    assert held.newest(store, day(19), "users") == newest
    grown(store, 13, (0, 4), first=12)
    newest.remove()
    assert held.newest(store, day(19), "users") == store.partition("events", FIRST, "users")


def test_one_that_comes_some_days_late_is_found_and_noted(tmp_path):
    store = Store(tmp_path)
    grown(store, 20, ())
    publish(store, "events", 15, "users")
    for number in range(20, 40):
        grown(store, number + 1, (), first=number)
        assert held.newest(store, day(number), "users") == store.partition(
            "events", day(15), "users"
        ), number
