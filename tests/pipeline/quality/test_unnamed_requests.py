"""Behaviours of a type that names no request are no fault of the day, and teach pages nothing."""

import json
from datetime import date

import pyarrow as pa
import pytest

from features.buckets import hash_ids
from features.quality import measured, requests
from features.schemas import BEHAVIORS, IMPRESSIONS, conform
from infra.errors import QualityFailed
from pipeline.quality import checks
from pipeline.settings import load

DAY = date(2026, 3, 2)
MIDNIGHT_MS = 1_772_409_600_000


def behaviors(named, counts=(400, 40, 40, 40)):
    """So many rows of each type, of which those of the types in `named` name a request."""
    kinds = [kind for kind, count in enumerate(counts, start=1) for _ in range(count)]
    rows = range(len(kinds))
    users = [f"u{n}" for n in rows]
    table = {
        "user_hash": hash_ids(pa.array(users)),
        "user_id": users,
        "item_id": ["i"] * len(kinds),
        "ts": [MIDNIGHT_MS + 160_000 * n for n in rows],
        "type": kinds,
        "scenario": [1] * len(kinds),
        "request_id": [f"r{n}" if kind in named else None for n, kind in enumerate(kinds)],
    }
    return conform(pa.table(table), BEHAVIORS)


def publish(store, rows, item="i"):
    """Behaviours, and the pages that they name, of that item alone."""
    shown = rows.filter(rows["request_id"].is_valid())
    pages = shown.select(["user_hash", "user_id", "ts", "scenario", "request_id"])
    pages = pages.append_column("item_ids", pa.array([[item]] * len(pages)))
    for name, table in (("behaviors", rows), ("impressions", conform(pages, IMPRESSIONS))):
        with store.partition("events", DAY, name).publish() as out:
            out.record([out.write_table("part-0", table)])


def judged(named, counts=(400, 40, 40, 40)):
    tally = measured.measure("behaviors", behaviors(named, counts))
    return {
        one.type.name.lower() for one in requests.of_tally(tally) if one.judged and not one.share
    }


@pytest.mark.parametrize(
    ("named", "counts", "silent"),
    [
        ((1, 2, 3, 4), (400, 40, 40, 40), set()),
        ((1, 2, 3), (400, 40, 40, 40), {"purchase"}),
        ((1,), (400, 40, 40, 29), {"bookmark", "cart"}),  # of fewer rows, none may be chance
        ((), (400, 40, 40, 40), set()),  # the log names no requests at all, which is told elsewhere
        ((4,), (400, 40, 40, 40), set()),
        ((1,), (400, 0, 0, 0), set()),
    ],
)
def test_a_type_that_names_no_request_where_clicks_do_is_silent(named, counts, silent):
    assert judged(named, counts) == silent


@pytest.mark.parametrize(("moments", "warnings"), [("auto", 1), ("derived", 0)])
def test_orders_without_a_request_are_a_warning_that_says_what_is_not_learnt(
    tmp_path, caplog, moments, warnings
):
    settings = load("smoke", str(tmp_path), [f"sequences.moments={moments}"])
    rows = behaviors((1, 2, 3))
    publish(settings.store, rows)
    result = checks.run(settings, DAY, "events")
    assert (result["passed"], result["warnings"]) == (True, warnings)
    told = "request_id.purchase has named share 0, under the limit 0.0001: the share of purchases"
    assert (told in caplog.text) == ("PPP is not asked" in caplog.text) == bool(warnings)
    report = json.loads(settings.store.get(f"reports/quality/events/{DAY}.json"))
    shares = {one["name"]: one["value"] for one in report["figures"] if "named" in one["name"]}
    kinds = {"click": 1, "bookmark": 1, "cart": 1, "purchase": 0} if warnings else {}
    assert shares == {f"behaviors.request_id.{name}.named_share": of for name, of in kinds.items()}


@pytest.mark.parametrize(
    ("item", "clicks", "stops"),
    [("i", 1_000, False), ("SKU-i", 1_000, True), ("SKU-i", 999, False)],
)
def test_clicks_of_which_none_stands_on_the_page_that_it_names_stop_the_day(
    tmp_path, caplog, item, clicks, stops
):
    settings = load("smoke", str(tmp_path))
    publish(settings.store, behaviors((1, 2, 3, 4), (clicks, 40, 40, 40)), item)
    told = (
        f"Quality of events {DAY} failed: impressions.item_ids has joined share 0, under the limit "
        "0.0001: the share of the clicks"
    )
    if stops:
        with pytest.raises(QualityFailed, match=r"their ids are likely written in different") as no:
            checks.run(settings, DAY, "events")
        assert told in str(no.value)
        settings = load("smoke", str(tmp_path), ["quality.min_joined_share=0"])
    assert checks.run(settings, DAY, "events")["passed"]
    assert ("impressions.item_ids has joined share 0" in caplog.text) == (item != "i")
