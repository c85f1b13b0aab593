"""A page that arrives after its own day tells by its items alone nothing of what was clicked."""

from dataclasses import replace

import polars as pl
import pytest

from features.property import LocalClock
from tests import samples_log
from tests.samples_log import DAYS, MINUTE, ZONE

EVE, DAY = DAYS[1:3]
EVENING = LocalClock(ZONE).midnight_ms(DAY) - 30 * MINUTE
PAGES = {
    "known": ["i1", "i2", "i3"],
    "new": ["n1", "n2", "n3"],
    "one-new": ["i1", "i2", "n4"],
    "one-new-clicked": ["i1", "i2", "n5"],
    "listed": ["i1", "i2", "n6"],
    "listed-later": ["i1", "i2", "n7"],
}
CLICKS = {
    "known": "i2",
    "new": "n2",
    "one-new": "i1",
    "one-new-clicked": "n5",
    "listed": "n6",
    "listed-later": "n7",
}


def run(home, log, pages=True, snapshots=None):
    samples_log.write(log, home, pages=pages)
    for day, item in (snapshots or {}).items():
        rows = {"item_id": [item], "title": ["a hat"]}
        samples_log._put(pl.DataFrame(rows), home, day, "items")
    return samples_log.run(home, DAYS[:3])


def behaviors(log, items, arrives, requests):
    """Clicks of u0 one minute after its pages."""
    count = len(items)
    rows = {
        "user_id": ["u0"] * count,
        "item_id": items,
        "type": ["click"] * count,
        "ts": [EVENING + MINUTE + n for n in range(count)],
        "request_id": requests,
        "day": arrives,
        "scenario": ["search"] * count,
        "price": [10.0] * count,
    }
    more = pl.DataFrame(rows, schema=log.behaviors.schema)
    return replace(log, behaviors=pl.concat([log.behaviors, more]))


def asked(store):
    """The samples of u0's rows of that evening, by request."""
    rows = store.partition("samples", DAY).table().to_pylist()
    return {row["sample_id"].split("-", 2)[-1]: row for row in rows}


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    log = samples_log.make()
    log = behaviors(log, [*CLICKS.values()], [EVE] * len(CLICKS), [*CLICKS])
    count = len(PAGES)
    late = pl.DataFrame(
        {
            "request_id": [*PAGES],
            "user_id": ["u0"] * count,
            "ts": [EVENING + n for n in range(count)],
            "scenario": ["search"] * count,
            "query": ["red hat"] * count,
            "item_ids": [*PAGES.values()],
            "day": [DAY] * count,
        },
        schema=log.impressions.schema,
    )
    log = replace(log, impressions=pl.concat([log.impressions, late]))
    return run(tmp_path_factory.mktemp("late"), log, snapshots={EVE: "n6", DAY: "n7"})


def test_a_late_page_counts_where_its_day_would_know_its_items_without_its_clicks(store):
    """Where it would not, the one with a row is the one that was clicked."""
    assert set(PAGES) & set(asked(store)) == {"known", "listed"}
    assert store.partition("samples", DAY).manifest().counts["late_new_items"] == 4


def test_a_snapshot_that_comes_the_day_after_does_not_list_a_late_pages_item(store):
    known = store.partition("catalog", EVE).table(["item_id"])["item_id"].to_pylist()
    assert {"n6", "n7"} <= set(known)
    assert "listed-later" not in asked(store)


def test_a_late_page_that_counts_has_all_its_items_and_its_clicks(store):
    rows = store.partition("catalog", EVE).table(["item_id", "row"]).to_pylist()
    row_of = {row["item_id"]: row["row"] for row in rows}
    for name in ("known", "listed"):
        found = asked(store)[name]
        assert found["cand_item"] == [row_of[item] for item in PAGES[name]]
        assert found["cand_clicked"] == [int(item == CLICKS[name]) for item in PAGES[name]]


def test_a_late_click_without_a_page_is_of_an_item_that_its_day_knew(tmp_path):
    """All that it is held against were clicked on that day, and so have rows."""
    log = behaviors(samples_log.make(pages=False), ["n1", "i1"], [DAY, DAY], [None, None])
    store = run(tmp_path, log, pages=False)
    own = {EVENING + MINUTE: "n1", EVENING + MINUTE + 1: "i1"}
    found = store.partition("samples", DAY).table(["ts", "cand_item"]).to_pylist()
    times = [round(row["ts"].timestamp() * 1000) for row in found if row["cand_item"]]
    assert [own[ts] for ts in times if ts in own] == ["i1"]
    assert store.partition("samples", DAY).manifest().counts["late_new_items"] == 1
    assert not any(1 in row["cand_item"] for row in found if row["cand_item"])
