"""Files that break off, are spoilt inside, or are not what their name says."""

import json
from datetime import UTC, date, datetime

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from features.raw.dataset import load
from infra.errors import InputError, QualityFailed
from infra.store import Store
from pipeline import settings
from pipeline.beam.run import BeamConfig
from pipeline.jobs import events
from pipeline.quality import checks, judged
from pipeline.raw.importing import import_files

DAY = date(2026, 11, 1)
START = int(datetime(2026, 11, 1, tzinfo=UTC).timestamp() * 1_000)
MARKET = load("marketplace")


def day_of(tmp_path, table="behaviors", **files):
    folder = tmp_path / "raw" / f"dt={DAY}" / table
    folder.mkdir(parents=True)
    for name, data in files.items():
        (folder / name.replace("__", ".")).write_bytes(data)
    return Store(tmp_path)


def rows_of(count, start=0):
    return [
        {"user_id": f"u{i % 5}", "item_id": f"i{i}", "type": "click", "ts": START + 1_000 * i}
        for i in range(start, start + count)
    ]


def jsonl(rows):
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def zst(data):
    return pa.compress(data, "zstd", asbytes=True)


def spoilt_parquet(rows, group):
    """Three row groups, of which one has a page that does not unpack."""
    sink = pa.BufferOutputStream()
    size = -(-len(rows) // 3)
    pq.write_table(pa.Table.from_pylist(rows), sink, row_group_size=size, compression="snappy")
    data = bytearray(sink.getvalue())
    footer = pq.read_metadata(pa.BufferReader(bytes(data)))
    column = footer.row_group(group).column(1)
    start = column.dictionary_page_offset + 40  # behind the page's header
    data[start : start + 200] = b"\xff" * 200
    return bytes(data)


def run(store):
    return events.run(store, DAY, MARKET, beam=BeamConfig(buckets=2))


def refused(store):
    rows = store.partition("rejects", DAY).table().to_pylist()
    return [(row["source"], row["line"], row["reason"], row["text"]) for row in rows]


def test_what_a_cut_zstd_gives_before_its_end_is_kept(tmp_path):
    rng = np.random.default_rng(0)
    rows = [row | {"request_id": str(rng.integers(1 << 60))} for row in rows_of(20_000)]
    packed = zst(jsonl(rows))
    store = day_of(tmp_path, a__jsonl__zst=packed[: len(packed) // 2], b__jsonl=jsonl(rows_of(10)))
    counts = run(store)
    assert counts["behaviors_rejected"] == counts["behaviors_rejected_bad_file"] == 1
    assert 8_000 < counts["behaviors_kept"] < 12_000
    ((source, line, _, text),) = refused(store)
    assert (source, text) == ("a.jsonl.zst", "Truncated compressed stream")
    assert line > 8_000


def test_a_day_with_a_lost_file_does_not_pass_quality(tmp_path):
    packed = zst(jsonl(rows_of(20_000, 10)))
    store = day_of(tmp_path, a__jsonl__zst=packed[:-9], b__jsonl=jsonl(rows_of(10)))
    run(store)
    with pytest.raises(QualityFailed, match=r"behaviors has lost parts 1.*: a\.jsonl\.zst at line"):
        checks.run(settings.load("smoke", str(tmp_path)), DAY, "events")
    assert not judged.passed(store, DAY, "events")


def test_the_name_of_a_lost_file_forges_no_line_of_what_is_told(tmp_path):
    store = day_of(tmp_path, b__jsonl=jsonl(rows_of(10)))
    odd = "a\n12:00:00 promoted\x1b[2J.jsonl.zst"
    (tmp_path / "raw" / f"dt={DAY}" / "behaviors" / odd).write_bytes(b"this is no zstd")
    run(store)
    with pytest.raises(QualityFailed) as told:
        checks.run(settings.load("smoke", str(tmp_path)), DAY, "events")
    assert r"a\n12:00:00 promoted\x1b[2J.jsonl.zst (ZSTD" in str(told.value)
    assert odd not in str(told.value)


def test_a_lost_file_of_any_table_counts(tmp_path):
    day_of(tmp_path, b__jsonl=jsonl(rows_of(10)))
    users = {"t__jsonl": b'{"user_id": "u1"}\n', "u__jsonl__zst": b"this is no zstd"}
    store = day_of(tmp_path, "users", **users)
    run(store)
    with pytest.raises(QualityFailed, match=r"users has lost parts 1.*: u\.jsonl\.zst \(ZSTD"):
        checks.run(settings.load("smoke", str(tmp_path)), DAY, "events")


def test_a_snapshot_of_which_nothing_can_be_kept_takes_no_earlier_ones_place(tmp_path):
    day_of(tmp_path, b__jsonl=jsonl(rows_of(10)))
    renamed = jsonl([{"uid": f"u{n}", "age": "1"} for n in range(3)])
    store = day_of(tmp_path, "users", u__jsonl=renamed, v__jsonl__zst=b"this is no zstd")
    said = r"raw/dt=2026-11-01/users: all 4 rows .*\(1 bad_file: .*; 3 missing_id: .*was renamed"
    with pytest.raises(InputError, match=said):
        run(store)
    assert store.days("events", "users") == store.days("events", "behaviors") == []
    (tmp_path / "raw" / f"dt={DAY}" / "users" / "w.jsonl").write_bytes(b'{"user_id": "u1"}\n')
    assert run(store)["users_kept"] == 1


def test_a_day_with_a_snapshot_that_is_mostly_refused_does_not_pass_quality(tmp_path):
    day_of(tmp_path, b__jsonl=jsonl(rows_of(10)))
    users = [{"user_id": "u", "age": "1"}, *[{"uid": f"u{n}"} for n in range(9)]]
    store = day_of(tmp_path, "users", u__jsonl=jsonl(users))
    run(store)
    with pytest.raises(QualityFailed, match=r"users has reject share 0\.9, over the limit 0\.05"):
        checks.run(settings.load("smoke", str(tmp_path)), DAY, "events")


def test_a_spoilt_page_is_one_refused_row_and_the_other_row_groups_are_kept(tmp_path):
    store = day_of(tmp_path, a__parquet=spoilt_parquet(rows_of(3_000), 1))
    counts = run(store)
    assert (counts["behaviors_kept"], counts["behaviors_rejected_bad_file"]) == (2_000, 1)
    ((source, line, reason, _),) = refused(store)
    assert (source, line, reason) == ("a.parquet", 1_001, "bad_file")


def test_a_spoilt_first_page_does_not_stop_the_day(tmp_path):
    spoilt = spoilt_parquet(rows_of(3_000), 0)
    store = day_of(tmp_path, a__parquet=spoilt, b__jsonl=jsonl(rows_of(10, 3_000)))
    counts = run(store)
    assert (counts["behaviors_kept"], counts["behaviors_rejected_bad_file"]) == (2_010, 1)


def test_a_page_with_an_item_that_is_no_text_is_refused_alone(tmp_path):
    day_of(tmp_path, x__jsonl=jsonl(rows_of(1)))
    sink = pa.BufferOutputStream()
    page = {"user_id": "u", "ts": START}
    pages = [
        page | {"request_id": "r", "item_ids": [b"i1"]},
        page | {"request_id": "s", "item_ids": [b"i1", b"\xff"]},
    ]
    pq.write_table(pa.Table.from_pylist(pages), sink)
    store = day_of(tmp_path, "impressions", p__parquet=bytes(sink.getvalue()))
    assert run(store)["impressions_rejected_bad_value"] == 1
    found = store.partition("events", DAY, "impressions").table()
    assert found["request_id"].to_pylist() == ["r"]


def latin(rows, column, *, coded):
    """Parquet whose `column` says it is text and holds Latin-1 in the third row."""
    table = pa.Table.from_pylist(rows)
    told = [str(row[column]).encode() for row in rows]
    told[2] = b"caf\xe9"
    sound = pa.array(told, pa.binary())
    text = pa.StringArray.from_buffers(len(told), *sound.buffers()[1:])
    at = table.column_names.index(column)
    table = table.set_column(at, column, text.dictionary_encode() if coded else text)
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink)
    return bytes(sink.getvalue())


@pytest.mark.parametrize("coded", [False, True], ids=["plain", "dictionary"])
@pytest.mark.parametrize(
    ("column", "reason"),
    [
        ("user_id", "bad_type_of_id"),
        ("item_id", "bad_type_of_id"),
        ("category_id", "bad_type_of_id"),
        ("type", "unknown_type"),
        ("scenario", "unknown_scenario"),
        ("ts", "bad_time"),
        ("price", "bad_value"),
        ("note", None),  # a column that nobody reads
    ],
)
def test_a_text_that_is_no_utf8_is_refused_in_its_row(tmp_path, column, reason, coded):
    more = {"category_id": "c", "scenario": "ad", "price": 2.5, "note": "n"}
    written = latin([row | more for row in rows_of(5)], column, coded=coded)
    store = day_of(tmp_path, a__parquet=written)
    counts = run(store)
    kept = store.partition("events", DAY, "behaviors").table()
    assert kept.num_rows == counts["behaviors_kept"] == (4 if reason else 5)
    assert kept.validate(full=True) is None
    if reason:
        ((source, line, said, text),) = refused(store)
        assert (source, line, said) == ("a.parquet", 3, reason)
        assert "caf\ufffd" in text


def test_an_import_keeps_a_text_that_is_no_utf8_for_events_to_refuse(tmp_path):
    sound, spoilt = tmp_path / "a.parquet", tmp_path / "b.parquet"
    pq.write_table(pa.Table.from_pylist(rows_of(5)), sound)
    spoilt.write_bytes(latin(rows_of(5, 5), "item_id", coded=False))
    store = Store(tmp_path / "home")
    import_files(store, MARKET, [f"behaviors={sound}", f"behaviors={spoilt}"])
    counts = run(store)
    assert (counts["behaviors_kept"], counts["behaviors_rejected_bad_type_of_id"]) == (9, 1)
    assert [row[:2] for row in refused(store)] == [("b.parquet", 3)]


def test_what_arrow_cannot_do_with_a_block_is_one_refused_row(tmp_path, monkeypatch):
    def parse(*_):
        raise pa.ArrowNotImplementedError("no kernel for this")

    store = day_of(tmp_path, a__jsonl=jsonl(rows_of(3)))
    monkeypatch.setattr(events, "split_block", parse)
    with pytest.raises(InputError, match=r"a\.jsonl \(no kernel for this\)"):
        run(store)


@pytest.mark.parametrize("suffix", ["zst", "gz", "bz2", "xz"])
def test_a_file_that_is_not_what_its_suffix_says_is_set_aside(tmp_path, suffix):
    told = {f"a__jsonl__{suffix}": jsonl(rows_of(10)), "b__jsonl": jsonl(rows_of(10, 10))}
    store = day_of(tmp_path, **told)
    counts = run(store)
    assert (counts["behaviors_kept"], counts["behaviors_rejected_bad_file"]) == (10, 1)
    assert refused(store)[0][:3] == (f"a.jsonl.{suffix}", 1, "bad_file")


@pytest.mark.parametrize("suffix", ["jsonl.zst", "csv.gz", "jsonl.bz2", "csv.xz", "parquet"])
def test_an_upload_that_failed_at_no_bytes_is_a_lost_file(tmp_path, suffix):
    told = {f"a.{suffix}".replace(".", "__"): b"", "b__jsonl": jsonl(rows_of(10))}
    store = day_of(tmp_path, **told)
    counts = run(store)
    assert (counts["behaviors_kept"], counts["behaviors_rejected_bad_file"]) == (10, 1)
    assert refused(store)[0][:3] == (f"a.{suffix}", 1, "bad_file")


@pytest.mark.parametrize("suffix", ["jsonl", "csv"])
def test_a_text_file_of_no_bytes_has_no_rows(tmp_path, suffix):
    store = day_of(tmp_path, **{f"a__{suffix}": b"", "b__jsonl": jsonl(rows_of(10))})
    counts = run(store)
    assert (counts["behaviors_read"], counts["behaviors_rejected"]) == (10, 0)


def test_a_day_of_which_nothing_can_be_read_is_an_error(tmp_path):
    store = day_of(tmp_path, **{"a\r__jsonl__zst": b"this is no zstd"})
    said = r"none of its 1 files can be read; a\\r\.jsonl\.zst \(ZSTD"
    with pytest.raises(InputError, match=said):
        run(store)
    assert store.days("events", "behaviors") == store.days("rejects") == []
