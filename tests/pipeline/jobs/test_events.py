import gzip
import json
import subprocess
import sys
from collections import Counter
from datetime import UTC, date, datetime

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from features.events import EventsConfig
from features.raw.dataset import load, parse_description
from features.schemas import BEHAVIORS, FOLLOWS, IMPRESSIONS
from infra.errors import InputError, PartitionCorrupt, PartitionMissing
from infra.store import Attempt, Store
from pipeline.beam.run import BeamConfig
from pipeline.jobs import events

DAY = date(2026, 11, 1)
START = int(datetime(2026, 11, 1, tzinfo=UTC).timestamp() * 1_000)
MARKET = load("marketplace")
TABLES = ("behaviors", "impressions", "follows", "items", "users", "icons", "shops")


def simulated(rows, seed=0):
    """A simulator-shaped day, some rows dirty, late or repeated."""
    rng = np.random.default_rng(seed)
    ts = START + rng.integers(0, 60, rows) * 1_000_000
    ts = np.where(rng.random(rows) < 0.05, ts - 86_400_000, ts)
    ts = np.where(rng.random(rows) < 0.01, ts // 1_000, ts)
    types = rng.choice(["click", "bookmark", "cart", "purchase", "clik"], rows)
    table = pa.table(
        {
            "user_id": pa.array(np.char.add("u", rng.integers(0, 60, rows).astype(str))),
            "item_id": pa.array(np.char.add("i", rng.integers(0, 40, rows).astype(str))),
            "type": pa.array(types, mask=rng.random(rows) < 0.01),
            "scenario": pa.array(rng.choice(["search", "recommend", "ad", "unknown"], rows)),
            "ts": pa.array(ts),
            "request_id": pa.array(rng.integers(0, 99, rows).astype(str), mask=ts % 3 == 0),
            "price": pa.array(rng.random(rows).astype(np.float32)),
        }
    )
    return table.take(pa.array(np.r_[np.arange(rows), rng.integers(0, rows, rows // 10)]))


def others():
    at = [START + 1_000 * i for i in range(40)]
    users = [f"u{i % 7}" for i in range(40)]
    return {
        "impressions": pa.table(
            {
                "request_id": [f"r{i}" for i in range(40)],
                "user_id": users,
                "ts": at,
                "scenario": ["search"] * 40,
                "query": ["red shoe", None] * 20,
                "item_ids": [["i1", f"i{i}"] for i in range(40)],
                "variant": pa.nulls(40, pa.string()),
            }
        ),
        "follows": pa.table(
            {"user_id": users, "icon_id": ["k1"] * 40, "ts": at, "followed": [True, False] * 20}
        ),
        "items": pa.table(
            {
                "item_id": [f"i{i % 30}" for i in range(40)],
                "shop_id": ["s"] * 40,
                "tags": [["a", "b"], None] * 20,
                "price": [1.5] * 40,
            }
        ),
        "users": pa.table({"user_id": users[:7], "age": ["18-24"] * 7, "sex": [None, *"fmfmfm"]}),
        "icons": pa.table({"icon_id": ["k1", "k2"], "style": ["x", "y"]}),
        "shops": pa.table({"shop_id": ["s"], "kind": ["big"]}),
    }


def put(store, name, tables, **lineage):
    with store.partition("raw", DAY, name).publish(dataset="marketplace", **lineage) as out:
        out.record([out.write_table(f"part-{i}", table) for i, table in enumerate(tables)])


def stored(path, rows=3_000, shuffle=None):
    store = Store(path)
    table = simulated(rows)
    if shuffle is not None:
        table = table.take(pa.array(np.random.default_rng(shuffle).permutation(table.num_rows)))
    put(store, "behaviors", [table.slice(0, 1_000), table.slice(1_000)])
    for name, other in others().items():
        put(store, name, [other])
    return store


def run(store, **over):
    return events.run(store, DAY, MARKET, beam=BeamConfig(**{"buckets": 7, **over}))


def digests(store):
    found = {name: store.partition("events", DAY, name).digest() for name in TABLES}
    rejects = store.partition("rejects", DAY)
    return found | ({"rejects": rejects.digest()} if rejects.exists() else {})


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    store = stored(tmp_path_factory.mktemp("reference"))
    return store, run(store), digests(store)


def test_every_raw_row_is_accounted_for(reference):
    store, counts, _ = reference
    assert counts["behaviors_read"] == 3_300
    assert counts["behaviors_duplicate"] > 0 < counts["behaviors_rejected"]
    for name in ("behaviors", "impressions", "follows"):
        kept = store.partition("events", DAY, name).table()["ts"].cast(pa.int64()).to_numpy()
        assert counts[f"{name}_late"] == (kept < START).sum()
    assert counts["behaviors_late"] > 0
    for name in TABLES:
        parts = [counts[f"{name}_{what}"] for what in ("kept", "duplicate", "ignored", "rejected")]
        assert counts[f"{name}_read"] == sum(parts)
    reasons = {k: v for k, v in counts.items() if k.startswith("behaviors_rejected_")}
    assert sum(reasons.values()) == counts["behaviors_rejected"]
    assert set(reasons) == {"behaviors_rejected_unknown_type", "behaviors_rejected_wrong_unit_time"}


def test_the_counts_stand_in_the_manifests(reference):
    store, counts, _ = reference
    found = Counter()
    for name in TABLES:
        found.update(store.partition("events", DAY, name).manifest().counts)
    assert dict(found) == {k: v for k, v in counts.items() if k in found}
    rejects = store.partition("rejects", DAY).table()
    assert rejects.num_rows == counts["behaviors_rejected"]


def test_the_rows_are_those_of_a_plain_polars_query(reference):
    store, _, _ = reference
    good = (
        pl.DataFrame(simulated(3_000))
        .unique()
        .filter(
            pl.col("type").is_in(["click", "bookmark", "cart", "purchase"]),
            pl.col("ts") > START - 2 * 86_400_000,
        )
        .select("user_id", "item_id", "ts", "request_id", "price")
    )
    found = pl.DataFrame(store.partition("events", DAY, "behaviors").table()).with_columns(
        pl.col("ts").dt.epoch("ms")
    )
    assert found.select(good.columns).sort(good.columns).equals(good.sort(good.columns))


def test_tables_have_their_schemas_and_files_their_ranges(reference):
    store, _, _ = reference
    for name, schema in (
        ("behaviors", BEHAVIORS),
        ("impressions", IMPRESSIONS),
        ("follows", FOLLOWS),
    ):
        partition = store.partition("events", DAY, name)
        assert partition.table().schema.equals(schema)
        for entry in partition.manifest().files:
            hashes = partition.table(["user_hash"], [entry])["user_hash"].to_numpy()
            assert ((hashes >= entry.low) & (hashes <= np.uint64(entry.high - 1))).all()
    users = store.partition("events", DAY, "users").table()
    assert users.column_names == ["user_hash", "user_id", "age", "sex"]
    assert store.partition("events", DAY, "shops").table().to_pylist() == [
        {"shop_id": "s", "kind": "big"}
    ]


@pytest.mark.parametrize(
    "width",
    [
        {"buckets": 1},
        {"buckets": 64},
        {"buckets": 7, "passes": 3},
        {"buckets": 5, "workers": 2},
    ],
)
def test_the_width_never_shows(tmp_path, reference, width):
    _, counts, expected = reference
    store = stored(tmp_path)
    assert run(store, **width) == counts
    assert digests(store) == expected


def test_two_worker_processes_give_the_same_bytes(tmp_path, reference):
    store = stored(tmp_path)
    assert run(store, runner="multiprocess", workers=2) == reference[1]
    assert digests(store) == reference[2]


def test_neither_the_order_of_rows_nor_the_size_of_batches_shows(tmp_path, reference):
    store = stored(tmp_path, shuffle=1)
    config = EventsConfig(batch_rows=100)
    counts = events.run(store, DAY, MARKET, config=config, beam=BeamConfig(buckets=3))
    assert counts == reference[1]
    found = digests(store)
    assert {k: v for k, v in found.items() if k != "rejects"} == {
        k: v for k, v in reference[2].items() if k != "rejects"
    }


def test_a_rerun_gives_the_same_bytes(tmp_path, reference):
    store = stored(tmp_path)
    run(store)
    run(store)
    assert digests(store) == reference[2]


def test_behaviors_are_published_last_so_that_they_close_the_day(tmp_path, monkeypatch):
    store = stored(tmp_path, 100)
    events_of = {name: store.partition("events", DAY, name) for name in TABLES}
    missing_then, commit = [], Attempt.commit

    def watched(attempt, lineage):
        if attempt.partition == events_of["behaviors"]:
            parts = [*events_of.values(), store.partition("rejects", DAY)]
            missing_then.extend(part.key for part in parts if not part.exists())
        return commit(attempt, lineage)

    monkeypatch.setattr(Attempt, "commit", watched)
    run(store)
    assert missing_then == [events_of["behaviors"].key]


def plain(tmp_path, **files):
    folder = tmp_path / "raw" / f"dt={DAY}" / "behaviors"
    folder.mkdir(parents=True)
    for name, data in files.items():
        (folder / name.replace("__", ".")).write_bytes(data)
    return Store(tmp_path)


def lines(rows, start=0):
    return [
        {"user_id": f"u{i % 5}", "item_id": f"i{i}", "type": "click", "ts": START + i}
        for i in range(start, start + rows)
    ]


def as_jsonl(rows):
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def as_csv(rows):
    head = ",".join(rows[0]) + "\n"
    return (head + "".join(",".join(map(str, row.values())) + "\n" for row in rows)).encode()


def as_parquet(rows):
    sink = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_pylist(rows), sink, row_group_size=7)
    return bytes(sink.getvalue())


def test_plain_files_of_any_format_are_read_together(tmp_path):
    store = plain(
        tmp_path,
        a__jsonl=as_jsonl(lines(10)),
        b__csv__gz=gzip.compress(as_csv(lines(10, 10))),
        c__parquet=as_parquet(lines(20, 20)),
        d__jsonl__zst=pa.compress(as_jsonl(lines(10, 40)), "zstd", asbytes=True),
        _ignored__csv=b"x",
    )
    counts = run(store)
    assert counts["behaviors_kept"] == counts["behaviors_read"] == 50
    found = store.partition("events", DAY, "behaviors").table()
    assert sorted(found["item_id"].to_pylist()) == sorted(f"i{i}" for i in range(50))


def test_refused_lines_are_quoted_as_they_came(tmp_path):
    told = f'{{"ts": {START},  "type":"?", "item_id": 5, "note": "caf\u00e9", "user_id":"u1"}}'
    cut = '{"user_id": "u1", "it'
    head = "user_id,item_id,type,ts"
    csv_line = f'"u,1","i""9",?,{START}'
    store = plain(
        tmp_path,
        a__jsonl=as_jsonl(lines(3)) + f"\n\n{told}\n{cut}".encode(),
        b__csv__gz=gzip.compress(f"{head}\r\nu1,i1,click,{START}\r\n{csv_line}\r\n".encode()),
    )
    counts = run(store)
    assert counts["behaviors_kept"] == 4
    rejects = store.partition("rejects", DAY).table().to_pylist()
    found = {(row["source"], row["line"]): row["text"] for row in rejects}
    assert found == {
        ("a.jsonl", 6): told,
        ("a.jsonl", 7): cut,
        ("b.csv.gz", 3): csv_line,
    }


def test_a_half_written_json_line_is_refused_and_the_rest_is_kept(tmp_path):
    store = plain(tmp_path, a__jsonl=as_jsonl(lines(10))[:-20])
    counts = run(store)
    assert (counts["behaviors_kept"], counts["behaviors_rejected_bad_json"]) == (9, 1)
    assert store.partition("rejects", DAY).table()["line"].to_pylist() == [10]


def test_a_corrupt_footer_sets_the_file_aside(tmp_path):
    good, bad = as_parquet(lines(10)), as_parquet(lines(10, 10))[:-30]
    store = plain(tmp_path, a__parquet=good, b__parquet=bad)
    counts = run(store)
    assert (counts["behaviors_kept"], counts["behaviors_rejected_bad_file"]) == (10, 1)
    row = store.partition("rejects", DAY).table().to_pylist()[0]
    assert (row["source"], row["reason"]) == ("b.parquet", "bad_file")


def test_a_day_that_is_unreadable_as_a_whole_is_an_error(tmp_path):
    store = plain(tmp_path, a__parquet=as_parquet(lines(10))[:-30])
    with pytest.raises(InputError, match=r"none of its 1 files can be read; a\.parquet"):
        run(store)
    assert store.days("events", "behaviors") == []


def test_a_cut_archive_keeps_what_could_be_read(tmp_path):
    packed = gzip.compress(as_csv(lines(50_000)))
    store = plain(tmp_path, a__csv__gz=packed[: len(packed) // 2], b__csv=as_csv(lines(3)))
    config = EventsConfig(batch_rows=1_000)
    counts = events.run(store, DAY, MARKET, config=config, beam=BeamConfig(buckets=2))
    assert counts["behaviors_rejected_bad_file"] == 1
    assert 10_000 < counts["behaviors_kept"] < 50_000


def test_a_published_file_that_rotted_is_an_error(tmp_path):
    store = stored(tmp_path, 100)
    partition = store.partition("raw", DAY, "behaviors")
    file = tmp_path / partition.key / partition.manifest().files[0].name
    file.write_bytes(file.read_bytes()[:-30])
    with pytest.raises(PartitionCorrupt, match="Import or simulate that day again"):
        run(store)


def test_a_missing_day_and_an_empty_one_are_told_apart(tmp_path):
    with pytest.raises(PartitionMissing, match=r"behaviors has no files .* A day without data"):
        run(Store(tmp_path / "nothing"))
    store = plain(tmp_path / "empty", a__csv=b"user_id,item_id,type,ts\n", b__jsonl=b"")
    with pytest.raises(InputError, match=r"holds no row.* A day without data"):
        run(store)
    assert store.days("events", "behaviors") == []


def test_a_day_of_nothing_but_rejects_is_published_as_such(tmp_path):
    store = plain(tmp_path, a__jsonl=as_jsonl([row | {"type": "?"} for row in lines(4)]))
    counts = run(store)
    assert (counts["behaviors_kept"], counts["behaviors_rejected"]) == (0, 4)
    assert store.partition("events", DAY, "behaviors").table().schema.equals(BEHAVIORS)


def test_rows_repeated_under_the_declared_identity_change_nothing(tmp_path):
    dataset = parse_description('name = "e"\n[behaviors]\nidentity = "event_id"\n', "e.toml")
    rows = [row | {"event_id": row["item_id"]} for row in lines(30)]
    tables = {}
    for name, given in (("once", rows), ("twice", [*rows, *rows[::-1]])):
        store = plain(tmp_path / name, a__parquet=as_parquet(given))
        counts = events.run(store, DAY, dataset, beam=BeamConfig(buckets=3))
        tables[name] = store.partition("events", DAY, "behaviors").digest()
    assert counts["behaviors_duplicate"] == 30
    assert tables["once"] == tables["twice"]


def test_another_data_set_than_the_one_imported_is_refused(tmp_path):
    store = stored(tmp_path, 50)
    with pytest.raises(InputError, match="was written as data set marketplace, not rees46"):
        events.run(store, DAY, load("rees46"))


def test_lists_in_json_are_read_as_lists(tmp_path):
    store = plain(tmp_path, a__jsonl=as_jsonl(lines(1)))
    folder = tmp_path / "raw" / f"dt={DAY}" / "impressions"
    folder.mkdir()
    page = {"request_id": "r", "user_id": "u", "ts": START, "item_ids": ["a, b", 7]}
    bad = page | {"item_ids": [{"id": 1}]}
    (folder / "p.jsonl").write_bytes(as_jsonl([page, bad]))
    counts = run(store)
    assert counts["impressions_rejected_bad_value"] == 1
    found = store.partition("events", DAY, "impressions").table().to_pylist()
    assert [row["item_ids"] for row in found] == [["a, b", "7"]]


@pytest.mark.parametrize(
    ("column", "odd", "what"),
    [
        *(("item_ids", odd, "value") for odd in ([[{"id": "i1"}]], [[["i1"]]], [{"id": "i1"}])),
        *(("ts", odd, "time") for odd in ([{"at": START}], [[START]], [[{"at": START}]])),
    ],
)
def test_structures_where_none_can_be_are_refused_row_by_row(tmp_path, column, odd, what):
    store = plain(tmp_path, a__jsonl=as_jsonl(lines(1)))
    page = {"request_id": ["r"], "user_id": ["u"], "ts": [START], "item_ids": [["i"]], column: odd}
    put(store, "impressions", [pa.table(page)])
    assert run(store)[f"impressions_rejected_bad_{what}"] == 1
    assert store.partition("events", DAY, "impressions").manifest().rows == 0


PEAK = """
import sys
from pathlib import Path
from datetime import date
from features.raw.dataset import load
from infra.store import Store
from pipeline.beam.run import BeamConfig
from pipeline.jobs import events
passes = int(sys.argv[2])
beam = BeamConfig(buckets=16, passes=passes)

def peak():
    status = Path("/proc/self/status").read_text()  # not ru_maxrss: it starts at the parent's
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM")))

before = peak()
events.run(Store(sys.argv[1]), date(2026, 11, 1), load("marketplace"), beam=beam)
print(peak() - before)
"""


@pytest.mark.drill
def test_more_passes_take_less_memory(tmp_path):
    store = Store(tmp_path)
    whole = simulated(100_000)
    put(store, "behaviors", [whole.append_column("n", pa.array([i] * 110_000)) for i in range(24)])
    grown_kb, found = [], set()
    for passes in (1, 8):
        command = [sys.executable, "-c", PEAK, str(tmp_path), str(passes)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        grown_kb.append(int(done.stdout.split()[-1]))
        found.add(store.partition("events", DAY, "behaviors").digest())
    assert len(found) == 1
    assert grown_kb[1] < grown_kb[0] - 60 * 1024, grown_kb


def test_a_pass_keeps_only_its_own_buckets_in_the_shuffle():
    table = simulated(500)
    plan = events.Plan(
        dataset=MARKET,
        config=EventsConfig(),
        window=events.Window.of(DAY, MARKET, EventsConfig()),
        extra={"behaviors": ()},
        outs={},
        buckets=8,
        chosen=range(2, 4),
    )
    block = events.rawfiles.with_place(table, "x", 1)
    split = events.split_block(block, "behaviors", plan)
    assert set(split.rows) == {"behaviors/000002", "behaviors/000003"}
    assert split.counts["behaviors_read"] == 550
