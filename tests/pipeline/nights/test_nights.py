"""Days one by one are days all at once: state is carried, nothing older is read."""

from datetime import timedelta
from itertools import pairwise

import numpy as np
import polars as pl
import pyarrow as pa
import pytest

from features import inputs, vocabulary
from features.schemas import FEATURES, SEQUENCE_LENGTH
from infra.errors import PartitionMissing
from pipeline import steps
from pipeline.upkeep import afterwards
from tests import nights
from tests.nights import DAYS

LAST = DAYS[-1]


@pytest.fixture(scope="module")
def nightly(whole, tmp_path_factory):
    """Digests of ten nights, seven buckets, with nothing kept that no stage declares to read."""
    mine = nights.settings(tmp_path_factory.mktemp("nightly"), 7)
    return nights.by_night(whole.store, mine)


def test_the_log_has_what_makes_nights_hard(whole):
    store = whole.store
    for day in DAYS[1:]:
        counts = store.partition("events", day, "behaviors").manifest().counts
        assert counts["behaviors_late"] > 0
        assert counts["behaviors_duplicate"] > 0
        assert counts["behaviors_rejected"] > 0
    waiting = [store.partition("sequences", day, "open").manifest().rows for day in DAYS]
    assert sum(rows > 0 for rows in waiting) >= 5


def test_ten_nights_one_by_one_are_one_build_of_ten_days(whole, nightly):
    assert nights.digests(whole.store, DAYS) == nightly


def test_of_days_in_order_none_is_behind(whole):
    assert afterwards.behind(whole.store) == []


def test_the_history_is_that_of_one_pass_over_all_events(whole):
    """By its definition: the last 100 of each user before the horizon, and all after it."""
    store = whole.store
    columns = ["user_id", "ts", "item_id", "type", "key"]
    days = [store.partition("events", day, "behaviors").table(columns) for day in DAYS]
    arrived = pl.concat([pl.DataFrame(t).with_columns(day=n) for n, t in enumerate(days)])
    horizon = (LAST - DAYS[0] + timedelta(days=1)) - timedelta(hours=1)
    since = pl.lit(DAYS[0]).cast(pl.Datetime("ms", "UTC")) + horizon
    behind = (pl.col("ts") < since).cast(pl.Int32)
    once = arrived.unique(["user_id", "key"], keep="first", maintain_order=True)
    ordered = once.sort("user_id", "ts", "day", maintain_order=True)
    expected = ordered.filter(
        behind.reverse().cum_sum().reverse().over("user_id") <= SEQUENCE_LENGTH
    )
    found = pl.DataFrame(store.partition("sequences", LAST, "history").table(columns))
    found = found.with_columns(ts=pl.from_epoch("ts", "ms").dt.replace_time_zone("UTC"))
    assert found.sort("user_id", maintain_order=True).equals(expected.select(columns))
    assert expected.height < once.height  # something was cut


@pytest.mark.parametrize("stage", inputs.STAGES)
def test_a_stage_reads_its_declared_inputs_and_nothing_else(whole, tmp_path, stage):
    bare = nights.settings(tmp_path, 1)
    keys = list(inputs.stamps(whole.store, stage, LAST))
    nights.copy_partitions(whole.store, bare.store, keys)
    getattr(steps, stage)(bare, LAST)
    for part in inputs.written(bare.store, stage, LAST):
        assert part.digest() == whole.store.partition(*_place(part.key)).digest()
    older = [key for key in keys if f"dt={LAST}" not in key and f"dt={DAYS[-2]}" not in key]
    assert all(key.startswith(f"statistics/dt={DAYS[-3]}") for key in older)


def test_a_published_day_is_current_and_says_what_it_was_made_from(whole):
    for stage in inputs.STAGES:
        assert inputs.changed(whole.store, stage, LAST) == []
        made_from = inputs.published(whole.store, stage, LAST).manifest().lineage["inputs"]
        assert made_from == inputs.stamps(whole.store, stage, LAST)


def test_a_lost_yesterday_is_no_first_day(whole, tmp_path):
    """With all state gone, events of days before still say that there were such days."""
    bare = nights.settings(tmp_path, 1)
    nights.copy_partitions(
        whole.store, bare.store, [f"events/dt={day}/behaviors" for day in DAYS[-2:]]
    )
    for stage in ("vocabulary", "sequences"):
        with pytest.raises(PartitionMissing, match=f"dupn rebuild --day {DAYS[-2]}"):
            getattr(steps, stage)(bare, LAST)


@pytest.mark.parametrize("feature", FEATURES)
def test_ids_are_admitted_night_after_night_and_keep_their_rows(whole, feature):
    known, sizes = {}, []
    for day in DAYS:
        table = whole.store.partition("vocabulary", day, feature).table()
        rows = dict(zip(table["id"].to_pylist(), table["row"].to_pylist(), strict=True))
        given = {name: row for name, row in rows.items() if row >= vocabulary.FIRST_ROW}
        assert known.items() <= given.items()
        assert sorted(given.values()) == list(range(2, 2 + len(given)))
        assert vocabulary.size(whole.store, day, feature) == 2 + len(given)
        known = given
        sizes.append(len(given))
    if feature == "item":  # the others of so small a world are all met on the first day
        assert len(set(sizes)) > 5


def test_catalog_rows_are_for_ever(whole):
    tables = [whole.store.partition("catalog", day).table(["item_id", "row"]) for day in DAYS]
    for then, now in pairwise(tables):
        assert now.slice(0, then.num_rows).equals(then)
        assert now.num_rows > then.num_rows
    assert np.array_equal(tables[-1]["row"].to_numpy(), np.arange(2, 2 + tables[-1].num_rows))
    assert isinstance(tables[-1], pa.Table)


def _place(key):
    stage, dated, *names = key.split("/")
    return stage, type(LAST).fromisoformat(dated[3:]), *names
