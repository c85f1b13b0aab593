"""A profile column is known by its name, whatever other columns a day has beside it."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from features.profiles import Profiles, by_name
from features.schemas import SAMPLES, UNKNOWN_ROW
from infra.errors import TrainingError
from training.batch import VocabularySizes
from training.checkpoint import Recipe
from training.collate import collate
from training.data import Position, Reader, Samples
from training.growth import joined
from training.moments import Moments

AGE, SEX = "profile_age", "profile_gender"


def with_profile(table, rows):
    """The table with these vocabulary rows, one list for everybody."""
    at, field = table.schema.get_field_index("profile"), SAMPLES.field("profile")
    return table.set_column(at, field, pa.array([rows] * len(table), field.type))


def told(store, day, rows, **lineage):
    """The day's samples once more, everybody with these rows."""
    place = store.partition("samples", day)
    table = with_profile(place.table(), rows)
    with place.publish(**lineage) as out:
        out.record([out.write_table("part", table)])


def ragged(store, day, rows):
    """The day's samples once more, with these lists in turn."""
    place = store.partition("samples", day)
    table = place.table()
    at, field = table.schema.get_field_index("profile"), SAMPLES.field("profile")
    lists = [rows[k % len(rows)] for k in range(len(table))]
    with place.publish() as out:
        whole = table.set_column(at, field, pa.array(lists, field.type))
        out.record([out.write_table("part", whole)])


def seen(store, days, sizes=None):
    """Distinct profiles as a network gets them."""
    reader = Reader(Samples(store, days, sizes), batch_size=64, buffer=200)
    batches = [loaded.batch.profile_BP.numpy() for loaded in reader.epoch(Position())]
    return {tuple(row) for row in np.concatenate(batches).tolist()}


def test_rows_of_an_absent_column_are_unknown_and_of_an_unwanted_one_left_out():
    rows = np.array([[5, 7], [6, 8]], np.int32)
    assert by_name(rows, ("a", "c"), ("b", "c")).tolist() == [[1, 7], [1, 8]]
    assert by_name(rows, ("a", "c"), ("c", "a")).tolist() == [[7, 5], [8, 6]]
    profiles = Profiles(np.arange(2, dtype=np.uint64), rows, ("a", "c")).ordered(("c",))
    assert profiles.of_users(np.array([1, 9], np.uint64)).tolist() == [[8], [1]]


def test_a_column_that_the_shop_got_later_is_never_read_as_another(tmp_path, make_store, days):
    store = make_store(tmp_path)
    told(store, days[0], [4], profile=[SEX])
    told(store, days[1], [3, 2], profile=[AGE, SEX])
    assert seen(store, days) == {(1, 4), (3, 2)}
    older = replace(Samples(store, days).sizes, profile=(9,), profile_names=(SEX,))
    assert seen(store, days, older) == {(4,), (2,)}


def test_samples_without_names_have_the_columns_of_the_network(tmp_path, make_store, days):
    store = make_store(tmp_path)
    told(store, days[0], [3, 2])
    told(store, days[1], [3])
    assert seen(store, days) == {(3, 2), (3, 0)}
    ragged(store, days[1], [[], [3, 2], [5]])
    assert seen(store, days[1:]) == {(0, 0), (3, 2), (5, 0)}
    fewer = replace(Samples(store, days).sizes, profile=(9,), profile_names=(SEX,))
    with pytest.raises(TrainingError, match="have 2 profile columns, the network knows 1"):
        seen(store, days[:1], fewer)


def test_one_window_answers_networks_of_other_columns(store, days):
    samples = Samples(store, days[:1])
    table = with_profile(store.partition("samples", days[0]).table(), [3, 2])
    moments = Moments.from_arrow(table, np.zeros(len(table), np.int64), (AGE, SEX))
    for names, expected in (((SEX, AGE), [2, 3]), ((SEX,), [2]), (("profile_x", SEX), [1, 2])):
        sizes = replace(samples.sizes, profile=(9,) * len(names), profile_names=names)
        batch = collate(moments, np.arange(3), samples.catalogs, sizes)
        assert batch.profile_BP.tolist() == [expected] * 3


def test_an_update_keeps_the_columns_that_the_network_has(caplog):
    old = VocabularySizes(1, 2, 3, 4, 5, 6, 7, (5, 3), 32, (SEX, "profile_zip"))
    new = VocabularySizes(9, 2, 3, 4, 5, 6, 7, (8, 4), 32, (AGE, SEX))
    after = joined(old, new)
    assert (after.item, after.profile, after.profile_names) == (9, (5, 3), old.profile_names)
    assert "does not know the users' columns age" in caplog.text
    assert VocabularySizes.of_plain(after.plain()) == after
    unnamed = replace(old, profile_names=None)
    assert VocabularySizes.of_plain(unnamed.plain()) == unnamed
    assert joined(unnamed, new) == replace(new, profile=(8, 4))


def test_a_run_of_before_columns_had_names_is_no_other_run(tmp_path, make_store, days, tiny, quick):
    store = make_store(tmp_path)
    now = Recipe.of(Samples(store, days), None, tiny, quick, 1)
    for names in ("profile_names", "ranking_names"):
        assert getattr(now.sizes, names) is not None
        then = replace(now, sizes=replace(now.sizes, **{names: None}))
        assert not then.differences(now)
        assert not now.differences(then)
    other = replace(now, sizes=replace(now.sizes, profile_names=("profile_x", SEX)))
    (said,) = other.differences(now)
    assert said.startswith("sizes.profile_names was ")


@pytest.mark.parametrize("names", [(AGE, SEX), None])
def test_a_profile_value_that_comes_right_after_the_networks_last_is_unknown(store, days, names):
    samples = Samples(store, days[:1])
    table = with_profile(store.partition("samples", days[0]).table(), [8, 9])
    moments = Moments.from_arrow(table, np.zeros(len(table), np.int64), names)
    sizes = replace(samples.sizes, profile=(9, 9), profile_names=(AGE, SEX))
    batch = collate(moments, np.arange(3), samples.catalogs, sizes)
    assert batch.profile_BP.tolist() == [[8, UNKNOWN_ROW]] * 3
