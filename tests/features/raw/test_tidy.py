import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.buckets import hash_ids
from features.raw import tidy
from features.raw.identity import hash_column
from features.raw.tidy import tidy_log, tidy_snapshot
from features.schemas import BEHAVIORS, ITEMS, conform
from infra.errors import ConfigError

rows_of = st.lists(
    st.tuples(
        st.sampled_from("abc"),
        st.integers(0, 3),
        st.sampled_from("xyz"),
        st.sampled_from([None, "r1", "r2"]),
    ),
    max_size=40,
)


def events(rows, places=None):
    users, ts, items, requests = zip(*rows, strict=True) if rows else ([], [], [], [])
    table = pa.table(
        {
            "user_id": pa.array(users, pa.string()),
            "ts": pa.array(ts, pa.int64()).cast(pa.timestamp("ms", "UTC")),
            "item_id": pa.array(items, pa.string()),
            "request_id": pa.array(requests, pa.string()),
            "key": hash_column(pa.array([repr(row) for row in rows], pa.string())),
        }
    )
    table = table.append_column("user_hash", pa.array(hash_ids(table["user_id"])))
    out = conform(table, BEHAVIORS)
    return out if places is None else out.append_column("_place", pa.array(places, pa.uint64()))


@settings(deadline=None)
@given(rows_of, st.randoms())
def test_the_order_of_arrival_never_shows(rows, random):
    mixed = random.sample(rows, len(rows))
    one, two = (tidy_log(events(r), BEHAVIORS) for r in (rows, mixed))
    assert one.rows.equals(two.rows)
    assert one.rows.num_rows == len(set(rows))
    assert one.duplicates == len(rows) - len(set(rows))


@settings(deadline=None)
@given(rows_of)
def test_rows_are_in_their_full_order(rows):
    found = tidy_log(events(rows), BEHAVIORS).rows.to_pylist()

    def order(row):
        at = (row["user_hash"], row["user_id"], row["ts"], row["item_id"])
        return (*at, row["request_id"] is None, row["request_id"] or "")

    assert found == sorted(found, key=order)


@settings(deadline=None)
@given(rows_of, st.randoms())
def test_where_the_place_counts_repeats_stay_and_have_their_own_keys(rows, random):
    places = np.arange(len(rows))
    one = tidy_log(events(rows, places), BEHAVIORS)
    mixed = random.sample(rows, len(rows))
    two = tidy_log(events(mixed, places), BEHAVIORS)
    assert one.rows.equals(two.rows)
    assert one.duplicates == 0
    assert len(set(one.rows["key"].to_pylist())) == len(rows) == one.rows.num_rows


def test_the_same_place_twice_is_the_same_row():
    rows = [("a", 1, "x", None)] * 3
    assert tidy_log(events(rows, [5, 5, 6]), BEHAVIORS).duplicates == 1


def test_an_event_that_came_twice_with_other_content_stays_once():
    table = events([("a", 1, "x", None), ("a", 2, "x", None), ("a", 3, "y", None)])
    same = table.set_column(table.schema.get_field_index("key"), "key", pa.array([7, 7, 8], "u8"))
    found = tidy_log(same, BEHAVIORS)
    assert found.duplicates == 1
    assert [row["ts"].microsecond // 1_000 for row in found.rows.to_pylist()] == [1, 3]


@pytest.mark.parametrize("seed", range(5))
def test_a_snapshot_has_one_row_an_item_the_fullest_whatever_the_order(seed):
    rows = [
        {"item_id": "a", "price": 1.0},
        {"item_id": "a", "price": 1.0, "shop_id": "s", "tags": ["x", "y"]},
        {"item_id": "b"},
        {"item_id": "b", "title": "t"},
        {"item_id": "c", "title": "2"},
        {"item_id": "c", "title": "1"},
    ]
    order = np.random.default_rng(seed).permutation(len(rows))
    table = pa.Table.from_pylist([rows[i] for i in order], schema=ITEMS)
    found = tidy_snapshot(table, "item_id")
    kept = {row["item_id"]: row for row in found.rows.to_pylist()}
    assert found.duplicates == 3
    assert (kept["a"]["shop_id"], kept["b"]["title"], kept["c"]["title"]) == ("s", "t", "1")
    hashes = hash_ids(found.rows["item_id"])
    assert (np.sort(hashes) == hashes).all()


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"shop_id": "7"}, {"brand_id": "7"}),
        ({"shop_id": "7", "brand_id": "8"}, {"shop_id": "7\x1f8", "category_id": ""}),
        ({"tags": ["x", "y"]}, {"tags": ["y", "x"]}),
        ({"tags": ["x", None]}, {"tags": [None, "x"]}),
        ({"tags": ["x\x1fy"]}, {"tags": ["x", "y"]}),
        ({"tags": []}, {"title": ""}),
        ({"price": 9.0}, {"price": 10.0}),
    ],
)
def test_of_rows_as_full_as_each_other_the_same_one_stays_whichever_came_first(one, other):
    rows = [{"item_id": "i", **one}, {"item_id": "i", **other}]
    first, second = (
        tidy_snapshot(pa.Table.from_pylist(told, schema=ITEMS), "item_id").rows
        for told in (rows, rows[::-1])
    )
    assert first.num_rows == 1
    assert first.equals(second)


def test_a_snapshot_may_have_a_column_of_any_name():
    names = ("hash", "id", "absent", "_hash", "_id")
    table = pa.table({"user_id": ["u", "u"], **{name: ["b", "a"] for name in names}})
    assert tidy_snapshot(table, "user_id").rows["_id"].to_pylist() == ["a"]


LONG = 1_000
"""Characters of a text that do not fit beside many like it."""


@pytest.mark.parametrize(
    ("column", "kind"), [("query", pa.string()), ("item_ids", pa.list_(pa.string()))]
)
def test_a_bucket_with_more_text_than_a_column_holds_says_what_to_set(monkeypatch, column, kind):
    rows = [("a", n, "x", None) for n in range(9)]
    texts = [letter * LONG for letter in "abcdefghi"]
    values = [[text] for text in texts] if pa.types.is_list(kind) else texts
    table = events(rows).append_column(column, pa.chunked_array([[v] for v in values], kind))
    schema = BEHAVIORS.append(pa.field(column, kind))
    monkeypatch.setattr(tidy, "MOST", 9 * LONG)
    assert tidy_log(table, schema).rows[column].to_pylist() == values
    monkeypatch.setattr(tidy, "MOST", 9 * LONG - 1)
    said = rf"{column} of a bucket of 9 rows holds 9,000 .* 8,999\. Set beam\.buckets higher"
    with pytest.raises(ConfigError, match=said):
        tidy_log(table, schema)


def test_so_does_a_snapshot(monkeypatch):
    rows = [{"item_id": f"i{n}", "title": "t" * LONG} for n in range(9)]
    monkeypatch.setattr(tidy, "MOST", 9 * LONG - 1)
    with pytest.raises(ConfigError, match=r"title of a bucket of 9 rows .*beam\.buckets"):
        tidy_snapshot(pa.Table.from_pylist(rows, schema=ITEMS), "item_id")


def test_the_same_place_with_other_content_is_another_row():
    rows = [("a", 1, "x", None), ("a", 1, "y", None)]  # a file of that name came again, changed
    assert tidy_log(events(rows, [5, 5]), BEHAVIORS).duplicates == 0
