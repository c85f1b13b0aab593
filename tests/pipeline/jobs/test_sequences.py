"""What must not change a byte of sequences and samples: width, canaries, a rerun."""

import json
import re
import shutil
from dataclasses import replace
from datetime import timedelta

import polars as pl
import pytest

from features.property import LocalClock
from features.sequence import SequencesConfig
from infra.errors import ConfigError, PartitionMissing
from infra.store import Store
from pipeline.beam.run import BeamConfig
from tests import samples_log
from tests.samples_log import DAYS, MINUTE, ZONE


def samples_of(store, day):
    return store.partition("samples", day).table().to_pylist()


def digests(store: Store, days):
    names = [("history",), ("open",), ("pool",)]
    kept = [store.partition("sequences", day, *name).digest() for day in days for name in names]
    return kept + [store.partition("samples", day).digest() for day in days]


@pytest.mark.parametrize(
    "beam",
    [
        BeamConfig(buckets=1),
        BeamConfig(buckets=7, passes=3),
        pytest.param(BeamConfig(buckets=64), marks=pytest.mark.drill),
        BeamConfig(buckets=5, runner="multiprocess", workers=2),
    ],
    ids=["1", "7", "64", "2 workers"],
)
@pytest.mark.parametrize("log", ["pages", pytest.param("clicks", marks=pytest.mark.drill)])
def test_neither_buckets_nor_workers_change_a_byte(log, beam, request):
    store = request.getfixturevalue(log)
    before = digests(store, DAYS[2:])
    for day in DAYS[2:]:
        samples_log.again(store, day, beam)
    assert digests(store, DAYS[2:]) == before


def milliseconds(row):
    return round(row["ts"].timestamp() * 1000)


def plant(log, user, ts):
    """Rows at and after a moment on its day, and rows of the past that arrive a day later."""
    rows = [
        {"user_id": user, "item_id": f"i{i}", "ts": when, "day": DAYS[1]}
        for i, when in enumerate((ts, ts + 1, ts + 5 * MINUTE))
    ]
    past = log.behaviors.filter(pl.col("day") == DAYS[1]).sample(40, seed=1)
    for row in past.to_dicts():
        for shift in (-1, 0, 1):
            rows.append({**row, "ts": row["ts"] + shift, "item_id": "i7", "day": DAYS[2]})
    canaries = pl.DataFrame(rows, schema_overrides={"day": pl.Date}).with_columns(
        type=pl.lit("cart"), scenario=pl.lit("ad"), price=pl.lit(1e6)
    )
    columns = log.behaviors.columns
    both = [log.behaviors, canaries.select(columns).cast(dict(log.behaviors.schema))]
    return replace(log, behaviors=pl.concat(both))


def test_canaries_change_no_byte_that_is_published(pages, tmp_path):
    log = samples_log.make()
    rows = samples_of(pages, DAYS[1])
    midnight = LocalClock(ZONE).midnight_ms(DAYS[1])
    chosen = next(r for r in rows if milliseconds(r) > midnight and len(r["seq_item"]) > 20)
    samples_log.write(plant(log, chosen["user_id"], milliseconds(chosen)), tmp_path)
    store = samples_log.run(tmp_path, DAYS[:3])
    assert (
        store.partition("samples", DAYS[0]).digest() == pages.partition("samples", DAYS[0]).digest()
    )
    before, after = (
        [{**row, "shop": None, "shop_preferred": None} for row in some]  # asks about the whole day
        for some in (rows, samples_of(store, DAYS[1]))
    )
    changed = [row for row, now in zip(before, after, strict=True) if row != now]
    assert changed  # the canaries sing: later moments of that user do see them
    for row in changed:
        assert row["user_id"] == chosen["user_id"]
        assert row["ts"] > chosen["ts"]


def serve_one(home, day, request):
    """A page as `dupn serve` adds it to a day."""
    ts = LocalClock(ZONE).midnight_ms(day) + 600 * MINUTE
    page = {"request_id": request, "user_id": "u1", "ts": ts, "item_ids": ["i1", "i2"]}
    folder = home / "raw" / f"dt={day}" / "impressions"
    folder.mkdir(parents=True)
    (folder / "served-1.jsonl").write_text(json.dumps(page) + "\n")


def test_a_page_that_nothing_names_leaves_moments_derived(tmp_path, clicks, caplog):
    samples_log.write(samples_log.make(pages=False), tmp_path, pages=False)
    serve_one(tmp_path, DAYS[1], "served")
    store = samples_log.run(tmp_path, DAYS[:3])
    assert "has 1 pages" in caplog.text
    for day in DAYS[1:3]:
        mine, without = (one.partition("samples", day).manifest() for one in (store, clicks))
        assert mine.lineage["derived"]
        assert mine.rows == without.rows
        lr_ctr = store.partition("statistics", day, "lr_sample").manifest()
        assert lr_ctr.rows == clicks.partition("statistics", day, "lr_sample").manifest().rows


def test_a_gap_between_days_names_the_missing_day(pages):
    with pytest.raises(PartitionMissing, match=str(DAYS[-1] + timedelta(days=1))):
        samples_log.again(pages, DAYS[-1] + timedelta(days=2), BeamConfig())


def test_another_window_than_yesterdays_is_refused_with_the_command_that_takes_it(pages, tmp_path):
    shutil.copytree(pages.root, tmp_path / "home")
    store, config = Store(tmp_path / "home"), SequencesConfig(window_minutes=30)
    with pytest.raises(ConfigError, match="window_minutes is 30") as told:
        samples_log.again(store, DAYS[2], BeamConfig(), config)
    named = re.search(r"`dupn sequences --from (\S+) --to (\S+)`", str(told.value)).groups()
    assert named == (str(DAYS[0]), str(DAYS[2]))
    for day in DAYS[:3]:
        samples_log.again(store, day, BeamConfig(), config)
        lineage = store.partition("sequences", day, "open").manifest().lineage
        assert lineage["window_ms"] == 30 * MINUTE


@pytest.mark.parametrize("log", ["pages", "clicks"])
def test_rows_that_come_again_on_a_later_day_are_dropped_and_counted(log, request):
    store = request.getfixturevalue(log)
    seen = set()
    for day in DAYS:
        events = store.partition("events", day, "behaviors").table(["user_id", "key"]).to_pylist()
        keys = {(row["user_id"], row["key"]) for row in events}
        counts = store.partition("sequences", day, "history").manifest().counts
        assert counts["duplicates"] == len(keys & seen)
        seen |= keys
    assert counts["duplicates"] > 5


def test_a_day_without_pages_in_a_log_that_had_some_asks_nothing_of_its_clicks(tmp_path):
    log = samples_log.make()
    samples_log.write(replace(log, impressions=log.impressions.clear()), tmp_path)
    shown = log.impressions.filter(pl.col("day") == DAYS[0]).drop("day")
    samples_log._put(shown, tmp_path, DAYS[0], "impressions")
    store = samples_log.run(tmp_path, DAYS[:2])
    found = store.partition("sequences", DAYS[1], "history").manifest()
    assert not found.lineage["derived"]
