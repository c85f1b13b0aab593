"""One source column at a time, also as warehouses write it."""

from datetime import date
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest

from features.raw import columns, identity

NAN, INF = float("nan"), float("inf")


def both(read):
    return read.values.to_pylist(), read.bad.tolist()


BYTES = [pa.binary(), pa.large_binary(), pa.binary_view(), pa.binary(2)]


@pytest.mark.parametrize("kind", BYTES, ids=str)
def test_bytes_that_are_text_are_ids(kind):
    written = pa.array([b"u1", b"u2", None], kind)
    assert both(columns.texts(written, ["u2"], as_id=True)) == (["u1", None, None], [False] * 3)


@pytest.mark.parametrize("kind", BYTES, ids=str)
def test_bytes_that_are_no_text_are_bad_in_their_row_alone(kind):
    written = pa.array([b"u1", b"\xff\xfe", None], kind)
    assert both(columns.texts(written, [], as_id=True)) == (
        ["u1", None, None],
        [False, True, False],
    )
    lists = pa.array([[b"a1"], [b"b1", b"\xff\xfe"], None], pa.list_(kind))
    assert both(columns.lists(lists, " ", [])) == ([["a1"], None, None], [False, True, False])


def test_whole_decimals_are_ids_and_fractions_are_not():
    written = pa.array([Decimal("12345678901234567890.00"), Decimal("7.50"), None])
    read = both(columns.texts(written, [], as_id=True))
    assert read == (["12345678901234567890", None, None], [False, True, False])
    assert both(columns.texts(written, []))[0] == ["12345678901234567890", "7.50", None]
    nobody = pa.array([Decimal("0.00"), Decimal("7.00")])
    assert both(columns.texts(nobody, ["0"], as_id=True)) == ([None, "7"], [False, False])


def test_a_fraction_is_no_id_among_numbers_and_a_text_like_others_in_json():
    where = np.array([True, True])
    told = columns.json_ids(columns.texts(pa.array(["1.5", "true"]), [], as_id=True), where)
    assert both(told) == (["1.5", None], [False, True])
    assert both(columns.texts(pa.array([1.5, 2.0]), [], as_id=True)) == ([None, "2"], [True, False])


def test_decimals_are_times_and_prices():
    written = pa.array([Decimal("1604188800"), None], pa.decimal128(38, 0))
    assert columns.plain_times(written, []).to_pylist() == ["1604188800", None]
    prices = pa.array([Decimal("12.50"), Decimal("-1.00")], pa.decimal256(50, 2))
    assert both(columns.numbers(prices, [])) == ([12.5, None], [False, True])


def test_bytes_are_times():
    written = pa.array([b"2017-11-25 01:00:00", b"\xff", None])
    assert columns.plain_times(written, []).to_pylist() == ["2017-11-25 01:00:00", None, None]


def test_texts_of_another_layout_are_texts():
    written = pa.array(["u1", "", None]).cast(pa.string_view())
    assert both(columns.texts(written, [""], as_id=True)) == (["u1", None, None], [False] * 3)
    assert columns.plain_times(written, [""]).to_pylist() == ["u1", None, None]


def test_half_floats_are_numbers():
    written = pa.array(np.array([2.0, 1.5, np.nan], np.float16))
    assert both(columns.texts(written, [], as_id=True)) == (["2", None, None], [False, True, False])
    assert both(columns.numbers(written, [])) == ([2.0, 1.5, None], [False] * 3)


def test_numbers_past_the_exact_ones_are_read_as_near_as_they_can_be():
    written = pa.array([2**63 + 5, 3], pa.uint64())
    assert both(columns.numbers(written, [])) == ([float(2**63), 3.0], [False, False])


@pytest.mark.parametrize(
    "kind",
    [pa.list_(pa.string(), 2), pa.list_view(pa.string()), pa.large_list(pa.string())],
    ids=str,
)
def test_lists_of_another_layout_are_lists(kind):
    written = pa.array([["a", "b"], None], kind)
    assert both(columns.lists(written, " ", [])) == ([["a", "b"], None], [False, False])


LISTED = {
    "floats": (pa.float64(), [123456789012.0, 3.0], [3.0, 12.5], ["123456789012", "3"]),
    "half floats": (pa.float16(), [2.0, None], [NAN, INF], ["2", None]),
    "decimals": (
        pa.decimal128(12, 2),
        [Decimal("10000066.00"), Decimal("7.00")],
        [Decimal("7.00"), Decimal("7.50")],
        ["10000066", "7"],
    ),
    "whole": (pa.int32(), [7, None], None, ["7", None]),
    "truth values": (pa.bool_(), None, [True, False], None),
    "days": (pa.date32(), None, [date(2026, 11, 1), None], None),
}
"""Of each type a list of ids, one that is none, and how the first is read."""


@pytest.mark.parametrize("way", [pa.list_, pa.large_list, pa.list_view, lambda of: pa.list_(of, 2)])
@pytest.mark.parametrize("name", LISTED)
def test_ids_in_a_list_are_read_like_ids_that_stand_alone(name, way):
    kind, good, bad, expected = LISTED[name]
    written = pa.array([bad, good, None, bad, good], way(kind))
    told = [None, expected, None, None, expected]
    marks = [bad is not None, False, False, bad is not None, False]
    assert both(columns.lists(written, " ", [], as_id=True)) == (told, marks)
    assert both(columns.lists(written.slice(1, 3), " ", [], as_id=True)) == (told[1:4], marks[1:4])
    alone = pa.array([*(good or []), *(bad or [])], kind)
    values, refused = both(columns.texts(alone, [], as_id=True))
    assert values[: len(good or [])] == (expected or [])
    assert any(refused) == (bad is not None)


def test_what_is_no_id_may_stand_in_other_lists():
    written = pa.array([[12.5, 3.0], [0.1]])
    assert both(columns.lists(written, " ", [])) == ([["12.5", "3"], ["0.1"]], [False, False])
    flags = pa.array([[True], [None], []], pa.list_(pa.bool_()))
    told = ([["true"], [None], []], [False, False, False])
    assert both(columns.lists(flags, " ", [])) == told
    written = pa.array(["[true]", "[null]", "[]"])
    assert both(columns.lists(written, " ", [])) == told
    refused = ([None, [None], []], [True, False, False])
    assert both(columns.lists(written, " ", [], as_id=True)) == refused


def test_lists_of_parquet_among_json_lines_are_read_as_they_are():
    where = np.ones(2, np.bool_)
    for written in (pa.array([["a"], ["true"]]), pa.array([[1], [2]])):
        read = columns.lists(written, " ", [], as_id=True)
        assert columns.json_lists(read, written, where) is read


def test_an_id_alone_is_a_list_of_one_and_what_is_none_is_bad():
    written = pa.array([12.0, 12.5, None])
    assert both(columns.lists(written, " ", [], as_id=True)) == (
        [["12"], None, None],
        [False, True, False],
    )


def test_decimals_are_hashed_by_value_without_a_loop_over_rows():
    written = pa.array([Decimal("1.50"), Decimal("2.00"), Decimal("1.50")])
    first, second, third = identity.hash_column(written)
    assert first == third != second


def test_an_id_written_as_a_number_is_whole_and_one_that_is_no_number_is_absent():
    ids = pa.array([7.0, NAN, None, 7.5, INF, 2.0**53])  # not every whole number is one from there
    values = ["7", None, None, None, None, None]
    assert both(columns.texts(ids, (), as_id=True)) == (values, [False] * 3 + [True] * 3)


def test_what_is_absent_is_not_bad_whatever_stands_first_in_the_dictionary():
    ids = pa.array([7.5, None, 8.0]).dictionary_encode()
    found = columns.texts(ids, (), as_id=True)
    assert both(found) == ([None, None, "8"], [True, False, False])


def test_a_price_of_nothing_is_a_price_and_one_that_is_no_number_is_absent():
    numbers = [0.0, NAN, None, -1.0, INF]
    bad = [False, False, False, True, True]
    assert both(columns.numbers(pa.array(numbers), ())) == ([0.0, None, None, None, None], bad)
    texts = pa.array(["0", "nan", None, "-1", "inf"])
    assert both(columns.numbers(texts, ())) == ([0.0, None, None, None, None], bad)


ODD_NUMBERS = {
    **dict.fromkeys(["nan", "NaN", "-nan", "nan(7)"], (None, False)),
    **dict.fromkeys(["inf", "-Infinity", "1e400", "1e0400", "-5"], (None, True)),
    **dict.fromkeys(["0x10", "1_000", "12,50", "1e", ".", "-", "\u0665", "--1"], (None, True)),
    **dict.fromkeys(["5", "+5", "5.", "00005", "5e0", "0.5E+0001", " 5 "], (5.0, False)),
    **dict.fromkeys(["-0", ".0", "1e-400"], (0.0, False)),
}


@pytest.mark.parametrize("beside", [[], ["garbage"], ["nan"], ["7"], [None]], ids=str)
@pytest.mark.parametrize(("text", "expected"), ODD_NUMBERS.items())
def test_a_number_in_text_says_the_same_whatever_stands_beside_it(text, expected, beside):
    values, bad = both(columns.numbers(pa.array([text, *beside], pa.string()), []))
    assert (values[0], bad[0]) == expected


NUMERIC = [pa.int32(), pa.float64(), pa.float32()]


@pytest.mark.parametrize("kind", NUMERIC, ids=str)
@pytest.mark.parametrize("tokens", [["", "-1"], ["NULL", "-1.0"]], ids=str)
def test_a_number_that_means_nothing_is_absent_and_not_bad(kind, tokens):
    written = pa.array([-1, 3, None, -2], kind)
    assert both(columns.numbers(written, tokens)) == ([None, 3.0, None, None], [False] * 3 + [True])
    coded = written.dictionary_encode()
    assert both(columns.numbers(coded, tokens)) == both(columns.numbers(written, tokens))
    assert both(columns.levels(written, tokens, 7)) == both(columns.numbers(written, tokens))


def test_a_fraction_that_means_nothing_is_told_in_narrow_numbers_too():
    assert both(columns.numbers(pa.array([-0.1], pa.float32()), ["-0.1"])) == ([None], [False])


@pytest.mark.parametrize("kind", [pa.float16(), *NUMERIC[1:]], ids=str)
def test_an_id_in_floats_that_means_nothing_is_absent(kind):
    written = pa.array(np.array([-1, 3, 7]).astype(kind.to_pandas_dtype()))
    assert both(columns.texts(written, ["-1", "7.0"], as_id=True)) == (
        [None, "3", None],
        [False] * 3,
    )


def test_flags_are_read_in_every_way_of_writing_them():
    texts = ["true", "0", "Yes", "no", "T", "f", "1", "FALSE", "", None, "maybe"]
    values, bad = both(columns.flags(pa.array(texts), [""]))
    assert values == [True, False] * 4 + [None] * 3
    assert np.flatnonzero(bad).tolist() == [10]


def test_lists_lose_what_is_empty_and_stay_where_they_are():
    lists = pa.array([["a", "", None, "b"], None, [], ["", None], ["c"]], pa.list_(pa.string()))
    expected = [["a", "b"], None, [], [], ["c"]]
    assert columns.without_gaps(lists).to_pylist() == expected
    assert columns.without_gaps(lists.slice(1, 3)).to_pylist() == expected[1:4]
    assert columns.without_gaps(pa.array([None, ["", "d"]])).to_pylist() == [None, ["d"]]
