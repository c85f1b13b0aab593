"""Samples say which profile columns they have, those of the evening before as those of the day."""

import polars as pl
import pytest

from features import vocabulary
from features.property import LocalClock
from tests import samples_log
from tests.samples_log import DAYS, ZONE

LATER = DAYS[2]
"""The day from which the shop's users have one column more, whose name sorts first."""


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    home = tmp_path_factory.mktemp("columns")
    samples_log.write(samples_log.make(), home)
    users = home / "raw" / f"dt={LATER}" / "users" / "rows.parquet"
    pl.read_parquet(users).with_columns(abode=pl.lit("town")).write_parquet(users)
    return samples_log.run(home, DAYS[:3])


def row_of(store, day, feature, value):
    table = vocabulary.load(store, day, feature)
    return int(table.rows_of(pl.Series([value]).to_arrow().cast("string"))[0])


def test_a_column_that_came_later_is_unknown_of_the_evening_before(store):
    names = ["profile_abode", "profile_age"]
    for day in DAYS[:2]:
        assert store.partition("samples", day).manifest().lineage["profile"] == names[1:]
    samples = store.partition("samples", LATER)
    assert samples.manifest().lineage["profile"] == names
    midnight = LocalClock(ZONE).midnight_ms(LATER)
    told = {True: set(), False: set()}
    for row in samples.table(["user_id", "ts", "profile"]).to_pylist():
        number, own = int(row["user_id"][1:]), row["ts"].timestamp() * 1000 >= midnight
        if number < 12:
            age = row_of(store, LATER if own else DAYS[1], names[1], f"a{(number + own) % 3}")
            assert row["profile"][1] == age
            told[own].add(row["profile"][0])
    assert told == {True: {row_of(store, LATER, names[0], "town")}, False: {1}}
