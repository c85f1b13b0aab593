"""Which of a day's keys the tables have that behaviours are joined with."""

import re
from dataclasses import replace
from datetime import date, timedelta

import pyarrow as pa
import pytest

from features.buckets import hash_ids
from features.quality import joined
from features.schemas import BEHAVIORS, IMPRESSIONS, ITEMS, conform
from infra.store import Store

DAY = date(2026, 3, 2)
USERS = [f"u{i}" for i in range(200)]
REQUESTS = [f"r{i}" for i in range(200)]
COLUMNS = {"type": [1], "scenario": [1], "ts": [1_772_410_000_000]}


@pytest.fixture
def store(tmp_path):
    return Store(str(tmp_path))


def publish(store, name, table, day=DAY, **lineage):
    schema = {"behaviors": BEHAVIORS, "impressions": IMPRESSIONS, "items": ITEMS}.get(name)
    if "user_id" in table.column_names:
        table = table.append_column("user_hash", pa.array(hash_ids(table["user_id"])))
    with store.partition("events", day, name).publish(**lineage) as out:
        out.record([out.write_table("part", conform(table, schema) if schema else table)])


def behaviors(store, requests=REQUESTS, items="i", day=DAY):
    rows = {name: values * len(USERS) for name, values in COLUMNS.items()}
    ids = [f"{items}{i % 50}" for i in range(len(USERS))]
    table = pa.table({"user_id": USERS, "item_id": ids, "request_id": requests, **rows})
    publish(store, "behaviors", table, day)


def pages(store, requests=REQUESTS, users=USERS, items="i", **lineage):
    count = len(requests)
    shown = [["else", f"{items}{n % 50}"] for n in range(count)]
    columns = {"ts": COLUMNS["ts"] * count, "item_ids": shown}
    table = pa.table({"user_id": users[:count], "request_id": requests, **columns})
    publish(store, "impressions", table, **lineage)


def shares(store, moments="auto", day=DAY):
    found = joined.of_day(store, day, moments)
    return {one.figure.split(".")[1].removesuffix("_id"): (one.share, one.keys) for one in found}


def test_a_log_of_behaviours_alone_joins_nothing_and_is_asked_nothing(store):
    behaviors(store)
    assert shares(store) == {}


def test_a_product_table_without_rows_is_held_against_nothing(store):
    behaviors(store)
    publish(store, "items", pa.table({"item_id": pa.array([], pa.string())}))
    assert shares(store) == {}


def test_each_share_is_of_the_distinct_keys_of_the_day(store):
    behaviors(store)
    pages(store, REQUESTS[:50])
    publish(store, "users", pa.table({"user_id": [*USERS[:20], "x"], "city": ["a"] * 21}))
    publish(store, "items", pa.table({"item_id": [f"i{i}" for i in range(40)]}))
    found = {"user": (0.1, 200), "item": (0.8, 50), "request": (0.25, 200), "item_ids": (1, 50)}
    assert shares(store) == found


def test_tables_of_other_keys_have_none(store):
    behaviors(store)
    pages(store, [f"page-{i}" for i in range(200)])
    publish(store, "users", pa.table({"user_id": [f"member-{i}" for i in range(200)]}))
    publish(store, "items", pa.table({"item_id": [str(i) for i in range(50)]}))
    assert shares(store) == {"user": (0, 200), "item": (0, 50), "request": (0, 200)}


def test_behaviours_that_name_no_request_find_no_page(store):
    behaviors(store, requests=[None] * 200)
    pages(store)
    assert shares(store) == {"request": (0, 200)}


@pytest.mark.parametrize(
    ("requests", "said"),
    [
        (REQUESTS, "the share of the requests named by behaviours .* Compare request_id in both"),
        ([None] * 200, "no behaviour names a request .* set sequences.moments=derived"),
    ],
)
def test_where_no_request_is_named_there_is_none_to_compare(store, requests, said):
    behaviors(store, requests=requests)
    pages(store, ["other"])
    (found,) = joined.of_day(store, DAY, "auto")
    assert found.share == 0
    assert re.match(said, found.meaning)


def test_the_page_of_another_user_is_another_page(store):
    behaviors(store)
    pages(store, users=USERS[::-1])
    assert shares(store) == {"request": (0, 200)}


def test_pages_that_write_items_otherwise_than_behaviours_show_nothing_that_is_clicked(store):
    behaviors(store, items="SKU-")
    pages(store)
    assert shares(store) == {"request": (1, 200), "item_ids": (0, 200)}
    *_, found = joined.of_day(store, DAY, "auto")
    assert found.figure == "impressions.item_ids.joined_share"
    assert f"events/dt={DAY}/impressions whose item is among the item_ids" in found.meaning
    assert replace(found, keys=1_000).limit(0.5, 1e-4) == (1e-4, True)


def test_as_many_clicks_as_other_keys_are_held_against_what_was_shown(store, monkeypatch):
    monkeypatch.setattr(joined, "SAMPLE", 20)
    rows = {name: values * 60 for name, values in COLUMNS.items()}
    requests, users = [f"r{n % 20}" for n in range(60)], [USERS[n % 20] for n in range(60)]
    items = [f"i{n}" for n in range(60)]
    made = {"user_id": users, "item_id": items, "request_id": requests, "type": [1] * 60}
    publish(store, "behaviors", pa.table(rows | made))
    pages(store, [f"r{n}" for n in range(20)])
    assert shares(store)["item_ids"][1] == 20


def test_only_clicks_on_known_pages_of_the_same_user_are_held_against_what_was_shown(store):
    """Not what names another page (of the day before), nor a cart, nor another user's page."""
    kinds = [1, 1, 1, 2, 1]
    rows = {name: values * len(kinds) for name, values in COLUMNS.items()} | {"type": kinds}
    users, requests = ["u1", "u1", "u1", "u1", "u2"], ["r1", "r1", "r0", "r1", "r1"]
    items = ["i1", "x", "i1", "y", "i1"]
    made = pa.table({"user_id": users, "item_id": items, "request_id": requests, **rows})
    publish(store, "behaviors", made)
    shown = [["i0"], None, ["i2", "i1"]]  # a row a screen, and one without items
    page = {"user_id": ["u1"] * 3, "request_id": ["r1"] * 3, "ts": COLUMNS["ts"] * 3}
    publish(store, "impressions", pa.table({**page, "item_ids": shown}))
    assert shares(store) == {"request": (1 / 3, 3), "item_ids": (0.5, 2)}


def test_derived_moments_need_no_pages(store):
    behaviors(store, requests=[None] * 200)
    pages(store)
    assert shares(store, "derived") == {}
    pages(store, only_served=True)  # the log has none of its own
    assert shares(store) == {}


SERVED = [f"{i:032x}" for i in range(100)]


@pytest.mark.parametrize(("named", "share"), [(REQUESTS, 0), ([*REQUESTS[:-1], SERVED[0]], 0.01)])
def test_of_pages_that_the_service_wrote_beside_others_those_are_told_that_are_named(
    store, named, share
):
    behaviors(store, named)
    ours = pa.table({"request_id": SERVED, "user_id": [USERS[-1]] * 100, "latency_ms": [1.0] * 100})
    ours = ours.append_column("line", pa.array(["dupn"] * 100))
    ours = ours.append_column("model_version", pa.array(["3"] * 100))
    own = pa.table({"request_id": [*REQUESTS, "0" * 32], "user_id": [*USERS, "u1"]})
    both = pa.concat_tables([own, ours], promote_options="default")
    rest = {"ts": COLUMNS["ts"] * 301, "item_ids": [["i1"]] * 301}
    for name, values in rest.items():
        both = both.append_column(name, pa.array(values))
    publish(store, "impressions", both)
    assert len(shares(store)) == 2  # by an older version, which did not say whose pages they are
    publish(store, "impressions", both, some_served=True)
    *_, found = joined.of_day(store, DAY, "auto")
    assert (found.figure, found.share, found.keys) == (
        "impressions.request_id.joined_share",
        share,
        100,
    )
    assert replace(found, keys=5_000).limit(0.5, 1e-4) == (1e-4, False)


def test_snapshots_of_earlier_days_count_and_those_of_later_days_do_not(store):
    behaviors(store)
    publish(store, "users", pa.table({"user_id": USERS[:100]}), DAY - timedelta(days=3))
    publish(store, "users", pa.table({"user_id": USERS}), DAY + timedelta(days=1))
    publish(store, "items", pa.table({"item_id": ["i1"]}), DAY + timedelta(days=1))
    assert shares(store) == {"user": (0.5, 200)}


def test_a_product_table_of_what_is_new_goes_with_the_first(store):
    behaviors(store)
    publish(store, "items", pa.table({"item_id": ["i1", "i2"]}), DAY - timedelta(days=3))
    publish(store, "items", pa.table({"item_id": ["i3", "new"]}))
    assert shares(store) == {"item": (3 / 50, 50)}


def test_of_many_rows_some_users_are_asked_and_the_shares_are_theirs(store, monkeypatch):
    monkeypatch.setattr(joined, "ROWS", 50)
    chosen = [user for user in USERS if int(hash_ids(pa.array([user]))[0]) % 4 == 0]
    behaviors(store)
    publish(store, "users", pa.table({"user_id": chosen[1:]}))
    publish(store, "items", pa.table({"item_id": [f"i{i}" for i in range(50)]}))
    pages(store)
    count = len(chosen)
    items = len({USERS.index(user) % 50 for user in chosen})
    assert shares(store) == {
        "user": ((count - 1) / count, count),
        "item": (1, items),
        "request": (1, count),
        "item_ids": (1, count),
    }


def test_a_request_that_is_named_by_none_of_some_users_is_looked_for_among_all(store, monkeypatch):
    monkeypatch.setattr(joined, "ROWS", 50)
    odd = next(i for i, user in enumerate(USERS) if int(hash_ids(pa.array([user]))[0]) % 4)
    behaviors(store, [f"r{i}" if i == odd else None for i in range(200)])
    pages(store)
    assert shares(store) == {"request": (1, 1), "item_ids": (1, 1)}


@pytest.mark.parametrize(
    ("keys", "sampled", "limit"),
    [
        (999, True, (1e-4, False)),
        (1_000, True, (1e-4, True)),
        (1_000, False, (0.5, False)),
    ],
)
def test_only_pages_that_nobody_names_stop_a_day_and_of_few_none_may_be_chance(
    keys, sampled, limit
):
    one = joined.Joined(figure="f", keys=keys, found=0, meaning="", sampled=sampled)
    assert one.limit(0.5, 1e-4) == limit


def test_of_many_keys_the_smallest_hashes_are_looked_for(store, monkeypatch):
    monkeypatch.setattr(joined, "SAMPLE", 20)
    behaviors(store)
    order = sorted(USERS, key=lambda user: int(hash_ids(pa.array([user]))[0]))
    publish(store, "users", pa.table({"user_id": order[:10] + order[20:]}))
    assert shares(store) == {"user": (0.5, 20)}
