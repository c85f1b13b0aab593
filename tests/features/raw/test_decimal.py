"""Prices with a comma before the fraction, and points or spaces between groups of three digits."""

import io
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest

from features.events import EventsConfig, Window, parse
from features.raw import columns
from features.raw.checking import check
from features.raw.dataset import parse_description
from features.raw.parse import text_blocks
from infra.errors import ConfigError
from tests.features.test_events import DAY

EVERY = object()


def read(values, nulls=(), comma=EVERY):
    given = pa.array(values)
    everywhere = np.ones(len(given), np.bool_) if comma is EVERY else comma
    found = columns.numbers(given, nulls, everywhere)
    return found.values.to_pylist(), found.bad.tolist()


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("19,95", 19.95),
        ("1.299", 1299),
        ("1.299,90", 1299.9),
        ("12.345.678,5", 12345678.5),
        ("1 299,90", 1299.9),
        ("1\u00a0299", 1299),
        ("1\u202f299\u202f000,25", 1299000.25),
        ("1\u2009000", 1000),
        ("1299,9", 1299.9),
        (" 7 ", 7),
        ("+7,", 7),
        (",5", 0.5),
        ("0,299", 0.299),
        ("1,5e3", 1500),
    ],
)
def test_with_a_comma_points_and_spaces_group_three_digits(text, value):
    assert read([text, None]) == ([float(np.float32(value)), None], [False, False])


@pytest.mark.parametrize(
    "text",
    [
        *("19.95", "1.29", "1.2999", "12.34.567", "1299.000", "0.299", "1.299 000", "1,299,000"),
        *("1.299e3", "1.", ".5", "1,5,0", "1'299", "1  299", "-1.299", "", ",", "free", "inf"),
    ],
)
def test_what_is_grouped_otherwise_is_no_number(text):
    assert read([text, "1,5"]) == ([None, 1.5], [True, False])


def test_tokens_for_nothing_are_texts_as_they_stand_and_nan_is_null():
    found = read(["k.A.", "-1", "nan", "2,5", None], nulls=["k.A.", "-1"])
    assert found == ([None, None, None, 2.5, None], [False] * 5)


def test_what_is_a_number_already_has_no_comma():
    assert read([1.299, 5.0, -1.0]) == ([float(np.float32(1.299)), 5.0, None], [False, False, True])
    assert read([1, 1299]) == ([1.0, 1299.0], [False, False])
    assert read([Decimal("1.299")])[0] == [float(np.float32(1.299))]
    assert read(["1,5", "1.299"], comma=np.array([True, False]))[0] == read([1.5, 1.299])[0]


def test_dictionaries_and_bytes_are_read_as_texts():
    given = pa.array(["1.299", "19,95", "1.299"])
    for written in (given.dictionary_encode(), given.cast(pa.binary())):
        found = columns.numbers(written, [], np.ones(3, np.bool_))
        assert found.values.to_pylist() == read([1299.0, 19.95, 1299.0])[0]
        assert not found.bad.any()


DESCRIBED = 'name = "mine"\n[items]\nformat = "csv"\ndelimiter = ";"\n'
ROWS = "item_id;price\na;1.299\nb;19,95\nc;\nd;19.95\n"


def blocks(dataset, text, file):
    return next(text_blocks(io.BytesIO(text.encode()), file, dataset.table("items"), 1_000))


def test_a_table_says_what_stands_before_the_fraction_and_wrong_rows_are_refused_alone():
    dataset = parse_description(f'{DESCRIBED}decimal = ","\n', "mine.toml")
    window = Window.of(DAY, dataset, EventsConfig())
    done = parse(blocks(dataset, ROWS, "items.csv"), "items", dataset, window)
    prices = dict(
        zip(*done.accepted.select(["item_id", "price"]).to_pydict().values(), strict=True)
    )
    assert prices == {"a": 1299.0, "b": float(np.float32(19.95)), "c": None}
    assert done.rejected.select(["line", "reason"]).to_pylist() == [
        {"line": 5, "reason": "bad_value"}
    ]


def test_lines_of_json_have_a_point_whatever_their_table_says():
    dataset = parse_description(f'{DESCRIBED}decimal = ","\n', "mine.toml")
    block = blocks(dataset, '{"item_id": "a", "price": 1.299}\n', "items.jsonl")
    done = parse(block, "items", dataset, Window.of(DAY, dataset, EventsConfig()))
    assert done.accepted["price"].to_pylist() == [float(np.float32(1.299))]
    with pytest.raises(ConfigError, match=r"mine\.toml line 5: items\.decimal: items\.jsonl is of"):
        check(dataset, "items", "items.jsonl", block)
    with pytest.raises(ConfigError, match=r"items: decimal: numbers of JSON have a point"):
        parse_description('name = "m"\n[items]\nformat = "jsonl"\ndecimal = ","\n', "mine.toml")


def test_prices_with_a_comma_are_refused_with_the_key_that_reads_them():
    text = "item_id;price\na;19,95\n"
    dataset = parse_description(DESCRIBED, "mine.toml")
    with pytest.raises(ConfigError, match=r"no price: '19,95'.*decimal = \",\" those like 1\.299"):
        check(dataset, "items", "items.csv", blocks(dataset, text, "items.csv"))
    dataset = parse_description(f'{DESCRIBED}decimal = ","\n', "mine.toml")
    check(dataset, "items", "items.csv", blocks(dataset, text, "items.csv"))
    other = blocks(dataset, text.replace(",", "."), "items.csv")
    with pytest.raises(ConfigError, match=r"no price: '19\.95'\. .* numbers like 1\.299,50"):
        check(dataset, "items", "items.csv", other)
