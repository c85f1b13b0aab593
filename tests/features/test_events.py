from datetime import UTC, date, datetime
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.events import EventsConfig, Window, parse
from features.raw.canonical import schema_of
from features.raw.dataset import load, parse_description
from features.schemas import BEHAVIORS, FOLLOWS, IMPRESSIONS, ITEMS

DAY = date(2026, 11, 1)
NOON = int(datetime(2026, 11, 1, 12, tzinfo=UTC).timestamp() * 1_000)
MARKET = load("marketplace")
WINDOW = Window.of(DAY, MARKET, EventsConfig())


def block(rows, **types):
    names = list(dict.fromkeys(name for row in rows for name in row))
    columns = {n: pa.array([row.get(n) for row in rows], types.get(n)) for n in names}
    return placed(pa.table(columns))


def placed(table):
    rows = table.num_rows
    for name, values in (
        ("_source", pa.array(["log"] * rows)),
        ("_line", pa.array(range(1, rows + 1), pa.int64())),
        ("_text", pa.nulls(rows, pa.string())),
    ):
        if name not in table.column_names:
            table = table.append_column(name, values)
    return table


def behavior(**over):
    return {"user_id": "u", "item_id": "i", "type": "click", "ts": NOON, **over}


def reasons(found):
    return found.rejected["reason"].to_pylist()


def market(rows, name="behaviors", **types):
    return parse(block(rows, **types), name, MARKET, WINDOW)


def test_a_good_row_is_canonical():
    found = market([behavior(scenario="ad", price=2.5, request_id="r")])
    assert found.accepted.schema.equals(BEHAVIORS)
    row = found.accepted.to_pylist()[0]
    assert (row["type"], row["scenario"], row["price"], row["request_id"]) == (1, 3, 2.5, "r")
    assert row["ts"] == datetime(2026, 11, 1, 12, tzinfo=UTC)
    assert row["shop_id"] is None


def test_a_row_as_a_warehouse_writes_it_is_canonical():
    written = {"item_id": Decimal(31), "ts": Decimal(NOON), "price": Decimal("2.50")}
    found = market([behavior(user_id=user, **written) for user in (b"u1", b"\xff")])
    row = found.accepted.to_pylist()[0]
    assert (row["user_id"], row["item_id"], row["price"]) == ("u1", "31", 2.5)
    assert row["ts"] == datetime(2026, 11, 1, 12, tzinfo=UTC)
    assert reasons(found) == ["bad_type_of_id"]
    assert found.rejected["text"].to_pylist() == [f"\ufffd,31,click,{NOON},2.50"]


@pytest.mark.parametrize(
    ("over", "reason"),
    [
        ({"user_id": None}, "missing_id"),
        ({"item_id": ""}, "missing_id"),
        ({"item_id": None, "ts": None}, "missing_id"),
        ({"type": "look"}, "unknown_type"),
        ({"type": None}, "unknown_type"),
        ({"scenario": "tv"}, "unknown_scenario"),
        ({"ts": None}, "bad_time"),
        ({"ts": NOON // 1_000}, "wrong_unit_time"),
        ({"ts": NOON * 1_000}, "wrong_unit_time"),
        ({"ts": NOON + 86_400_000}, "future_time"),
        ({"ts": NOON - 40 * 86_400_000}, "stray_day"),
        ({"price": -1.0}, "bad_value"),
        ({"price": float("inf")}, "bad_value"),
    ],
)
def test_every_fault_has_its_reason(over, reason):
    found = market([behavior(), behavior(scenario=None, price=1.0) | over, behavior()])
    assert reasons(found) == [reason]
    assert found.rejected["line"].to_pylist() == [2]
    assert found.accepted.num_rows == 2
    assert found.rejected["sentence"][0].as_py()


@pytest.mark.parametrize(
    ("values", "kind", "expected"),
    [
        ([7, 8], pa.int64(), ["7", "8"]),
        ([7.0, 8.0], pa.float64(), ["7", "8"]),
        (["a", "b"], pa.large_string(), ["a", "b"]),
    ],
)
def test_ids_of_another_type_are_written_out(values, kind, expected):
    found = market([behavior(item_id=v) for v in values], item_id=kind)
    assert found.accepted["item_id"].to_pylist() == expected


@pytest.mark.parametrize(
    ("values", "kind"),
    [([7.5], pa.float64()), ([True], pa.bool_()), ([["a"]], pa.list_(pa.string()))],
)
def test_what_cannot_be_an_id_is_refused(values, kind):
    found = market([behavior(item_id=v) for v in values], item_id=kind)
    assert reasons(found) == ["bad_type_of_id"]


def test_a_dictionary_column_reads_like_a_plain_one():
    rows = [behavior(user_id=u, item_id=i) for u in ("a", "b", None) for i in ("x", "", "y")]
    plain = block(rows)
    coded = plain
    for name in ("user_id", "item_id", "type"):
        at = coded.schema.get_field_index(name)
        coded = coded.set_column(at, name, coded[name].dictionary_encode())
    one, two = (parse(rows, "behaviors", MARKET, WINDOW) for rows in (plain, coded))
    assert one.accepted.equals(two.accepted)
    assert one.rejected.equals(two.rejected)
    assert one.accepted.num_rows == 4


def test_a_row_of_a_past_day_is_late_and_kept():
    found = market([behavior(ts=NOON - 86_400_000)])
    assert found.accepted.num_rows == 1


def test_late_rows_are_believed_from_the_first_moment_of_the_lookback_to_the_last_of_the_day():
    first = int(datetime(2026, 10, 30, tzinfo=UTC).timestamp() * 1_000)
    window = Window.of(DAY, MARKET, EventsConfig(lookback_days=2))
    midnight = int(datetime(2026, 11, 2, tzinfo=UTC).timestamp() * 1_000)
    rows = block([behavior(ts=ts) for ts in (first - 1, first, midnight - 1, midnight)])
    found = parse(rows, "behaviors", MARKET, window)
    assert found.rejected.select(["line", "reason"]).to_pylist() == [
        {"line": 1, "reason": "stray_day"},
        {"line": 4, "reason": "future_time"},
    ]


def test_clock_skew_is_a_setting():
    just_after = WINDOW.end + 5_000
    loose = Window.of(DAY, MARKET, EventsConfig(max_future_s=10))
    rows = block([behavior(ts=just_after)])
    assert reasons(parse(rows, "behaviors", MARKET, WINDOW)) == ["future_time"]
    assert parse(rows, "behaviors", MARKET, loose).accepted.num_rows == 1


def test_a_date_that_is_written_out_is_never_in_another_unit():
    """1970-01-21 is what a day of 2026 looks like where seconds are taken for milliseconds."""
    text = 'name = "x"\n[behaviors]\ntime = { format = "%Y-%m-%d %H:%M" }\n'
    rows = block([behavior(ts="1970-01-21 18:00"), behavior(ts="2026-11-01 00:00")])
    found = parse(rows, "behaviors", parse_description(text, "x.toml"), WINDOW)
    assert (reasons(found), found.accepted.num_rows) == (["stray_day"], 1)


def test_a_row_is_the_same_row_whatever_the_order_of_the_columns():
    rows = block([behavior(), behavior(item_id="j")])
    columns = [name for name in rows.column_names if not name.startswith("_")]
    turned = rows.select([*columns[::-1], "_source", "_line", "_text"])
    one, two = (parse(some, "behaviors", MARKET, WINDOW).accepted["key"] for some in (rows, turned))
    assert one.to_pylist() == two.to_pylist()
    assert one[0] != one[1]


def test_an_event_without_its_id_is_refused_where_the_id_tells_events_apart():
    text = 'name = "e"\n[behaviors]\nidentity = "event_id"\n'
    rows = block([behavior(event_id="e1"), behavior(event_id=None), behavior(event_id="")])
    found = parse(rows, "behaviors", parse_description(text, "e.toml"), WINDOW)
    assert (reasons(found), found.accepted.num_rows) == (["missing_id"] * 2, 1)


def test_unsplit_lines_get_the_reason_of_their_format():
    dataset = parse_description('name = "j"\n[behaviors]\nformat = "jsonl"\n', "j.toml")
    rows = placed(
        pa.table(
            {"user_id": pa.nulls(2, pa.string()), "_text": ['{"user_id": "u', "caf\ufffd"]},
        )
    )
    assert reasons(parse(rows, "behaviors", dataset, WINDOW)) == ["bad_json", "bad_encoding"]
    assert reasons(parse(rows, "behaviors", MARKET, WINDOW)) == ["bad_columns", "bad_encoding"]


def test_json_values_that_are_no_ids_are_refused():
    dataset = parse_description('name = "j"\n[behaviors]\nformat = "jsonl"\n', "j.toml")
    rows = block([behavior(item_id='{"id": 3}'), behavior(item_id="true"), behavior(item_id="3")])
    assert reasons(parse(rows, "behaviors", dataset, WINDOW)) == ["bad_type_of_id"] * 2
    assert market([behavior(item_id="[x]")]).accepted.num_rows == 1  # elsewhere it is just a text


def test_pages_follows_and_items_are_read_too():
    pages = market(
        [
            {"request_id": "r", "user_id": "u", "ts": NOON, "item_ids": ["a", "b"], "query": "x y"},
            {"request_id": "r", "user_id": "u", "ts": NOON, "item_ids": [], "query": None},
            {"request_id": "r", "user_id": "u", "ts": NOON, "item_ids": ["a", None], "query": None},
            {"request_id": "r", "user_id": "u", "ts": NOON, "item_ids": ["a", ""], "query": None},
        ],
        "impressions",
    )
    assert pages.accepted.select(IMPRESSIONS.names).to_pylist()[0]["item_ids"] == ["a", "b"]
    assert reasons(pages) == ["missing_id"] * 3
    follows = market(
        [
            {"user_id": "u", "icon_id": "k", "ts": NOON, "followed": flag}
            for flag in ("true", "0", "maybe", None)
        ],
        "follows",
    )
    assert follows.accepted.select(FOLLOWS.names)["followed"].to_pylist() == [True, False]
    assert reasons(follows) == ["bad_value"] * 2
    items = market([{"item_id": "a", "price": "3.5", "tags": ["x"]}, {"item_id": None}], "items")
    assert items.accepted.schema.equals(ITEMS)
    assert items.accepted["price"].to_pylist() == [3.5]


def test_how_a_page_was_answered_is_kept_where_it_is_said():
    page = {"request_id": "r", "user_id": "u", "ts": NOON, "item_ids": ["a"]}
    said = {"variant": "b", "model_version": 12, "price_level": 7, "latency_ms": 3.5}
    levels = [{**page, "price_level": level} for level in ("4", 0, 8, 2.5, "high")]
    found = market([page, {**page, **said, "line": "dupn", "failed": False}], "impressions")
    plain, told = found.accepted.select(IMPRESSIONS.names).to_pylist()
    assert [told[name] for name in said] == ["b", "12", 7, 3.5]
    assert (told["line"], told["failed"]) == ("dupn", False)
    assert all(plain[name] is None for name in (*said, "line", "failed"))
    good, *bad = [market([level], "impressions") for level in levels]
    assert good.accepted["price_level"].to_pylist() == [4]
    assert [reasons(one) for one in bad] == [["bad_value"]] * 4


def test_users_keep_the_columns_that_the_data_set_names():
    schema = schema_of("users", ("age",))
    rows = block([{"user_id": "u", "age": 3, "other": "x"}])
    found = parse(rows, "users", MARKET, WINDOW, ("age",))
    assert found.accepted.schema.equals(schema)
    assert found.accepted["age"].to_pylist() == ["3"]


def test_ignored_codes_are_counted_and_neither_kept_nor_refused():
    dataset = parse_description(
        'name = "x"\n[behaviors]\nignore_types = ["5"]\n[behaviors.types]\n1 = "click"\n', "x.toml"
    )
    rows = block([behavior(type=t) for t in ("1", "5", "9", "5")] + [behavior(type="5", ts=None)])
    found = parse(rows, "behaviors", dataset, WINDOW)
    assert found.ignored == {"5": 3}
    assert reasons(found) == ["unknown_type"]
    assert found.accepted.num_rows == 1


dirty = st.fixed_dictionaries(
    {
        "user_id": st.sampled_from(["a", "b", "", None]),
        "item_id": st.sampled_from(["x", "y", None]),
        "type": st.sampled_from(["click", "cart", "CLICK", None]),
        "ts": st.sampled_from([NOON, NOON // 1_000, 0, -1, 2**62, None]),
        "price": st.sampled_from(["1", "x", "", None]),
        "scenario": st.sampled_from(["search", "?", None]),
    }
)


@settings(deadline=None)
@given(st.lists(dirty, min_size=1, max_size=40))
def test_every_row_is_kept_or_refused_once(rows):
    types = {name: pa.string() for name in ("user_id", "item_id", "type", "price", "scenario")}
    found = market(rows, **types, ts=pa.int64())
    good = [
        row
        for row in rows
        if row["user_id"]
        and row["item_id"]
        and row["type"] in ("click", "cart")
        and row["ts"] == NOON
        and row["price"] != "x"
        and row["scenario"] != "?"
    ]
    assert found.accepted["user_id"].to_pylist() == [row["user_id"] for row in good]
    assert found.read == len(rows) == found.accepted.num_rows + found.rejected.num_rows
    lines = found.rejected["line"].to_pylist()
    assert lines == [n for n, row in enumerate(rows, 1) if row not in good]


def test_bounds_of_the_log_make_other_days_stray():
    dataset = parse_description(
        'name = "x"\nfirst_day = 2026-11-01\nlast_day = 2026-11-01\n[behaviors]\n', "x.toml"
    )
    window = Window.of(DAY, dataset, EventsConfig())
    rows = block([behavior(ts=NOON + hours * 3_600_000) for hours in (-24, -12, 0, 12, 24)])
    found = parse(rows, "behaviors", dataset, window)
    assert found.rejected["line"].to_pylist() == [1, 4, 5]
    assert reasons(found) == ["stray_day"] * 3


def test_the_text_of_a_refused_row_is_its_values():
    found = market([behavior(type="look", price=1.5)])
    assert found.rejected["text"].to_pylist() == [f"u,i,look,{NOON},1.5"]


def test_a_json_row_is_the_same_row_whatever_keys_the_lines_beside_it_have():
    plain = behavior(ts=str(NOON))
    more = behavior(ts=str(NOON), price="2.5", coupon="c")
    log = pa.array(["log.jsonl"] * 2)
    alone = parse(
        block([plain, plain]).set_column(4, "_source", log), *("behaviors", MARKET, WINDOW)
    )
    beside = parse(
        block([plain, more]).set_column(6, "_source", log), *("behaviors", MARKET, WINDOW)
    )
    first, again = alone.accepted["key"].to_pylist()
    assert first == again == beside.accepted["key"][0].as_py() != beside.accepted["key"][1].as_py()


def test_a_row_of_csv_is_the_same_row_beside_one_of_json():
    sources = [pa.array(["log.csv", "log.csv"]), pa.array(["log.csv", "log.jsonl"])]
    rows = block([behavior(ts=str(NOON)), behavior(ts=str(NOON), item_id="j")])
    at = rows.column_names.index("_source")
    keys = [
        parse(rows.set_column(at, "_source", one), "behaviors", MARKET, WINDOW).accepted["key"]
        for one in sources
    ]
    assert keys[0][0] == keys[1][0]
    assert keys[0][1] != keys[1][1]


def test_float_text_ids_lose_their_fraction():
    tmall = load("tmall_ijcai15")
    window = Window.of(date(2014, 8, 29), tmall, EventsConfig())
    row = {
        "": "0",
        "user_id": "328862",
        "item_id": "323294",
        "cat_id": "833",
        "seller_id": "2882",
        "brand_id": "2661.0",
        "time_stamp": "829",
        "action_type": "0",
    }
    brands = ["2661.0", "", "2661.00", "2661.5", "7"]
    rows = [row | {"brand_id": brand} for brand in brands]
    found = parse(block(rows), "behaviors", tmall, window)
    assert found.accepted["brand_id"].to_pylist() == ["2661", None, "2661", "2661.5", "7"]
    assert found.accepted["shop_id"].to_pylist() == ["2882"] * 5
    assert np.unique(found.accepted["_place"].to_numpy()).size == 5
