"""A window unpacked equals its rows, one by one."""

import numpy as np
import pyarrow as pa
import pytest

from infra.errors import TrainingError
from training.moments import Moments


@pytest.fixture(scope="module")
def table(store):
    return store.partition("samples", store.days("samples")[0]).table()


def with_column(table, name, column):
    return table.set_column(table.column_names.index(name), table.schema.field(name), column)


def unpacked(table):
    return Moments.from_arrow(table, np.zeros(len(table), np.int64))


def test_what_lies_under_a_null_list_is_not_read(table):
    table = table.slice(0, 3)
    null = pa.array([False, True, False])
    for name, values in (("icon", [5, 6, 7, 8]), ("icon_followed", [0, 1, 1, 0])):
        kind = table.schema.field(name).type.value_type
        offsets = pa.array([0, 1, 3, 4], pa.int32())
        lists = pa.ListArray.from_arrays(offsets, pa.array(values, kind), mask=null)
        table = with_column(table, name, lists)
    icons = unpacked(table).icons.gather(np.array([2, 1, 0]))
    assert icons.flat("row").tolist() == [8, 5]
    assert icons.flat("followed").tolist() == [0, 0]
    assert icons.owner.tolist() == [0, 2]


def test_a_part_of_a_table_of_several_chunks_is_unpacked_alike(table):
    part = pa.concat_tables([table.slice(7, 20), table.slice(100, 30)])
    rows = part.to_pylist()
    found = unpacked(part)
    assert found.sample_id.to_pylist() == [row["sample_id"] for row in rows]
    seq = found.sequence.gather(np.arange(50))
    assert seq.flat("item").tolist() == [item for row in rows for item in row["seq_item"]]
    assert found.price_level.tolist() == [row["price_level"] or 0 for row in rows]


def test_moments_without_an_offer_have_an_even_one_beside_those_that_have(table):
    some = [0.4, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1]
    column = pa.array([None, some, None], table["price_offer"].type)
    offer = unpacked(with_column(table.slice(0, 3), "price_offer", column)).offer
    np.testing.assert_allclose(offer, [[1 / 7] * 7, some, [1 / 7] * 7], rtol=1e-6)
    none = with_column(table.slice(0, 3), "price_offer", pa.nulls(3, column.type))
    assert unpacked(none).offer is None


@pytest.mark.parametrize("shares", [[1.0], [0.5] * 6, [0.1] * 8, []])
def test_an_offer_of_more_or_fewer_levels_is_refused(table, shares):
    column = pa.array([None, shares, [1 / 7] * 7], table["price_offer"].type)
    with pytest.raises(TrainingError, match="has not the shares of 7 price levels"):
        unpacked(with_column(table.slice(0, 3), "price_offer", column))


def test_answers_that_are_more_or_fewer_than_their_questions_are_refused(table):
    lists = table["icon_followed"].to_pylist()
    at = next(k for k, one in enumerate(lists) if one)
    lists[at] = lists[at][:-1]
    broken = with_column(table, "icon_followed", pa.array(lists, table["icon_followed"].type))
    with pytest.raises(TrainingError, match="lists row, followed of a sample differ in length"):
        unpacked(broken)


def test_candidates_with_more_or_fewer_features_than_others_are_refused(table):
    lists = table["cand_features"].to_pylist()
    at = [k for k, one in enumerate(lists) if one][-1]
    lists[at][0].append(0.0)
    broken = with_column(table, "cand_features", pa.array(lists, table["cand_features"].type))
    width = len(lists[at][1])
    with pytest.raises(TrainingError, match=f"between {width} and {width + 1} ranking features"):
        unpacked(broken)
