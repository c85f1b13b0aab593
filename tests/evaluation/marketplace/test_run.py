"""What `simulate` writes: reproducible, as the data contracts say, dirty on purpose, lossless."""

from datetime import date, timedelta
from pathlib import Path

import polars as pl
import pyarrow as pa
import pytest

from evaluation.marketplace import state
from evaluation.marketplace.config import MarketplaceConfig
from evaluation.marketplace.run import simulate
from infra.errors import ConfigError, PartitionMissing
from infra.store import Store
from pipeline.raw import arrival
from tests.evaluation.marketplace.conftest import FIRST, SMALL

RAW = ("behaviors", "impressions", "follows", "items", "users", "icons", "shops")
TINY = MarketplaceConfig(users=60, items=300, categories=8, shops=8, icons=8)
DAY_MS = 86_400_000


def frame(store: Store, stage: str, day: date, name: str) -> pl.DataFrame:
    return pl.DataFrame(store.partition(stage, day, name).table())


def days(count: int) -> list[date]:
    return [FIRST + timedelta(days=offset) for offset in range(count)]


def digests(store: Store, count: int) -> list[str]:
    found = [
        store.partition(stage, day, name).digest()
        for day in days(count)
        for stage, names in (("raw", RAW), ("truth", ("pages", "follows")))
        for name in names
    ]
    states = [store.partition("truth", day, "state").manifest().files for day in days(count)]
    return found + [entry.sha256 for files in states for entry in files]


def behaviors(store: Store, count: int) -> pl.DataFrame:
    return pl.concat([frame(store, "raw", day, "behaviors") for day in days(count)])


def test_the_same_seed_gives_the_same_bytes_and_another_does_not(tmp_path: Path):
    stores = [Store(tmp_path / name) for name in "abc"]
    for store, seed in zip(stores, (1, 1, 2), strict=True):
        simulate(store, FIRST, 2, TINY, seed)
    assert digests(stores[0], 2) == digests(stores[1], 2)
    assert digests(stores[0], 2)[0] != digests(stores[2], 2)[0]


def test_a_day_that_was_cut_off_has_no_behaviours_so_that_it_is_lived_again(tmp_path, monkeypatch):
    def killed(*_):
        raise KeyboardInterrupt

    store = Store(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(state, "save", killed)
        with pytest.raises(KeyboardInterrupt):
            simulate(store, FIRST, 1, TINY, 1)
    assert store.partition("truth", FIRST, "pages").exists()  # it had come far
    assert not arrival.is_there(store, FIRST)
    simulate(store, FIRST, 1, TINY, 1)
    assert arrival.is_there(store, FIRST)


def test_a_day_is_lived_to_its_end_when_its_behaviours_are_there_too(tmp_path: Path):
    """They come after its state, so a command may be killed between the two."""
    store = Store(tmp_path)
    simulate(store, FIRST, 1, TINY, 1)
    assert state.saved(store, FIRST)
    store.partition("raw", FIRST, "behaviors").take_back()
    assert not state.saved(store, FIRST)


def test_going_on_later_gives_the_bytes_of_going_on_at_once(tmp_path: Path):
    at_once, later = Store(tmp_path / "at_once"), Store(tmp_path / "later")
    simulate(at_once, FIRST, 4, TINY, 1)
    simulate(later, FIRST, 3, TINY, 1)
    simulate(later, FIRST + timedelta(days=3), 1, TINY, 1)
    simulate(later, FIRST + timedelta(days=2), 1, TINY, 1)  # and a day again
    assert digests(at_once, 4) == digests(later, 4)


def test_another_world_is_not_continued_by_accident(tmp_path: Path):
    store = Store(tmp_path)
    simulate(store, FIRST, 1, TINY, 1)
    with pytest.raises(ConfigError, match="another seed or other settings"):
        simulate(store, FIRST + timedelta(days=1), 1, TINY, 2)


def refused(store: Store, first: date, count: int, seed: int, said: str) -> None:
    """Refused with these words, and nothing of what is there has changed."""
    before = digests(store, 3)
    with pytest.raises(ConfigError, match=said):
        simulate(store, first, count, TINY, seed)
    assert digests(store, 3) == before
    assert store.days("truth", "pages") == days(3)


def test_another_world_does_not_take_the_place_of_the_first_days_of_one(tmp_path: Path):
    store = Store(tmp_path)
    simulate(store, FIRST, 3, TINY, 1)
    third = FIRST + timedelta(days=2)
    words = f"{third}/state belongs to a marketplace with another seed .*--first {FIRST} --days 3"
    refused(store, FIRST, 2, 2, words)
    simulate(store, FIRST, 3, TINY, 2)  # the whole of it may be another


def test_no_day_is_put_before_the_first_one_of_a_world(tmp_path: Path):
    """Both would be number 0, and their pages have the same ids."""
    store = Store(tmp_path)
    simulate(store, FIRST, 3, TINY, 1)
    words = "day number 0 of its marketplace, and would follow number 0"
    refused(store, FIRST - timedelta(days=1), 1, 1, words)
    refused(store, FIRST - timedelta(days=1), 2, 1, r"number 1 .* would follow number 1")


def test_two_worlds_with_a_gap_between_them_are_not_joined(tmp_path: Path):
    store = Store(tmp_path)
    simulate(store, FIRST, 1, TINY, 1)
    simulate(store, FIRST + timedelta(days=2), 1, TINY, 1)
    with pytest.raises(ConfigError, match=r"number 0 of its .* would follow number 1"):
        simulate(store, FIRST + timedelta(days=1), 1, TINY, 1)
    simulate(store, FIRST + timedelta(days=1), 2, TINY, 1)
    pages = pl.concat([frame(store, "raw", day, "impressions") for day in days(3)])
    assert pages["request_id"].is_unique().all()


def test_nothing_begins_anew_beside_a_day_that_was_cut_off(tmp_path: Path):
    store = Store(tmp_path)
    simulate(store, FIRST, 1, TINY, 1)
    store.partition("truth", FIRST, "state").take_back()
    with pytest.raises(PartitionMissing, match=f"simulate --first {FIRST} --days 1"):
        simulate(store, FIRST + timedelta(days=1), 1, TINY, 1)


@pytest.mark.parametrize("first", [date.min, date.max])
def test_days_have_one_before_and_one_after(tmp_path: Path, first: date):
    with pytest.raises(ConfigError, match="leave the calendar"):
        simulate(Store(tmp_path), first, 1, TINY, 1)


def test_the_frozen_world_has_not_changed(small: Store):
    """Change these numbers only together with docs/marketplace.md: the parameters are frozen."""
    names = ("behaviors", "impressions", "follows", "items", "users")
    last = FIRST + timedelta(days=4)
    rows = {
        name: [small.partition("raw", day, name).manifest().rows for day in (FIRST, last)]
        for name in names
    }
    assert rows == FROZEN


def test_a_day_on_which_nobody_shops_is_published_empty(tmp_path: Path):
    store = Store(tmp_path)
    counts = simulate(store, FIRST, 1, TINY.model_copy(update={"pages_per_day": 1e-6}), 1)
    assert counts["behaviors"] == counts["impressions"] == 0
    assert small_schema(store, "behaviors")["ts"] == pa.int64()


def small_schema(store: Store, name: str) -> dict[str, pa.DataType]:
    return {f.name: f.type for f in store.partition("raw", FIRST, name).table().schema}


def test_raw_tables_follow_the_data_contracts(small: Store):
    text, texts = pa.string(), pa.list_(pa.string())
    assert small_schema(small, "behaviors") == {
        "user_id": text, "item_id": text, "type": text, "scenario": text, "ts": pa.int64(),
        "request_id": text, "price": pa.float32(),
    }  # fmt: skip
    assert small_schema(small, "impressions") == {
        "request_id": text, "user_id": text, "ts": pa.int64(), "scenario": text, "query": text,
        "item_ids": texts, "variant": text,
    }  # fmt: skip
    assert small_schema(small, "follows") == {
        "user_id": text, "icon_id": text, "ts": pa.int64(), "followed": pa.bool_(),
    }  # fmt: skip
    assert small_schema(small, "items") == {
        "item_id": text, "shop_id": text, "brand_id": text, "category_id": text, "tags": texts,
        "price": pa.float32(), "title": text,
    }  # fmt: skip


def test_every_table_names_its_data_set_and_comes_in_several_files(small: Store):
    for name in RAW:
        manifest = small.partition("raw", FIRST, name).manifest()
        assert manifest.lineage["dataset"] == "marketplace"
        assert len(manifest.files) == 4


def test_counts_add_up(tmp_path: Path):
    counts = simulate(Store(tmp_path), FIRST, 2, TINY, 1)
    rows = behaviors(Store(tmp_path), 2)
    assert counts["behaviors"] == len(rows)
    shown = [frame(Store(tmp_path), "raw", day, "impressions") for day in days(2)]
    assert counts["items_shown"] == pl.concat(shown)["item_ids"].list.len().sum()


def test_dirt_is_added_and_takes_nothing_away(tmp_path: Path):
    clean, dirty = Store(tmp_path / "clean"), Store(tmp_path / "dirty")
    simulate(clean, FIRST, 1, SMALL.model_copy(update={"dirty_share": 0.0}), 3)
    counts = simulate(dirty, FIRST, 1, SMALL.model_copy(update={"dirty_share": 0.05}), 3)
    kept, all_rows = behaviors(clean, 1), behaviors(dirty, 1)
    assert len(all_rows) == len(kept) + counts["dirty"]
    assert counts["dirty"] == pytest.approx(0.05 * len(kept), rel=0.3)
    assert kept.join(all_rows, on=kept.columns, how="anti", nulls_equal=True).is_empty()
    added = all_rows.join(kept, on=kept.columns, how="anti", nulls_equal=True)
    midnight = int((FIRST - date(1970, 1, 1)).days) * DAY_MS
    assert added["user_id"].null_count() > 0
    assert added["item_id"].null_count() > 0
    assert (added["type"] == "swipe").any()
    assert (added["ts"] < 10**11).any()
    assert (added["ts"] > midnight + 2 * DAY_MS).any()
    assert all_rows.is_duplicated().any()


def test_late_rows_and_rows_after_midnight_arrive_the_next_day(small: Store):
    second = frame(small, "raw", FIRST + timedelta(days=1), "behaviors")
    midnight = int((FIRST - date(1970, 1, 1)).days + 1) * DAY_MS
    early = second.filter(pl.col("ts").is_between(midnight - DAY_MS, midnight - 1))
    assert 0 < len(early) < 0.02 * len(second)
    first = frame(small, "raw", FIRST, "behaviors")
    assert first.filter(pl.col("ts").is_between(midnight, midnight + DAY_MS)).is_empty()


def test_truth_has_every_logged_page_and_nothing_else(small: Store):
    for day in days(3):
        pages, truth = frame(small, "raw", day, "impressions"), frame(small, "truth", day, "pages")
        assert pages["request_id"].to_list() == truth["request_id"].to_list()
        assert pages["item_ids"].to_list() == truth["item_ids"].to_list()
        assert pages["request_id"].is_unique().all()
        lengths = truth["item_ids"].list.len()
        for name in ("p_click", "p_purchase", "p_click_seen"):
            assert truth[name].list.len().equals(lengths)
        follows, chances = (
            frame(small, "raw", day, "follows"),
            frame(small, "truth", day, "follows"),
        )
        keys = ["user_id", "icon_id", "ts"]
        assert follows.select(keys).equals(chances.select(keys))


def test_clicks_name_the_page_that_showed_the_item(small: Store):
    shown = pl.concat([frame(small, "raw", day, "impressions") for day in days(5)])
    pairs = shown.select("request_id", pl.col("user_id").alias("owner"), item_id="item_ids")
    pairs = pairs.explode("item_id")
    rows = behaviors(small, 5).drop_nulls(["request_id", "user_id", "item_id"])
    joined = rows.join(pairs, on=["request_id", "item_id"], how="left")
    assert joined["owner"].equals(joined["user_id"], check_dtypes=True)


def test_pages_show_ten_to_twenty_different_items(small: Store):
    items = frame(small, "raw", FIRST, "impressions")["item_ids"]
    lengths = items.list.len()
    assert items.list.n_unique().equals(lengths)
    assert lengths.max() <= 20
    assert (lengths >= 10).mean() > 0.97


def test_only_search_pages_have_a_query_and_items_are_on_sale(small: Store):
    pages = frame(small, "raw", FIRST, "impressions")
    assert (pages["query"].is_not_null() == (pages["scenario"] == "search")).all()
    on_sale = frame(small, "raw", FIRST, "items")["item_id"]
    assert set(pages["item_ids"].explode()) <= set(on_sale)


FROZEN = {
    "behaviors": [3404, 2941],
    "impressions": [477, 452],
    "follows": [1040, 900],
    "items": [800, 795],
    "users": [263, 269],
}
