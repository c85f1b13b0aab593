"""Further columns of users, icons and shops: any header has a name that is a folder of its own."""

from datetime import date
from pathlib import PurePosixPath
from urllib.parse import unquote

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.events import EventsConfig, Window, parse
from features.raw.canonical import column_of, extra_columns, header_of, keys_of
from features.raw.dataset import load, parse_description
from features.raw.raw_table import Table

DAY = date(2026, 11, 1)
MARKET = load("marketplace")
ODD = st.text(st.sampled_from("./\\~%2FfE?*[]#<>a \n\u00e9"), max_size=8)


def rows_of(table, dataset, **values):
    block = pa.table({**values, "_source": ["a"], "_line": [1], "_text": pa.nulls(1, pa.string())})
    extra = extra_columns(table, dataset.table(table), list(values))
    return parse(block, table, dataset, Window.of(DAY, dataset, EventsConfig()), extra)


@pytest.mark.parametrize(
    "name", ["age", "user type", "city_id", "\u5730\u533a", "a-b:c", "(x)", "~"]
)
def test_a_usual_header_is_its_own_name(name):
    assert column_of(name) == name


@pytest.mark.parametrize(
    ("header", "name"),
    [
        ("country/region", "country~2Fregion"),
        ("../../x", "~2E.~2F..~2Fx"),
        ("geo.city", "geo.city"),
        (".city", "~2Ecity"),
        ("100 %", "100 %"),
        ("photo.folder", "photo~2Efolder"),
        ("a%2fb", "a~252fb"),
        ("~2F", "~7E2F"),
        ("orders #", "orders ~23"),
        ("new?", "new~3F"),
        ("<b>", "~3Cb~3E"),
    ],
)
def test_an_odd_header_is_written_out(header, name):
    assert (column_of(header), header_of(name)) == (name, header)


@given(ODD, ODD)
def test_two_headers_never_have_one_name_and_none_leads_out_of_its_folder(one, other):
    assert header_of(column_of(one)) == one
    assert (one == other) == (column_of(one) == column_of(other))
    name = f"profile_{column_of(one)}"
    assert PurePosixPath("/home", name).parts == ("/", "home", name)
    assert unquote(name) == name
    assert not set("#?<>") & set(name)


def test_a_column_of_an_odd_header_is_read():
    users = rows_of("users", MARKET, user_id=["u"], **{"../../x": ["1"], "a~2F": ["2"]})
    assert users.accepted.drop_columns(["user_hash", "user_id"]).to_pylist() == [
        {"a~7E2F": "2", "~2E.~2F..~2Fx": "1"}
    ]


def test_a_mapped_column_may_have_an_odd_name_too():
    said = 'name = "x"\n[users.map]\n"a/b" = "c/d"\n[users.constants]\n"e/f" = "g"\n'
    users = rows_of("users", parse_description(said, "x.toml"), user_id=["u"], **{"c/d": ["1"]})
    assert users.accepted.drop_columns(["user_hash", "user_id"]).to_pylist() == [
        {"a~2Fb": "1", "e~2Ff": "g"}
    ]


@pytest.mark.parametrize("name", ["type", "scenario", "key", "shop_id", "icon_id"])
def test_a_user_may_have_a_column_that_means_something_in_another_table(name):
    users = rows_of("users", MARKET, user_id=["u"], **{name: ["vip"]})
    assert users.accepted[name].to_pylist() == ["vip"]
    assert users.rejected.num_rows == 0


def test_the_hash_that_is_made_of_a_user_is_no_column_of_the_source():
    assert extra_columns("users", Table(), ["user_id", "user_hash", "age"]) == ("age",)
    assert extra_columns("icons", Table(), ["icon_id", "user_id"]) == ("user_id",)
    keys = {name: keys_of(name) for name in ("users", "icons", "shops")}
    assert keys == {
        "users": ("user_hash", "user_id"),
        "icons": ("icon_id",),
        "shops": ("shop_id",),
    }
