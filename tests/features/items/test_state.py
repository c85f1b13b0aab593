from datetime import date

import pyarrow as pa
import pytest

from features.buckets import buckets
from features.items import state as items
from features.raw.clock import PLAUSIBLE
from features.schemas import BEHAVIORS, ITEMS, conform
from infra.store import Store


def said(second, **inline):
    row = {"item_id": "a", "ts": second * 1000, **inline}
    return items.seen(conform(pa.Table.from_pylist([row]), BEHAVIORS))


def listed(**columns):
    return items.listed(conform(pa.Table.from_pylist([{"item_id": "a", **columns}]), ITEMS))


def known(*nights):
    """What is known of the item after some nights of (sightings, snapshots)."""
    state = items.STATE.empty_table()
    for seen, fresh in nights:
        state = items.merge(state, seen, fresh)
    (row,) = state.to_pylist()
    return {name: row[name] for name in ("shop_id", "brand_id", "price", "title", "listed")}


def test_what_a_snapshot_has_said_outlasts_what_behaviours_say():
    snapshot = listed(shop_id="s", price=3.0, title="t")
    later = said(9, shop_id="other", brand_id="b", price=5.0)
    expected = {"shop_id": "s", "brand_id": "b", "price": 3.0, "title": "t", "listed": True}
    assert known(([], [snapshot]), ([later], [])) == expected
    assert known(([later], [snapshot])) == expected
    assert known(([later], []), ([], [snapshot])) == expected


def test_of_what_behaviours_say_the_latest_holds_not_the_largest():
    early, late = said(1, shop_id="z", price=9.0), said(2, shop_id="a", price=2.0)
    for nights in ([([early, late], [])], [([late, early], [])], [([early], []), ([late], [])]):
        found = known(*nights)
        assert (found["shop_id"], found["price"], found["listed"]) == ("a", 2.0, False)


def test_what_arrives_late_does_not_replace_what_a_later_behaviour_has_said():
    today = said(50, shop_id="new", price=20.0), said(60, shop_id="new")
    late = said(10, shop_id="old", price=5.0, brand_id="b")
    found = known(([*today], []), ([late], []))
    assert (found["shop_id"], found["price"], found["brand_id"]) == ("new", 20.0, "b")
    between = said(55, shop_id="old", price=30.0)  # later than the price, not than the shop
    found = known(([*today], []), ([between], []), ([late], []))
    assert (found["shop_id"], found["price"]) == ("new", 30.0)
    same = said(60, shop_id="corrected")
    assert known(([*today], []), ([same], []))["shop_id"] == "corrected"


def shown(times):
    return items.displayed(pa.array(["a"] * times))


def admitted(*nights, needed=2):
    """Whether the item has a row after some nights of sightings."""
    state = items.STATE.empty_table()
    for number, seen in enumerate(nights):
        state = items.settle(items.merge(state, seen, []), needed, 2 + number, 2 + number)
    (row,) = state.to_pylist()
    return row["item"] != items.PENDING


def test_a_click_on_an_item_that_was_on_a_page_that_day_does_not_tell_in_its_row():
    clicked, bought = said(9, shop_id="s", price=3.0), said(10)
    assert not admitted([shown(1)])
    assert not admitted([shown(1), clicked, bought])
    assert not admitted([items.together([shown(1), clicked]), bought])
    assert admitted([shown(1), clicked], [shown(1)])
    assert admitted([shown(1)], [shown(1)])
    assert admitted([shown(1)], [clicked]), "a day without a page of it: its behaviours count"
    assert admitted([clicked, bought])
    assert admitted([shown(2)])


@pytest.mark.parametrize("second", [2**31 - 86_400, PLAUSIBLE[1] // 1000 - 200_000])
def test_prices_follow_one_another_in_2038_and_to_the_end_of_what_is_plausible(second):
    state = items.STATE.empty_table()
    for night, price in enumerate((10.0, 20.0, 30.0)):
        at = second + night * 86_400
        state = items.merge(state, [said(at - 1, price=99.0), said(at, price=price)], [])
        (row,) = state.to_pylist()
        assert (row["price"], row["price_at"]) == (price, at)


def test_what_a_snapshot_leaves_open_follows_the_latest_behaviour():
    nights = [([], [listed(brand_id="b")])]
    for number, price in enumerate((10.0, 20.0, 30.0)):
        nights.append(([said(number, price=price, brand_id="other")], []))
        found = known(*nights)
        assert (found["price"], found["brand_id"]) == (price, "b")


def test_of_what_was_published_without_its_time_whatever_is_said_next_is_later(tmp_path):
    state = items.settle(items.merge(items.STATE.empty_table(), [said(9, price=3.0)], []), 0, 2, 2)
    place = Store(str(tmp_path)).partition("catalog", date(2026, 3, 2), "items")
    (whole,) = buckets(1)
    older = [name for name in items.STATE.names if not name.endswith("_at")]
    for columns, price in ((items.STATE.names, 3.0), (older, 5.0)):
        with place.publish() as out:
            out.record([out.write_table("part", state.select(columns))])
        (row,) = items.merge(items.read(place, whole), [said(1, price=5.0)], []).to_pylist()
        assert (row["price"], row["price_at"]) == (price, 9 if price == 3.0 else 1), columns


def test_items_that_were_published_before_it_was_noted_who_said_what_are_as_the_snapshot_said(
    tmp_path,
):
    state = items.settle(items.merge(items.STATE.empty_table(), [], [listed(price=3.0)]), 0, 2, 2)
    place = Store(str(tmp_path)).partition("catalog", date(2026, 3, 2), "items")
    (whole,) = buckets(1)
    for columns in (items.STATE.names, [name for name in items.STATE.names if name != "said"]):
        with place.publish() as out:
            out.record([out.write_table("part", state.select(columns))])
        again = items.read(place, whole)
        assert again.equals(state.combine_chunks().cast(items.STATE)), columns
        (row,) = items.merge(again, [said(9, price=5.0, shop_id="s")], []).to_pylist()
        assert (row["price"], row["shop_id"]) == (3.0, "s")
