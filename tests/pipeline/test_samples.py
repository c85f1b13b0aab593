"""Published samples against a recomputation in plain Python from the events."""

from collections import defaultdict
from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import pytest

from features.property import GAP_EDGES_MIN
from features.samples import SamplesConfig
from infra.store import Store
from tests import samples_log
from tests.samples_log import DAYS, MINUTE, ZONE

W = 60 * MINUTE
CLICK, BOOKMARK, CART, PURCHASE = 1, 2, 3, 4


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    home = tmp_path_factory.mktemp("pages")
    samples_log.write(samples_log.make(), home)
    return samples_log.run(home)


@pytest.fixture(scope="module")
def clicks(tmp_path_factory):
    home = tmp_path_factory.mktemp("clicks")
    samples_log.write(samples_log.make(pages=False), home, pages=False)
    return samples_log.run(home)


def local_day(ts):
    return datetime.fromtimestamp(ts / 1000, UTC).astimezone(ZoneInfo(ZONE)).date()


def rows_of(store: Store, day: date, table: str):
    partition = store.partition("events", day, table)
    rows = partition.table().to_pylist() if partition.exists() else []
    for row in rows:
        row["ts"] = round(row["ts"].timestamp() * 1000)
        row["arrived"] = day
    return rows


def behaviors_of(store: Store):
    """Per user, each behaviour once, in the order of time, then arrival."""
    seen, out = set(), defaultdict(list)
    for day in DAYS:
        for row in rows_of(store, day, "behaviors"):
            if (row["user_id"], row["key"]) not in seen:
                seen.add((row["user_id"], row["key"]))
                out[row["user_id"]].append(row)
    return {user: sorted(rows, key=lambda r: r["ts"]) for user, rows in out.items()}


def catalog_of(store: Store, day: date):
    rows = store.partition("catalog", day).table().to_pylist()
    return {row["item_id"]: row for row in rows}


def samples_of(store: Store, day: date):
    rows = store.partition("samples", day).table().to_pylist()
    for row in rows:
        row["ts"] = round(row["ts"].timestamp() * 1000)
        row["own"], row["closed"] = local_day(row["ts"]), day
    return rows


def all_samples(store: Store):
    return [row for day in DAYS for row in samples_of(store, day)]


def history(rows, user, ts, own):
    known = [r for r in rows.get(user, []) if r["ts"] < ts and r["arrived"] <= own]
    return known[-100:]


def expected_sequence(past, ts, catalog):
    zone = ZoneInfo(ZONE)
    when = [datetime.fromtimestamp(r["ts"] / 1000, UTC).astimezone(zone) for r in past]
    minutes = [(ts - r["ts"]) / MINUTE for r in past]
    return {
        "seq_item": [catalog[r["item_id"]]["row"] for r in past],
        "seq_type": [r["type"] for r in past],
        "seq_scenario": [r["scenario"] for r in past],
        "seq_gap": [1 + sum(m >= edge for edge in GAP_EDGES_MIN) for m in minutes],
        "seq_daypart": [w.hour // 3 + 1 for w in when],
        "seq_weekend": [2 if w.weekday() >= 5 else 1 for w in when],
    }


def actions_of(rows, user, ts, closed):
    return [r for r in rows.get(user, []) if ts <= r["ts"] <= ts + W and r["arrived"] <= closed]


@pytest.mark.parametrize("log", ["pages", "clicks"])
def test_histories_are_what_was_known_strictly_before_the_moment(log, request):
    store = request.getfixturevalue(log)
    rows = behaviors_of(store)
    catalogs = {day: catalog_of(store, day) for day in DAYS}
    found = all_samples(store)
    assert len(found) > 100
    assert max(len(s["seq_item"]) for s in found) == 100
    for sample in found:
        past = history(rows, sample["user_id"], sample["ts"], sample["own"])
        expected = expected_sequence(past, sample["ts"], catalogs[sample["own"]])
        assert {name: sample[name] for name in expected} == expected, sample["sample_id"]


def test_every_page_is_published_once_on_the_day_its_window_closes(pages):
    expected, left_out = defaultdict(set), defaultdict(int)
    for day in DAYS:
        for row in rows_of(pages, day, "impressions"):
            closing = local_day(row["ts"] + W)
            if day <= closing:
                expected[closing].add("page-" + row["request_id"])
            else:
                left_out[day] += 1
        for row in rows_of(pages, day, "follows"):
            expected[local_day(row["ts"] + W)].add(f"follow-{row['user_id']}-{row['ts']}")
    assert sum(left_out.values()) > 5
    for day in DAYS:
        found = [row["sample_id"] for row in samples_of(pages, day)]
        assert len(set(found)) == len(found)
        assert set(found) == expected[day]
        assert pages.partition("samples", day).manifest().counts["too_late"] == left_out[day]


def test_labels_are_the_actions_of_the_request_within_the_window(pages):
    rows = behaviors_of(pages)
    shown = {r["request_id"]: r for day in DAYS for r in rows_of(pages, day, "impressions")}
    catalogs = {day: catalog_of(pages, day) for day in DAYS}
    weights = SamplesConfig().weights.tolist()
    asked = 0
    for sample in (s for s in all_samples(pages) if s["cand_item"] is not None):
        page, catalog = shown[sample["sample_id"][5:]], catalogs[sample["own"]]
        actions = [
            r
            for r in actions_of(rows, sample["user_id"], sample["ts"], sample["closed"])
            if r["request_id"] == page["request_id"]
        ]
        kinds = [[a["type"] for a in actions if a["item_id"] == i] for i in page["item_ids"]]
        strongest = [max(kind, default=0) for kind in kinds]
        bought = [i for i, kind in zip(page["item_ids"], kinds, strict=True) if PURCHASE in kind]
        levels = [catalog[i]["price_level"] for i in bought]
        assert sample["cand_item"] == [catalog[i]["row"] for i in page["item_ids"]]
        assert sample["cand_clicked"] == [int(CLICK in kind) for kind in kinds]
        assert sample["cand_label"] == [1 if s else -1 for s in strongest]
        assert sample["cand_weight"] == [weights[s] for s in strongest]
        assert sample["cand_purchased"] == [int(PURCHASE in kind) for kind in kinds]
        level = sample["price_level"]
        assert (level in levels) if any(levels) else level is None
        asked += level is not None
    assert asked > 10
