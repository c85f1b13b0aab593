"""What seed and settings of the samples decide, and what they do not."""

import math
import shutil
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl
import pyarrow as pa
import pytest

from features.questions.offers import EVEN, SHARPNESS
from features.samples import SamplesConfig
from features.schemas import PRICE_LEVELS, PRICED_CLICKS, QUESTIONS, SAMPLES, BehaviorType, conform
from features.sequence import SequencesConfig
from infra.store import Store
from pipeline.beam.run import BeamConfig
from pipeline.jobs import samples
from tests import samples_log
from tests.samples_log import DAYS, ZONE


def asked(store):
    rows = store.partition("samples", DAYS[-1]).table(columns=["sample_id", "cand_item"])
    return {row["sample_id"]: row["cand_item"] or [] for row in rows.to_pylist()}


def test_another_seed_draws_other_negatives_of_the_same_clicks(clicks, tmp_path):
    store = Store(tmp_path / "again")
    shutil.copytree(Path(clicks.root), store.root)
    found = {}
    for seed in (7, 8):
        config, beam = SamplesConfig(), BeamConfig(buckets=3)
        samples.run(store, DAYS[-1], config=config, time_zone=ZONE, beam=beam, seed=seed)
        found[seed] = asked(store)
    assert found[7] == asked(clicks)
    assert found[8].keys() == found[7].keys()
    assert all(items[:1] == found[7][one][:1] for one, items in found[8].items())  # the clicked one
    drawn = [(one, item) for one, items in found[8].items() for item in items[1:]]
    others = sum(item not in found[7][one] for one, item in drawn)
    assert others > len(drawn) / 2 > 10


def candidates_of(store):
    """One row a candidate, with its price level in the catalog of the moment's own day."""
    rows = pl.from_arrow(store.partition("samples", DAYS[-1]).table())
    assert isinstance(rows, pl.DataFrame)
    listed = ["cand_item", "cand_label", "cand_weight", "cand_clicked"]
    asked = rows.drop_nulls("cand_item").select("sample_id", "ts", *listed).explode(listed)
    levels = []
    for day in DAYS:
        catalog = pl.from_arrow(
            store.partition("catalog", day).table(columns=["row", "price_level"])
        )
        assert isinstance(catalog, pl.DataFrame)
        levels.append(catalog.with_columns(own=pl.lit(day), cand_item=pl.col("row")))
    own = pl.col("ts").dt.convert_time_zone(ZONE)
    return asked.with_columns(own=own.dt.date()).join(
        pl.concat(levels), on=["own", "cand_item"], how="left", maintain_order="left"
    )


@pytest.mark.parametrize("log", ["pages", "clicks"])
def test_clicked_candidates_with_a_price_level_of_their_own_day_are_counted(log, request):
    store = request.getfixturevalue(log)
    one = candidates_of(store)
    priced = one.filter((pl.col("cand_clicked") > 0) & (pl.col("price_level") > 0)).height
    counts = store.partition("samples", DAYS[-1]).manifest().counts
    assert counts[PRICED_CLICKS] == priced
    assert 0 < priced < one.height


def test_dear_carts_and_purchases_weigh_more_where_sales_count(pages, tmp_path):
    store = Store(tmp_path / "again")
    shutil.copytree(Path(pages.root), store.root)
    config, beam = SamplesConfig(weight_of_price=0.7), BeamConfig(buckets=3)
    samples.run(store, DAYS[-1], config=config, time_zone=ZONE, beam=beam, seed=7)
    before, now = candidates_of(pages), candidates_of(store)
    assert now.drop("cand_weight").equals(before.drop("cand_weight"))
    seen = set()
    for old, new, level in zip(
        before["cand_weight"], now["cand_weight"], before["price_level"], strict=True
    ):
        decided = old in (config.weight_cart, config.weight_purchase)
        dear = math.exp(0.7 * (level - 4) / 3) if decided and level else 1
        assert new == pytest.approx(old * dear, rel=1e-6)
        seen.add((decided, level or 0))
    assert {(True, 1), (True, 7), (False, 1), (False, 7)} <= seen


def test_the_strongest_action_and_the_level_decide_the_weight():
    kinds = [0, *BehaviorType, BehaviorType.PURCHASE, BehaviorType.CART]
    levels = np.array([7, 7, 7, 7, 7, 0, 1], np.int8)
    found = SamplesConfig(weight_of_price=1.0).weigh(np.array(kinds, np.int8), levels)
    e = math.e
    assert found.dtype == np.float32
    assert found.tolist() == pytest.approx([1, 1, 2, 3 * e, 5 * e, 5, 3 / e])


def offers_by_hand(store, day):
    """Query -> shares of the levels, from the catalog of `day` and the clicks up to the eve."""
    catalog = store.partition("catalog", day).table().to_pylist()
    eve = store.partition("statistics", DAYS[DAYS.index(day) - 1], "item").table()
    clicks = dict(zip(*(eve[name].to_pylist() for name in ("item_id", "clicks")), strict=True))
    shares = {}
    for query in ("red dress", "blue hat"):
        found = [EVEN] * PRICE_LEVELS
        for item in catalog:
            hits = len(set(query.split()) & set((item["title"] or "").split()))
            if item["price_level"]:
                weight = math.exp(SHARPNESS * (hits - 2))
                found[item["price_level"] - 1] += weight * clicks.get(item["item_id"], 0)
        shares[query] = [one / sum(found) for one in found]
    return shares


def test_what_is_on_offer_is_told_by_titles_and_the_clicks_of_the_days_before(pages, tmp_path):
    store = Store(tmp_path / "again")
    shutil.copytree(Path(pages.root), store.root)
    config, beam = SamplesConfig(price_offers=True), BeamConfig(buckets=3)
    samples.run(store, DAYS[-1], config=config, time_zone=ZONE, beam=beam, seed=7)
    before, now = (one.partition("samples", DAYS[-1]).table() for one in (pages, store))
    assert now.drop_columns("price_offer") == before.drop_columns("price_offer")
    assert before["price_offer"].null_count == len(before)
    asked = {
        row["request_id"]: row["query"]
        for day in DAYS
        for row in store.partition("events", day, "impressions").table().to_pylist()
    }
    expected = {day: offers_by_hand(store, day) for day in DAYS[1:]}
    told = set()
    for row in now.to_pylist():
        query = asked.get(row["sample_id"].split("-", 2)[2])
        own = row["ts"].astimezone(ZoneInfo(ZONE)).date()
        if query is None:
            assert row["price_offer"] is None
        else:
            assert row["price_offer"] == pytest.approx(expected[own][query], rel=1e-4)
            told.add((own, query))
    assert len(told) == 4  # two queries, of the day itself and of the evening before
    assert max(max(one) for one in expected[DAYS[-1]].values()) > 1.4 / PRICE_LEVELS


def clicks_of(partition):
    """Sample ids of its moments that are clicks."""
    ids = partition.table(columns=["sample_id"])["sample_id"].to_pylist()
    return {one for one in ids if one.startswith("click-")}


def test_of_clicks_the_share_that_is_set_is_asked_the_same_ones_in_sequences_and_samples(
    clicks, tmp_path
):
    waiting, found = {}, {}
    for share in (1.0, 0.5, 0.25):
        store = clicks
        if share < 1:
            store, config = Store(tmp_path / str(share)), SequencesConfig(click_share=share)
            shutil.copytree(Path(clicks.root), store.root)
            for day in DAYS[-2:]:
                samples_log.again(store, day, BeamConfig(buckets=1), config)
        waiting[share] = clicks_of(store.partition("sequences", DAYS[-2], "open"))
        found[share] = clicks_of(store.partition("samples", DAYS[-1]))
        assert len(found[share]) == pytest.approx(share * len(found[1.0]), rel=0.2)
        assert waiting[share] == waiting[1.0] & found[share]
    for kept in (waiting, found):
        assert set() < kept[0.25] < kept[0.5] < kept[1.0]


@pytest.mark.parametrize(("column", "task"), QUESTIONS.items())
def test_a_moment_that_asks_one_thing_alone_is_a_sample_and_one_that_asks_nothing_is_none(
    column, task
):
    something = 3 if column == "price_level" else [3]
    given = {"sample_id": ["a", "b"], "ts": [1, 2], column: [None, something]}
    found = samples._finish([conform(pa.table(given), SAMPLES)], [np.zeros(2, np.int32)], {})
    assert found.table["sample_id"].to_pylist() == ["b"]
    assert {name: found.counts[name] for name in QUESTIONS.values()} == {
        name: int(name == task) for name in QUESTIONS.values()
    }
