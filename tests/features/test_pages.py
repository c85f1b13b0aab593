"""Rows of one request are one page, whether a log writes a row a page or a row an item."""

from itertools import groupby

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features import pages


def table(rows, kind=None):
    """(user, request, items, query) in the order of time."""
    user, request, items, query = zip(*rows, strict=True)
    columns = {
        "user_hash": pa.array(user, pa.uint64()),
        "request_id": pa.array(request, pa.string()),
        "item_ids": pa.array(items, kind or pa.list_(pa.string())),
        "query": pa.array(query, pa.string()),
    }
    return pa.table(columns)


def united(rows, day=None, kind=None):
    made = table(rows, kind)
    return pages.united(made, pages.users_of(made), None if day is None else np.array(day))


def told(rows):
    return [tuple(row.values()) for row in rows.to_pylist()]


def test_rows_of_one_request_are_one_page_with_their_items_in_order():
    rows = [
        (1, "r", ["a"], "hat"),
        (1, "s", ["z"], None),
        (1, "r", ["c"], "red hat"),
        (1, "r", ["b"], None),
        (2, "r", ["a"], None),
    ]
    found = united(rows)
    assert told(found.pages) == [(1, "r", ["a", "c", "b"], "hat"), rows[1], rows[4]]
    assert found.again.tolist() == found.added.tolist() == [False, False, True, True, False]


def test_a_page_that_is_sent_twice_stays_and_a_second_screen_stands_below_the_first():
    rows = [(1, "r", ["a", "b", "a"], None)] * 2 + [(1, "r", ["b", "d", "c", "d"], None)]
    found = united(rows)
    assert told(found.pages) == [(1, "r", ["a", "b", "d", "c"], None)]
    assert found.added.tolist() == [False, False, True]


def test_a_page_ends_with_its_day_and_what_is_of_no_day_is_of_no_page():
    rows = [(1, "r", [item], None) for item in "abcde"]
    found = united(rows, day=[-1, 0, 0, 1, 1])
    assert found.table["item_ids"].to_pylist() == [["a"], ["b", "c"], ["c"], ["d"], ["e"]]
    assert found.again.tolist() == [False, False, True, True, True]
    assert found.added.tolist() == [False, False, True, False, False]


def test_an_item_that_stands_twice_on_a_page_is_shown_once_where_it_stands_first():
    lists = [["b"], ["c", "a", "b", "a", "c"], ["b", "a"], [], ["a", "a"], ["a"]]
    found = united([(1, f"r{n}" if n != 4 else None, one, None) for n, one in enumerate(lists)])
    once = [["b"], ["c", "a", "b"], ["b", "a"], [], ["a"], ["a"]]
    assert found.pages["item_ids"].to_pylist() == once
    assert not found.again.any()
    assert not found.added.any()


def test_a_row_a_page_is_left_as_it_is():
    rows = table([(1, "r", ["a", "b"], None), (2, "r", [], None), (3, None, None, None)])
    found = pages.united(rows, pages.users_of(rows))
    assert found.pages is rows
    assert not found.again.any()


def test_items_that_are_numbered_stay_numbered():
    """As statistics read them."""
    coded = pa.list_(pa.field("element", pa.dictionary(pa.int32(), pa.string())))
    made = table([(1, "r", ["a"], None), (1, "r", ["b"], None), (2, "r", ["b", "b"], None)])
    rows = made.set_column(2, "item_ids", made["item_ids"].cast(coded))
    rows = pa.concat_tables([rows, rows.slice(2)])
    found = pages.united(rows, pages.users_of(rows)).pages
    assert found["item_ids"].type == coded
    assert found["item_ids"].to_pylist() == [["a", "b"], ["b"]]


row = st.tuples(
    st.integers(0, 2),
    st.sampled_from(["r", "s", None]),
    st.lists(st.sampled_from("abcd"), max_size=3),
    st.none(),
)


@given(st.lists(row, min_size=1, max_size=12).map(lambda rows: sorted(rows, key=lambda r: r[0])))
def test_every_page_has_the_items_of_its_rows_and_no_other(rows):
    expected = []
    for user, mine in groupby(rows, key=lambda one: one[0]):
        whole = {}
        for _, request, items, query in mine:
            if request not in whole or request is None:
                whole[request] = (user, request, list(dict.fromkeys(items)), query)
                expected.append(whole[request])
            else:
                before = whole[request][2]
                before += [item for item in dict.fromkeys(items) if item not in before]
    assert told(united(rows).pages) == expected


@pytest.mark.parametrize("count", [0, 1])
def test_of_no_rows_and_of_one_there_is_nothing_to_unite(count):
    rows = table([(1, "r", ["a"], None)]).slice(0, count)
    assert pages.united(rows, pages.users_of(rows)).pages.num_rows == count
