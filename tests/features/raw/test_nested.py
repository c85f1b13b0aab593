"""Nested values of Parquet say what the same values of JSON lines say."""

import io
import json
from datetime import date
from decimal import Decimal

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.events import parse
from features.raw import nested
from features.raw.dataset import parse_description
from features.raw.parse import text_blocks
from features.raw.raw_table import Table
from tests.features.raw.test_json_texts import TEXT
from tests.features.test_events import MARKET, WINDOW, market, placed, reasons


def of_json(values):
    data = "".join(json.dumps({"city": value}) + "\n" for value in values).encode()
    blocks = text_blocks(io.BytesIO(data), "users.jsonl", Table(format="jsonl"), 1_000)
    return pa.concat_tables(blocks)["city"].to_pylist()


WORDS = st.lists(st.none() | TEXT, max_size=3)
INNER = st.fixed_dictionaries(
    {"words": st.none() | WORDS, "n": st.none() | st.integers(-(2**63), 2**63 - 1), "é": TEXT}
)


@settings(deadline=None, max_examples=200)
@given(st.lists(st.none() | WORDS, max_size=4), st.lists(st.none() | INNER, max_size=4))
def test_a_list_and_a_structure_are_the_text_that_json_has_of_them(lists, structures):
    words = pa.list_(pa.string())
    kind = pa.struct([("words", words), ("n", pa.int64()), ("é", pa.string())])
    inner = [value and {name: value[name] for name in kind.names} for value in structures]
    for values, of in ((lists, words), (inner, kind)):
        found = nested.texts(pa.array(values, of), ())
        assert not found.bad.any()
        assert found.values.to_pylist() == (of_json(values) if values else [])


WRITTEN = {
    "bytes": (pa.list_(pa.binary()), [b"a", "ü".encode()], '["a", "ü"]'),
    "bytes of a large list": (pa.large_list(pa.binary()), [b"a", "ü".encode()], '["a", "ü"]'),
    "bytes of a list of one": (pa.list_(pa.binary(), 1), [b"a"], '["a"]'),
    "map": (pa.map_(pa.string(), pa.float32()), {"k": 1.5}, '{"k": 1.5}'),
    "map of numbers": (pa.map_(pa.int64(), pa.int8()), {3: 1}, '{"3": 1}'),
    "wide decimals": (pa.list_(pa.decimal256(50, 2)), [Decimal("1.50")], '["1.50"]'),
    "flags": (pa.list_(pa.bool_(), 2), [True, None], "[true, null]"),
    "days": (pa.large_list(pa.date32()), [date(2026, 11, 1)], '["2026-11-01"]'),
    "none": (pa.list_(pa.string()), [], "[]"),
    "a view": (pa.list_view(pa.int8()), [1, 2], "[1, 2]"),
}


@pytest.mark.parametrize("name", list(WRITTEN))
def test_whatever_a_warehouse_nests_has_a_text(name):
    kind, value, text = WRITTEN[name]
    found = nested.texts(pa.array([value, None], kind), ())
    assert (found.values.to_pylist(), found.bad.tolist()) == ([text, None], [False, False])
    assert nested.texts(pa.array([value, value], kind), (text,)).values.null_count == 2


def test_bytes_that_are_no_text_are_bad_in_their_row_alone():
    found = nested.texts(pa.array([[b"a"], [b"b", b"\xff"], None], pa.list_(pa.binary())), ())
    assert found.values.to_pylist() == ['["a"]', None, None]
    assert found.bad.tolist() == [False, True, False]


def test_a_profile_has_lists_as_text_and_an_id_is_none():
    rows = {"user_id": ["u1", "u2"], "tastes": [["red", "big"], None], "shop_id": ["s", "s"]}
    found = parse(placed(pa.table(rows)), "users", MARKET, WINDOW, ("shop_id", "tastes"))
    assert found.accepted["tastes"].to_pylist() == ['["red", "big"]', None]
    rows["shop_id"] = [["s"], None]
    found = parse(placed(pa.table(rows)), "users", MARKET, WINDOW, ("shop_id", "tastes"))
    assert (reasons(found), found.accepted["user_id"].to_pylist()) == (["bad_type_of_id"], ["u2"])


def test_a_list_that_an_item_may_lack_loses_what_is_empty_and_that_of_a_page_refuses_it():
    tags = ["a;;b;", '["a", null, "", "b"]', ";", "[null]", '["a", {}]']
    text = 'name = "j"\n[items]\nformat = "jsonl"\nseparators = { tags = ";" }\n'
    rows = placed(pa.table({"item_id": list("vwxyz"), "tags": tags}))
    found = parse(rows, "items", parse_description(text, "j.toml"), WINDOW)
    assert found.accepted["tags"].to_pylist() == [["a", "b"], ["a", "b"], [], []]
    assert reasons(found) == ["bad_value"]
    page = {"request_id": "r", "user_id": "u", "ts": 1_793_500_000_000}
    pages = market(
        [page | {"item_ids": ids} for ids in ('["a", null]', '["a", ""]')], "impressions"
    )
    assert reasons(pages) == ["missing_id"] * 2


PAGE = {"request_id": "r", "user_id": "u", "ts": 1_793_500_000_000}


@pytest.mark.parametrize(
    ("kind", "good", "odd", "ids"),
    [
        (pa.list_(pa.float64()), [123456789012.0, 3.0], [3.0, 12.5], ["123456789012", "3"]),
        (pa.list_(pa.decimal128(12, 2)), [Decimal("10000066.00")], [Decimal("7.5")], ["10000066"]),
        (pa.float64(), 12.0, 12.5, ["12"]),
    ],
)
def test_items_of_a_page_are_ids_like_that_of_a_behaviour(kind, good, odd, ids):
    rows = [PAGE | {"item_ids": shown} for shown in (good, odd)]
    found = market(rows, "impressions", item_ids=kind)
    assert found.accepted["item_ids"].to_pylist() == [ids]
    assert reasons(found) == ["bad_value"]


def test_an_object_and_a_truth_value_of_json_are_no_items_of_a_page():
    shown = ['["a", 7]', '["a", true]', "true", '{"id": "a"}', "a", '[{"id": "a"}]', "[1.5]"]
    rows = placed(pa.table({name: [value] * 7 for name, value in PAGE.items()}))
    rows = rows.append_column("item_ids", pa.array(shown))
    text = 'name = "j"\n[impressions]\nformat = "jsonl"\n'
    found = parse(rows, "impressions", parse_description(text, "j.toml"), WINDOW)
    assert found.accepted["item_ids"].to_pylist() == [["a", "7"], ["a"]]
    assert reasons(found) == ["bad_value"] * 5
