"""What of the users' profiles is another than in the snapshot before."""

from datetime import date, timedelta

import pyarrow as pa
import pytest

from features.buckets import hash_ids
from features.quality import changes
from infra.store import Store
from tests.pipeline.jobs import market_days

DAY = date(2026, 3, 2)
USERS = [f"u{i}" for i in range(400)]


@pytest.fixture
def store(tmp_path):
    return Store(str(tmp_path))


def publish(store, day=DAY, users=USERS, files=4, **columns):
    hashes = pa.array(hash_ids(pa.array(users)))
    table = pa.table({"user_hash": hashes, "user_id": users, **columns})
    market_days.write(store, day, {"users": table.sort_by("user_hash")}, files)


def shares(store, before, now, days=1, **more):
    """Of a column that said one thing and says another."""
    publish(store, DAY - timedelta(days=days), column=before)
    publish(store, files=3, column=now, **more)
    return {one.figure: one.share for one in changes.of_day(store, DAY)}


def test_a_column_that_counts_changes_for_those_who_did_something(store):
    orders = [str(i % 5) for i in range(400)]
    more = [str(i % 5 + (i < 30)) for i in range(400)]
    assert shares(store, orders, more) == {"users.column.changed_share": 30 / 400}


def test_the_time_of_the_last_visit_changes_though_every_user_has_one_of_its_own(store):
    seen = [f"2026-03-01 10:{i:04}" for i in range(400)]
    assert shares(store, seen, [f"2026-03-02{one[10:]}" for one in seen]) == {
        "users.column.changed_share": 1
    }


def test_what_went_back_to_what_most_have_has_changed_also_for_all_who_had_it(store):
    bought = ["yes" if i < 40 else "no" for i in range(400)]
    other = ["yes" if 40 <= i < 80 else "no" for i in range(400)]
    assert shares(store, bought, other) == {"users.column.changed_share": 80 / 400}


@pytest.mark.parametrize(
    "now",
    [
        ["mf"[i % 2] for i in range(400)],
        [["male", "female"][i % 2] for i in range(400)],
        [None] * 400,
    ],
)
def test_the_same_under_another_name_and_a_column_that_says_no_more_have_not_changed(store, now):
    found = shares(store, ["mf"[i % 2] for i in range(400)], now, new=now)
    assert set(found.values()) <= {0}


def test_among_those_renamed_who_did_not_go_along_has_changed(store):
    days = [str(i % 4) for i in range(400)]
    later = ["0" if i < 8 else str(i % 4 + 1) for i in range(400)]
    assert shares(store, days, later) == {"users.column.changed_share": 8 / 400}


def test_who_is_new_or_gone_is_not_counted_nor_who_are_few(store):
    publish(store, DAY - timedelta(days=1), USERS[:200], age=["30"] * 200)
    publish(store, users=USERS[100:], age=["31"] * 50 + ["30"] * 250)
    (found,) = changes.of_day(store, DAY)
    assert (found.users, found.changed) == (100, 50)
    publish(store, users=USERS[101:], age=["31"] * 299)
    assert changes.of_day(store, DAY) == []


def test_tables_without_users_have_changed_nothing(store):
    publish(store, DAY - timedelta(days=1), users=[], column=pa.array([], pa.string()))
    publish(store, users=[], column=pa.array([], pa.string()))
    assert changes.of_day(store, DAY) == []


def test_the_newest_snapshot_before_is_held_against_and_its_days_are_told(store):
    assert changes.of_day(store, DAY) == []
    shares(store, ["a"] * 400, ["b"] * 200 + ["c"] * 200, days=30)
    publish(store, DAY + timedelta(days=1), column=["d"] * 400)
    (found,) = changes.of_day(store, DAY)
    assert found.before == "events/dt=2026-01-31/users"
    assert found.days == 30
    assert changes.of_day(store, DAY + timedelta(days=2)) == []  # it brought none of its own


def test_of_many_users_those_of_the_smallest_hashes_are_asked(store, monkeypatch):
    monkeypatch.setattr(changes, "SAMPLE", 200)
    order = sorted(USERS, key=lambda user: int(hash_ids(pa.array([user]))[0]))
    top = 2**63
    asked = [user for user in order if int(hash_ids(pa.array([user]))[0]) < top]
    publish(store, DAY - timedelta(days=1), order, age=["a"] * 400)
    publish(store, users=order, age=["b" if i < 20 else "a" for i in range(400)])
    (found,) = changes.of_day(store, DAY)
    assert (found.users, found.changed) == (len(asked), 20)
