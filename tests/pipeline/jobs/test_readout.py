"""An experiment's read-out against the published samples and plain Python over the events."""

import shutil
from collections import defaultdict
from datetime import timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pytest

from evaluation.abtest import health, sufficient
from evaluation.abtest.sufficient import SUMS
from features.abtest import assignment
from features.abtest import readout as rows
from features.abtest.traffic import Traffic
from features.buckets import hash_ids
from features.raw.dataset import load
from infra.errors import PartitionMissing
from infra.store import Store
from pipeline.beam.run import BeamConfig
from pipeline.jobs import before, events, readout
from pipeline.jobs.readout import Asked, place
from tests import samples_log
from tests.samples_log import DAYS, MINUTE, ZONE

W = 60 * MINUTE
TRAFFIC = Traffic(experiment="e", salt="s", shares={"old": 0.5, "new": 0.5})
FIRST = DAYS[2]
ASKED = Asked(traffic=TRAFFIC, digest="d", first_day=FIRST, budget_ms=50.0)
BOUGHT, CLICKED = 4, 1


def said(pages: pl.DataFrame, seed: int) -> pl.DataFrame:
    """Pages as a service would have logged them."""
    rng = np.random.default_rng(seed)
    number = len(pages)
    arms = assignment.arms(pages["user_id"].to_arrow(), TRAFFIC.salt, TRAFFIC.shares)
    return pages.with_columns(
        variant=pl.Series(arms),
        line=pl.Series(arms),
        model_version=pl.Series(rng.choice(["7", "8"], number)),
        price_level=pl.Series(rng.integers(1, 8, number), dtype=pl.Int64),
        latency_ms=pl.Series(rng.choice([10.0, 90.0], number)),
        failed=pl.Series(rng.choice([True, False, None], number).tolist(), dtype=pl.Boolean),
    )


@pytest.fixture(scope="module")
def log(pages, tmp_path_factory):
    """The small log, its pages split between two arms."""
    home = tmp_path_factory.mktemp("split")
    shutil.copytree(pages.root, home, dirs_exist_ok=True)
    for number, day in enumerate(DAYS):
        (file,) = Path(home, "raw", f"dt={day}", "impressions").glob("*.parquet")
        said(pl.read_parquet(file), number).write_parquet(file)
        events.run(Store(home), day, dataset=load(str(home / "small.toml")))
    return Store(home)


def read(store, day, **width):
    beam = BeamConfig(**{"buckets": 3, **width})
    before.run(store, ASKED, 2, W, ZONE, beam)
    counts = readout.run(store, day, ASKED, W, ZONE, beam)
    return {
        "counts": dict(counts),
        **{name: place(store, "e", name, day).table() for name in ("readout", "hours")},
        "before": place(store, "e", "before").table(),
    }


@pytest.fixture(scope="module")
def found(log):
    return {day: read(log, day) for day in DAYS[2:]}


def plain(store, name):
    out = []
    for day in DAYS:
        for row in store.partition("events", day, name).table().to_pylist():
            out.append({**row, "ts": round(row["ts"].timestamp() * 1000), "arrived": day})
    return out


def closing(store, day, since):
    """Pages whose window closes on a day, row by row."""
    clock = samples_log.LocalClock(ZONE)
    start, end = clock.midnight_ms(day), clock.end_ms(day)
    for page in plain(store, "impressions"):
        late = page["arrived"] < day and page["ts"] >= start
        if max(start - W, since) <= page["ts"] < end - W and page["arrived"] <= day and not late:
            yield page


def expected(store, day, since):
    """Sums by user (and arm) of the pages whose window closes on a day."""
    start = samples_log.LocalClock(ZONE).midnight_ms(day)
    actions, seen = defaultdict(list), set()
    for row in plain(store, "behaviors"):
        if row["arrived"] <= day and row["key"] not in seen:
            seen.add(row["key"])
            actions[row["user_id"], row["request_id"]].append(row)
    sums = defaultdict(lambda: defaultdict(float))
    for page in closing(store, day, since):
        own = start <= page["ts"]
        before_all = day == DAYS[0]
        when = day if own or before_all else day - timedelta(days=1)
        catalog = store.partition("catalog", when).table()
        level = dict(
            zip(*(catalog[n].to_pylist() for n in ("item_id", "price_level")), strict=True)
        )
        after = [
            a for a in actions[page["user_id"], page["request_id"]]
            if 0 <= a["ts"] - page["ts"] <= W and a["item_id"] in page["item_ids"]
        ]  # fmt: skip
        paid = [a for a in after if a["type"] == BOUGHT]
        bought = [level[i] for i in page["item_ids"] if i in {a["item_id"] for a in paid}]
        true = next((one for one in bought if one), 0)
        mine = sums[page["user_id"], page["variant"]]
        mine["pages"] += 1
        mine["impressions"] += len(page["item_ids"])
        mine["clicks"] += len({a["item_id"] for a in after if a["type"] == CLICKED})
        mine["orders"] += len(paid)
        mine["sales"] += sum(a["price"] for a in paid)
        mine["ppp_asked"] += bool(true)
        mine["ppp_right"] += bool(true) and true == page["price_level"]
    return sums


def test_the_rows_are_what_the_statistics_work_on():
    for field in sufficient.READOUT:
        assert rows.READOUT.field(field.name).equals(field)
    for field in health.HEALTH:
        assert rows.HOURS.field(field.name).equals(field)


def test_every_sum_is_that_of_the_events(log, found):
    assert as_the_events_say(log, found) > 10


def as_the_events_say(log, found):
    """Compare every row; how many price levels were asked."""
    clock = samples_log.LocalClock(ZONE)
    asked = 0
    for day in DAYS[2:]:
        sums = expected(log, day, clock.midnight_ms(FIRST))
        ids = dict(zip(hash_ids(pa.array([u for u, _ in sums])).tolist(), sums, strict=True))
        table = found[day]["readout"]
        assert table.schema.equals(rows.READOUT)
        assert table["day"].unique().to_pylist() == [day]
        assert table.num_rows == len(sums)
        for row in table.to_pylist():
            mine = sums[ids[row["user"]]]
            assert row["arm"] == ids[row["user"]][1]
            assert {name: row[name] for name in SUMS} == pytest.approx(dict(mine))
            right = [a == b for a, b in zip(row["ppp_said"], row["ppp_true"], strict=True)]
            assert (len(right), sum(right)) == (row["ppp_asked"], row["ppp_right"])
            asked += len(right)
    return asked


def test_a_request_need_be_unique_among_those_of_its_user_only(log, tmp_path):
    shutil.copytree(log.root, tmp_path, dirs_exist_ok=True)
    for day in DAYS:
        for name in ("impressions", "behaviors"):
            (file,) = Path(tmp_path, "raw", f"dt={day}", name).glob("*.parquet")
            shared = pl.col("request_id").str.replace(r"^r(\d)-\d+-", "r${1}-")
            pl.read_parquet(file).with_columns(shared).write_parquet(file)
        events.run(Store(tmp_path), day, dataset=load(str(tmp_path / "small.toml")))
    store = Store(tmp_path)
    found = {day: read(store, day, buckets=1) for day in DAYS[2:]}
    assert as_the_events_say(store, found) > 10
    assert all(one["counts"]["repeated_pages"] == 0 for one in found.values())


def test_clicks_and_levels_are_those_of_the_days_samples(log):
    """Where the experiment began before the day, a day's pages are the day's samples."""
    day = DAYS[3]
    table = read(log, day)["readout"]
    samples = log.partition("samples", day).table().to_pylist()
    shown = [one for one in samples if one["cand_item"] is not None]
    assert sum(table["clicks"].to_pylist()) == sum(sum(one["cand_clicked"]) for one in shown)
    assert sum(table["impressions"].to_pylist()) == sum(len(one["cand_item"]) for one in shown)
    levels = sorted(one["price_level"] for one in shown if one["price_level"] is not None)
    assert sorted(table["ppp_true"].combine_chunks().flatten().to_pylist()) == levels


def test_a_page_that_is_shown_again_before_midnight_counts_once_as_its_sample_does(log, tmp_path):
    shutil.copytree(log.root, tmp_path, dirs_exist_ok=True)
    (file,) = Path(tmp_path, "raw", f"dt={FIRST}", "impressions").glob("*.parquet")
    pages = pl.read_parquet(file)
    evening = samples_log.LocalClock(ZONE).end_ms(FIRST) - 10 * MINUTE
    morning = pages.filter(pl.col("ts") < evening - W)
    pl.concat([pages, morning.with_columns(ts=pl.lit(evening))]).write_parquet(file)
    events.run(Store(tmp_path), FIRST, dataset=load(str(tmp_path / "small.toml")))
    for day in DAYS[2:]:
        samples_log.again(Store(tmp_path), day, BeamConfig(buckets=3))
    found = read(Store(tmp_path), DAYS[3])
    asked = Store(tmp_path).partition("samples", DAYS[3]).table().to_pylist()
    shown = sum(len(one["cand_item"] or ()) for one in asked)
    assert sum(found["readout"]["impressions"].to_pylist()) == shown
    assert found["counts"]["repeated_pages"] > 10


def test_pages_before_the_first_day_are_not_of_the_experiment(log, found):
    """The last hour of the day before closes on the first day."""
    with_them = expected(log, FIRST, 0)
    pages = sum(found[FIRST]["readout"]["pages"].to_pylist())
    assert pages < sum(mine["pages"] for mine in with_them.values())


def test_what_was_known_before_is_the_sum_of_the_days_before(log, found):
    sums = defaultdict(lambda: defaultdict(float))
    for day in DAYS[:2]:
        for (user, _), mine in expected(log, day, 0).items():
            for name in ("impressions", "clicks", "orders", "sales"):
                sums[user][name] += mine[name]
    hashes = dict(zip(sums, hash_ids(pa.array(list(sums))).tolist(), strict=True))
    table = {row["user"]: row for row in found[FIRST]["before"].to_pylist()}
    assert set(table) == set(hashes.values())
    for user, mine in sums.items():
        row = table[hashes[user]]
        assert {n: row[f"pre_{n}"] for n in mine} == pytest.approx(dict(mine))
    for row in found[FIRST]["readout"].to_pylist():
        known = table.get(row["user"], dict.fromkeys(rows.KNOWN, 0))
        assert {name: row[name] for name in rows.KNOWN} == {n: known[n] for n in rows.KNOWN}
        assert row["seen_before"] == (known["pre_impressions"] > 0)


def test_hours_say_how_pages_were_answered(log, found):
    since = samples_log.LocalClock(ZONE).midnight_ms(FIRST)
    for day, one in found.items():
        sums = defaultdict(lambda: np.zeros(5, np.int64))
        for page in closing(log, day, since):
            late, failed = page["latency_ms"], page["failed"]
            told = (1, failed is True, late > ASKED.budget_ms, True, failed is not None)
            hour = page["ts"] - page["ts"] % (60 * MINUTE)
            sums[page["variant"], hour, page["line"], page["model_version"]] += told
        rows_of = {
            (
                row["arm"],
                round(row["hour"].timestamp() * 1000),
                row["line"],
                row["model_version"],
            ): [row[name] for name in ("requests", "errors", "slow", "timed", "reported")]
            for row in one["hours"].to_pylist()
        }
        assert rows_of == {key: told.tolist() for key, told in sums.items()}
        hours = pl.DataFrame(one["hours"])
        total = sum(one["readout"]["pages"].to_pylist())
        assert hours["requests"].sum() == hours["timed"].sum() == total
        assert 0 < hours["errors"].sum() < hours["reported"].sum() < total
        assert set(hours["model_version"]) == {"7", "8"}
        assert (hours["line"] == hours["arm"]).all()
        assert 0 < hours["slow"].sum() < total


WIDTHS = [
    {"buckets": 1},
    {"buckets": 7, "workers": 2},
    pytest.param({"buckets": 64}, marks=pytest.mark.drill),
    {"buckets": 5, "runner": "multiprocess", "workers": 2},
]


@pytest.mark.parametrize("width", WIDTHS, ids=str)
def test_the_same_rows_with_any_number_of_buckets_and_workers(log, found, width):
    again = read(log, FIRST, **width)
    for name in ("readout", "hours", "before", "counts"):
        assert again[name] == found[FIRST][name]


def logged(log, home, pages_of):
    """The counts of the first day, had its pages been logged otherwise."""
    shutil.copytree(log.root, home, dirs_exist_ok=True)
    (file,) = Path(home, "raw", f"dt={FIRST}", "impressions").glob("*.parquet")
    pages_of(pl.read_parquet(file)).write_parquet(file)
    events.run(Store(home), FIRST, dataset=load(str(home / "small.toml")))
    return read(Store(home), FIRST)["counts"]


def renamed(log, home, moved):
    """Under other arms."""
    return logged(
        log, home, lambda pages: pages.with_columns(variant=pl.col("variant").replace(moved))
    )


def test_a_user_in_the_wrong_arm_or_answered_by_another_line_is_counted(log, found, tmp_path):
    assert found[FIRST]["counts"]["misassigned"] == 0
    assert found[FIRST]["counts"]["other_line"] == 0
    counts = renamed(log, tmp_path, {"old": "new", "new": "old"})
    assert (
        counts["misassigned"] == counts["other_line"] == counts["pages_old"] + counts["pages_new"]
    )


def test_a_page_of_no_arm_of_the_experiment_has_no_line_that_it_should_be_of(log, tmp_path):
    """Until all arms answer, the champion's line answers users whose arm is `champion`."""
    counts = renamed(log, tmp_path, {"old": "champion"})
    assert counts["pages_champion"] > 0
    assert counts["misassigned"] == counts["other_line"] == 0


def test_pages_without_an_arm_are_counted_by_the_arm_of_their_users(log, found, tmp_path):
    """Those of every third request of `new` lose it; `old` loses its line."""
    lost = (pl.col("variant") == "new") & (pl.int_range(pl.len()) % 3 == 0)
    counts = logged(
        log, tmp_path,
        lambda pages: pages.with_columns(
            variant=pl.when(lost).then(None).otherwise(pl.col("variant")),
            line=pl.when(lost | (pl.col("variant") == "old")).then(None).otherwise(pl.col("line")),
        ),
    )  # fmt: skip
    whole = found[FIRST]["counts"]
    assert (whole["armless_old"], whole["armless_new"], whole["without_line"]) == (0, 0, 0)
    assert counts["armless_new"] == whole["pages_new"] - counts["pages_new"] > 0
    assert counts["armless_new"] == counts["without_arm"]
    assert counts["armless_squares_new"] >= counts["armless_new"]
    assert 0 < counts["armless_largest_new"] ** 2 <= counts["armless_squares_new"]
    assert counts["armless_old"] == 0
    assert counts["without_line"] == counts["pages_old"]


def test_events_of_before_there_were_such_columns_are_pages_without_an_arm(pages, tmp_path):
    shutil.copytree(pages.root, tmp_path, dirs_exist_ok=True)
    store = Store(tmp_path)
    old = store.partition("events", FIRST, "impressions")
    said = ("variant", "model_version", "line", "price_level", "latency_ms", "failed")
    table = old.table().drop_columns(list(said))
    with old.publish() as out:
        out.record([out.write_table("part", table)])
    made = read(store, FIRST)
    assert made["readout"].num_rows == 0
    assert made["counts"]["without_arm"] == made["counts"]["all_pages"] > 0


def test_without_pages_or_pre_period_it_says_so(log, tmp_path):
    for stage in ("events", "catalog"):
        shutil.copytree(Path(log.root, stage), tmp_path / stage)
    shutil.rmtree(tmp_path / "events" / f"dt={FIRST}" / "impressions")
    with pytest.raises(PartitionMissing, match="without pages there is nothing to read out"):
        readout.run(Store(tmp_path), FIRST, ASKED, W, ZONE, BeamConfig())
    other = ASKED.traffic.model_copy(update={"experiment": "other"})
    asked = Asked(traffic=other, digest="d", first_day=FIRST, budget_ms=50.0)
    with pytest.raises(PartitionMissing, match="experiments/other/before is not published"):
        readout.run(log, FIRST, asked, W, ZONE, BeamConfig())
