"""Published samples against a recomputation in plain Python from the events."""

import math
from collections import defaultdict
from dataclasses import replace
from datetime import UTC, date, datetime
from functools import cache, partial
from zoneinfo import ZoneInfo

import polars as pl
import pytest

from features import ranking, vocabulary
from features.property import GAP_EDGES_MIN, LocalClock
from features.samples import SamplesConfig
from infra.errors import DupnError
from infra.store import Store
from pipeline.beam.run import BeamConfig
from pipeline.jobs import samples
from tests import samples_log
from tests.samples_log import DAYS, MINUTE, ZONE

W = 60 * MINUTE
CLICK, BOOKMARK, CART, PURCHASE = 1, 2, 3, 4


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
    expected, left_out, before_all = defaultdict(set), defaultdict(int), []
    unlisted, new = {"i58", "i59"}, defaultdict(int)  # which the first day met first
    for day in DAYS:
        for row in rows_of(pages, day, "impressions"):
            closing = local_day(row["ts"] + W)
            if local_day(row["ts"]) < DAYS[0]:
                before_all.append(row["request_id"])
            elif local_day(row["ts"]) == DAYS[0] < day <= closing and unlisted & {*row["item_ids"]}:
                new[day] += 1
            elif day <= closing:
                expected[closing].add(f"page-{row['user_hash']:016x}-{row['request_id']}")
            else:
                left_out[day] += 1
        for row in rows_of(pages, day, "follows"):
            expected[local_day(row["ts"] + W)].add(f"follow-{row['user_id']}-{row['ts']}")
    assert sum(left_out.values()) > 5
    assert new == {DAYS[1]: 1}
    assert before_all == ["r-early"]
    assert pages.partition("samples", DAYS[0]).manifest().counts["before_first_day"] == 1
    for day in DAYS:
        found = [row["sample_id"] for row in samples_of(pages, day)]
        assert len(set(found)) == len(found)
        assert set(found) == expected[day]
        counts = pages.partition("samples", day).manifest().counts
        assert (counts["too_late"], counts["late_new_items"]) == (left_out[day], new[day])


@pytest.mark.parametrize("later", [0, 60 * MINUTE])  # in the evening, or past midnight
def test_a_page_that_was_sent_twice_is_one_sample(tmp_path, pages, later):
    log = samples_log.make()
    midnight = LocalClock(ZONE).midnight_ms(DAYS[1])
    first = log.impressions.filter(pl.col("day") == DAYS[1], pl.col("ts") >= midnight).head(3)
    again = first.with_columns(ts=pl.col("ts") + 1)
    waits = log.impressions.filter(
        pl.col("day") == DAYS[0], pl.col("ts").is_between(midnight - 50 * MINUTE, midnight - 1)
    )
    late = waits.with_columns(day=pl.lit(DAYS[1]), ts=pl.col("ts") + later)
    shown = pl.concat([log.impressions, again.select(first.columns), late.select(first.columns)])
    samples_log.write(replace(log, impressions=shown), tmp_path)
    store = samples_log.run(tmp_path, DAYS[:2])
    asked = [
        [(row["sample_id"], row["ts"], row["shop"] is None) for row in samples_of(one, DAYS[1])]
        for one in (store, pages)
    ]
    assert len(waits) > 1
    assert asked[0] == asked[1]
    counts = store.partition("samples", DAYS[1]).manifest().counts
    assert counts["repeated_pages"] == len(again) + len(late)


def test_what_all_buckets_share_is_read_once_a_day_and_let_go_of(pages, monkeypatch):
    read, load = [], vocabulary.load

    def watched(store, day, feature):
        read.append((day, feature))
        return load(store, day, feature)

    monkeypatch.setattr(vocabulary, "load", watched)
    run = partial(samples.run, pages, DAYS[1], SamplesConfig(), ZONE, BeamConfig(buckets=3), 7)
    run()
    wanted = [(day, name) for day in DAYS[:2] for name in ("icon", "profile_age", "token")]
    assert sorted(read) == wanted

    def broken(*args):
        raise DupnError("on the way")

    monkeypatch.setattr(samples.sample, "build", broken)
    with pytest.raises(DupnError, match="on the way"):
        run()
    assert samples.world.cache_info().currsize == 0
    assert samples.profile_words.cache_info().currsize == 0


def test_labels_are_the_actions_of_the_request_within_the_window(pages):
    rows = behaviors_of(pages)
    shown = {r["request_id"]: r for day in DAYS for r in rows_of(pages, day, "impressions")}
    catalogs = {day: catalog_of(pages, day) for day in DAYS}
    weights = SamplesConfig().weights.tolist()
    asked = 0
    for sample in (s for s in all_samples(pages) if s["cand_item"] is not None):
        page, catalog = shown[sample["sample_id"].split("-", 2)[2]], catalogs[sample["own"]]
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
        assert sample["price_level"] == next((level for level in levels if level), None)
        asked += len({level for level in levels if level}) > 1
    assert asked > 10  # where the topmost item and another one differ


def session_of(rows):
    """A session number per row of one user: 30 minutes' pause begins a new one."""
    number, out = 0, []
    for before, row in zip([None, *rows], rows, strict=False):
        number += before is not None and row["ts"] - before["ts"] > 30 * MINUTE
        out.append(number)
    return out


def expected_price(rows, sample, catalog):
    """Level of what the first touch of an item in its session leads to within W."""
    known = [r for r in rows[sample["user_id"]] if r["arrived"] <= sample["closed"]]
    sessions = session_of(known)
    key = int(sample["sample_id"].split("-")[1], 16)
    at = next(i for i, r in enumerate(known) if r["key"] == key)
    same = [
        i
        for i, r in enumerate(known)
        if sessions[i] == sessions[at] and r["item_id"] == known[at]["item_id"]
    ]
    if same[0] != at or known[at]["type"] == PURCHASE:
        return None
    gaps = [known[i]["ts"] - sample["ts"] for i in same if known[i]["type"] == PURCHASE]
    level = catalog[known[at]["item_id"]]["price_level"]
    return level if level and any(0 < gap <= W for gap in gaps) else None


def test_derived_moments_ask_every_click_and_the_way_to_every_purchase(clicks):
    rows = behaviors_of(clicks)
    catalogs = {day: catalog_of(clicks, day) for day in DAYS}
    by_key = {r["key"]: r for some in rows.values() for r in some}
    found = {s["sample_id"]: s for s in all_samples(clicks)}
    for row in by_key.values():
        closing = local_day(row["ts"] + W)
        published = row["type"] == CLICK and row["arrived"] <= closing and closing in DAYS
        assert (f"click-{row['key']:016x}" in found) == published
    asked = 0
    for sample in found.values():
        catalog = catalogs[sample["own"]]
        row = by_key[int(sample["sample_id"].split("-")[1], 16)]
        assert sample["price_level"] == expected_price(rows, sample, catalog)
        asked += sample["price_level"] is not None
        if row["type"] == CLICK:
            actions = actions_of(rows, row["user_id"], sample["ts"], sample["closed"])
            kinds = [a["type"] for a in actions if a["item_id"] == row["item_id"]]
            assert sample["cand_item"][0] == catalog[row["item_id"]]["row"]
            assert sample["cand_clicked"] == [1] + [0] * (len(sample["cand_item"]) - 1)
            assert sample["cand_weight"][0] == SamplesConfig().weights[max(kinds)]
            assert sample["cand_purchased"][0] == int(PURCHASE in kinds)
    assert asked > 5


def test_negatives_are_what_other_users_clicked_that_day(clicks):
    catalogs = {day: catalog_of(clicks, day) for day in DAYS}
    clicked = defaultdict(set)
    for day in DAYS:
        for row in rows_of(clicks, day, "behaviors"):
            if row["type"] == CLICK and local_day(row["ts"]) == day:
                clicked[day].add((row["user_id"], catalogs[day][row["item_id"]]["row"]))
    for sample in (s for s in all_samples(clicks) if s["cand_item"] is not None):
        category = {row["row"]: row["category"] for row in catalogs[sample["own"]].values()}
        positive = sample["cand_item"][0]
        for item, origin in list(zip(sample["cand_item"], sample["cand_origin"], strict=True))[1:]:
            assert item != positive
            others = {u for u, i in clicked[sample["own"]] if i == item} - {sample["user_id"]}
            assert others
            assert origin == 3 or category[item] == category[positive]


@pytest.mark.parametrize("log", ["pages", "clicks"])
def test_shops_are_asked_once_a_user_and_day(log, request):
    store = request.getfixturevalue(log)
    rows = behaviors_of(store)
    catalogs = {day: catalog_of(store, day) for day in DAYS}
    asked = set()
    for sample in (s for s in all_samples(store) if s["shop"] is not None):
        user, own = sample["user_id"], sample["own"]
        assert (user, own) not in asked
        asked.add((user, own))
        since = [
            (catalogs[own][r["item_id"]]["shop"], r["type"])
            for r in rows[user]
            if r["ts"] >= sample["ts"] and local_day(r["ts"]) == own and r["arrived"] <= own
        ]
        shops = {shop for shop, _ in since if shop > 1}
        liked = {
            shop
            for shop in shops
            if {(shop, PURCHASE), (shop, BOOKMARK)} & set(since) or since.count((shop, CLICK)) >= 2
        }
        answers = list(zip(sample["shop"], sample["shop_preferred"], strict=True))
        assert {shop for shop, yes in answers if yes} == liked
        assert not {shop for shop, yes in answers if not yes} & shops
    assert len(asked) > 20


def test_queries_and_profiles_are_what_was_known_on_the_day_of_the_moment(pages):
    shown = {r["request_id"]: r for day in DAYS for r in rows_of(pages, day, "impressions")}
    asked, waited = 0, 0
    for sample in (s for day in DAYS[1:] for s in samples_of(pages, day)):
        own = sample["own"]
        words, ages = (ids_of(pages, own, name) for name in ("token", "profile_age"))
        number, older = int(sample["user_id"][1:]), own >= DAYS[2]
        age = ages[f"a{(number + older) % 3}"] if number < 12 else 1
        assert sample["profile"] == [age]
        page = shown.get(sample["sample_id"].split("-", 2)[2], {})
        query = (page.get("query") or "").split()
        assert sample["query"] == [max(words.get(word, 1), 1) for word in query]
        asked += len(query)
        waited += own < sample["closed"] == DAYS[2]
    assert asked > 20
    assert waited > 5  # their people are a year older by the day that closes them


@cache
def ids_of(store: Store, day: date, name: str):
    rows = store.partition("vocabulary", day, name).table().to_pylist()
    return {row["id"]: row["row"] for row in rows}


@pytest.mark.parametrize("log", ["pages", "clicks"])
def test_ranking_features_count_what_stands_in_the_history(log, request):
    store = request.getfixturevalue(log)
    column = {name: index for index, name in enumerate(ranking.NAMES)}
    for sample in samples_of(store, DAYS[2])[:60]:
        catalog = {row["row"]: row for row in catalog_of(store, sample["own"]).values()}
        levels = [catalog[i]["price_level"] for i in sample["seq_item"]]
        levels = [level for level in levels if level]
        for item, features in zip(
            sample["cand_item"] or [], sample["cand_features"] or [], strict=True
        ):
            for name in ("item", "shop", "brand", "category"):
                key = "row" if name == "item" else name
                wanted = catalog[item][key]
                met = sum(catalog[i][key] == wanted for i in sample["seq_item"])
                found = features[column[f"{name}_count"]]
                assert found == pytest.approx(math.log1p(met if wanted > 1 else 0) / 5, abs=1e-6)
                assert (features[column[f"{name}_recency"]] > 0) <= (met > 0)
            own = catalog[item]["price_level"]
            match = 1 - abs(own - sum(levels) / len(levels)) / 3 if own and levels else 0
            assert features[column["price_match"]] == pytest.approx(match, abs=1e-5)
