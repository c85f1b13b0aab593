from datetime import timedelta

import numpy as np
import pyarrow as pa
import pytest

from evaluation.abtest.sufficient import READOUT, SUMS, checked, exposed, user_days
from infra.errors import InputError
from tests.evaluation.abtest.rows import ARMS, FIRST, readout

DAYS = (FIRST, FIRST + timedelta(days=2))


def same(one, two):
    return all(
        np.allclose(getattr(one, name), getattr(two, name), rtol=1e-12)
        for name in one.__dataclass_fields__
        if name != "kept"  # nobody has been cut here
    )


def halves(table):
    """Every row twice, the sums shared between the two at random."""
    rng = np.random.default_rng(3)
    first, second = {}, {}
    for field in READOUT:
        column = table[field.name]
        first[field.name] = second[field.name] = column
        if field.name in SUMS:
            whole = column.to_numpy()
            part = whole * rng.random() if field.name == "sales" else rng.integers(0, whole + 1)
            first[field.name] = pa.array(part, field.type)
            second[field.name] = pa.array(whole - part, field.type)
    return pa.concat_tables([pa.table(first), pa.table(second)])


def test_sums_are_those_of_a_loop():
    table = readout(users=40)
    users = exposed(table, ARMS).users
    rows = table.to_pylist()
    for place, user in enumerate(users.user):
        mine = [row for row in rows if row["user"] == user]
        assert users.clicks[place] == sum(row["clicks"] for row in mine)
        assert users.sales[place] == pytest.approx(sum(row["sales"] for row in mine))
        assert users.pre_sales[place] == mine[0]["pre_sales"]
        assert ARMS[users.arm[place]] == mine[0]["arm"]


def test_splitting_and_permuting_rows_changes_nothing():
    table = readout(users=300)
    users = exposed(table, ARMS).users
    mixed = halves(table).take(np.random.default_rng(0).permutation(2 * table.num_rows))
    assert same(users, exposed(mixed, ARMS).users)
    one, two = (user_days(rows, ARMS, users, DAYS, SUMS) for rows in (table, mixed))
    assert np.array_equal(one.place, two.place)
    assert np.array_equal(one.day, two.day)
    assert all(np.allclose(one.sums[name], two.sums[name]) for name in SUMS)


def test_days_outside_are_not_read():
    table = readout(users=300, days=4)
    last = FIRST + timedelta(days=1)
    some = table.filter(pa.array([day <= last for day in table["day"].to_pylist()]))
    assert same(exposed(table, ARMS, FIRST, last).users, exposed(some, ARMS).users)


def test_who_saw_two_arms_belongs_to_nobody():
    table = readout(users=300)
    row = table.slice(0, 1).to_pylist()[0]
    stray = row | {"arm": "new" if row["arm"] == "old" else "old"}
    both = pa.concat_tables([table, pa.Table.from_pylist([stray], table.schema)])
    found = exposed(both, ARMS)
    assert found.several == 1
    assert row["user"] not in found.users.user
    days = user_days(both, ARMS, found.users, DAYS, ("clicks",))
    assert days.sums["clicks"].sum() == found.users.clicks.sum()


def test_rows_of_unknown_arms_are_counted():
    table = readout(users=100)
    found = exposed(table, ("old", "other"))
    assert found.unknown_rows == sum(arm == "new" for arm in table["arm"].to_pylist())
    assert set(found.users.arm) == {0}


def test_days_add_up_to_the_whole():
    table = readout(users=200)
    users = exposed(table, ARMS).users
    found = user_days(table, ARMS, users, DAYS, ("clicks", ""))
    assert np.array_equal(np.bincount(found.place, found.sums["clicks"]), users.clicks)
    assert found.sums[""].sum() == table.num_rows
    assert np.array_equal(found.arm, users.arm[found.place])
    rows = zip(users.user[found.place], found.day, found.sums["clicks"], strict=True)
    assert set(rows) == {
        (row["user"], (row["day"] - FIRST).days, row["clicks"]) for row in table.to_pylist()
    }


def test_nothing_read_is_nobody():
    users = exposed(READOUT.empty_table(), ARMS).users
    assert len(users) == 0
    assert len(user_days(READOUT.empty_table(), ARMS, users, DAYS, ("clicks",)).day) == 0


@pytest.mark.parametrize("name", READOUT.names)
def test_a_table_that_is_no_read_out_is_refused(name):
    table = readout(users=10)
    with pytest.raises(InputError, match=name):
        checked(table.drop_columns([name]))
    nothing = table.set_column(table.column_names.index(name), name, pa.nulls(table.num_rows))
    with pytest.raises(InputError, match=name):
        checked(nothing)
