"""Partitions are whole or absent, on a disk and on an object store."""

import json
import os
import pickle
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import pyarrow as pa
import pytest

from infra import installed
from infra.errors import PartitionCorrupt, PartitionMissing, StoreError
from infra.store import MANIFEST, Manifest, Partition, Store
from tests.disks import files_up_to

DAY = date(2026, 3, 2)


@pytest.fixture
def partition(tmp_path) -> Partition:
    return Store(tmp_path).partition("events", DAY, "behaviors")


def publish(partition: Partition, *values: int, files: int = 1) -> None:
    with partition.publish(inputs=["raw"]) as out:
        for number in range(files):
            part = pa.table({"a": values[number::files]})
            out.record([out.write_table(f"part-{number}", part, counts={"kept": len(part)})])


def test_what_was_published_is_read_back_with_its_counts_and_lineage(partition):
    publish(partition, 1, 2, 3, files=2)
    manifest = partition.manifest()
    assert partition.table()["a"].to_pylist() == [1, 3, 2]
    assert (manifest.rows, manifest.counts) == (3, {"kept": 3})
    assert manifest.lineage["inputs"] == ["raw"]
    assert manifest.lineage["code"] == installed.code()
    assert "a: int64" in manifest.schema


@pytest.mark.parametrize("name", ["../../x", "a/b", "..", ".", "", "/etc", "a\\b", "a\0b"])
def test_no_name_leads_out_of_the_folder_of_its_day(tmp_path, name):
    with pytest.raises(StoreError, match=r"be a partition of vocabulary: .* without a slash"):
        Store(tmp_path).partition("vocabulary", DAY, name)


def test_a_writer_that_fails_leaves_yesterday_in_place(partition):
    publish(partition, 1)

    def fail() -> None:
        with partition.publish() as out:
            out.record([out.write_table("part-0", pa.table({"a": [2]}))])
            raise RuntimeError("killed")

    with pytest.raises(RuntimeError):
        fail()
    assert partition.table()["a"].to_pylist() == [1]


def test_files_without_a_manifest_are_not_a_partition(partition):
    with pytest.raises(RuntimeError), partition.publish() as out:  # noqa: PT012  # killed while writing
        out.record([out.write_table("part-0", pa.table({"a": [2]}))])
        raise RuntimeError("killed")
    assert not partition.exists()
    with pytest.raises(PartitionMissing, match=r"dupn events --day 2026-03-02"):
        partition.require()


def test_a_path_may_hold_what_a_pattern_would_read(tmp_path):
    partition = Store(tmp_path / "shop[1]*?" / "home").partition("events")
    with partition.publish() as out:
        out.record([out.write_bytes("a.bin", b"xyz", rows=3)])
    assert partition.manifest().rows == 3
    names = Store(tmp_path / "shop[1]*?" / "home").names("events")
    assert len(names) == 2, "the file and the manifest, no notes"


def test_of_two_writers_at_once_the_last_wins_whole(partition):
    with partition.publish() as slow:
        slow.record([slow.write_table("part-0", pa.table({"a": [1, 1]}))])
        publish(partition, 2)
    assert partition.table()["a"].to_pylist() == [1, 1]


def test_equal_rows_have_equal_digests_whatever_the_files(partition, tmp_path):
    publish(partition, 1, 2, 3, 4)
    other = Store(tmp_path / "other").partition("events", DAY, "behaviors")
    with other.publish() as out:
        out.record([out.write_table("part-1", pa.table({"a": [3, 4]}))])
        out.record([out.write_table("part-0", pa.table({"a": [1, 2]}))])
    assert partition.digest() == other.digest()
    publish(other, 1, 2, 4, 3)
    assert partition.digest() != other.digest()


def test_a_changed_byte_is_found_and_named(partition, tmp_path):
    publish(partition, 1, 2)
    entry = partition.manifest().files[0]
    file = tmp_path / partition.key / entry.name
    file.write_bytes(file.read_bytes()[:-1] + b"?")
    with pytest.raises(PartitionCorrupt, match=entry.name):
        partition.verify()
    with pytest.raises(PartitionCorrupt, match=r"[rR]un `dupn events"):
        partition.table()


def test_a_rotten_byte_is_an_error_and_never_another_number(partition):
    value = 0x1122334455667788
    with partition.publish() as out:
        plain = {"compression": "none", "compression_level": None, "use_dictionary": False}
        table = pa.table({"a": [value] * 9})
        out.record([out.write_table("part-0", table, write_statistics=False, **plain)])
    file = Path(partition.path, partition.manifest().files[0].name)
    raw = file.read_bytes()
    written = value.to_bytes(8, "little")
    assert raw.count(written) == 9
    file.write_bytes(raw.replace(written, written[:-1] + b"?", 1))
    with pytest.raises(PartitionCorrupt, match=r"cannot be read: .*CRC checksum"):
        partition.table()


def test_a_folder_is_listed_file_by_file_without_the_locks_of_who_wrote_it(partition):
    with partition.publish() as out, out.folder("index") as folder:
        (folder / "deep").mkdir()
        for name in ("a.bin", "deep/b.bin", "meta.lock"):
            (folder / name).write_bytes(b"x")
    listed = [entry.name.partition("/")[2] for entry in partition.manifest().files]
    assert listed == ["a.bin", "deep/b.bin"]


def test_sweeping_removes_lost_attempts_and_nothing_else(partition):
    publish(partition, 1)
    publish(partition, 2)
    assert partition.sweep(older_than_s=-1) == 1
    assert partition.table()["a"].to_pylist() == [2]
    partition.verify()


def test_what_a_running_attempt_may_still_publish_is_not_swept(partition):
    publish(partition, 1)
    with partition.publish() as out:
        entry = out.write_table("part-0", pa.table({"a": [2]}))
        with out.folder("index") as folder:
            for name in ("copied.bin", "new.bin"):
                (folder / name).write_bytes(b"x")
            os.utime(folder / "copied.bin", (0, 0))
            assert partition.sweep() == 0
        out.record([entry])
    assert partition.sweep(older_than_s=-1) == 1, "the file of the first attempt"
    partition.verify()


def test_where_nobody_knows_when_a_file_was_changed_nothing_is_swept():
    partition = Store("memory://untold").partition("events", DAY, "behaviors")
    with partition.publish() as out:
        out.record([out.write_table("part-0", pa.table({"a": [1]}))])
        assert partition.sweep() == 0
    partition.verify()


def test_an_attempt_whose_notes_are_gone_replaces_nothing(partition):
    publish(partition, 1)

    def write() -> None:
        with partition.publish() as out:
            out.record([out.write_table("part-0", pa.table({"a": [2]}))])
            partition.sweep(older_than_s=-1)

    with pytest.raises(StoreError, match="was swept while it was written"):
        write()
    assert partition.table()["a"].to_pylist() == [1]


def test_an_attempt_that_wrote_nothing_is_an_empty_partition(partition):
    publish(partition, 1)
    with partition.publish():
        pass
    assert partition.manifest().files == ()


def test_a_partition_is_taken_back_manifest_first_and_those_inside_its_folder_stay(
    partition, monkeypatch
):
    inner = Partition(partition.root, f"{partition.key}/inner")
    publish(partition, 1, 2, 3, 4, files=4)
    publish(inner, 5)
    size = sum(entry.bytes for entry in partition.manifest().files)
    removed, remove = [], os.remove

    def seen(path):
        remove(path)
        removed.append(Path(path).name)

    monkeypatch.setattr(os, "remove", seen)
    assert partition.remove() == size
    assert (removed[0], len(removed)) == (MANIFEST, 5)
    assert not partition.exists()
    assert partition.names() == ["inner"]
    assert inner.table()["a"].to_pylist() == [5]
    inner.remove()
    assert partition.remove() == 0
    assert not Path(partition.path).exists()


def test_a_stamp_is_another_when_the_content_is_and_the_same_when_it_is_written_again(partition):
    assert partition.stamp() == ""
    stamps = []
    for values in ((1, 2), (1, 2), (1, 3)):
        publish(partition, *values)
        stamps.append(partition.stamp())
    assert stamps[0] == stamps[1] != stamps[2]
    entry = partition.manifest().files[0]
    halves = [Manifest.of([replace(entry, low=low, high=9)], {}, "") for low in (0, 5)]
    assert halves[0].stamp != halves[1].stamp, "other users"


def test_partitions_travel_to_workers(partition):
    with partition.publish() as out:
        copy = pickle.loads(pickle.dumps(out))
        copy.record([copy.write_table("part-0", pa.table({"a": [5]}))])
    assert pickle.loads(pickle.dumps(partition)).table()["a"].to_pylist() == [5]


def test_a_partition_that_cannot_be_written_leaves_yesterday_in_place(partition):
    publish(partition, 1)
    with files_up_to(200), pytest.raises(StoreError, match=r"part-0.* could not be written"):
        publish(partition, *range(1_000))
    assert partition.table()["a"].to_pylist() == [1]
    assert not [name for name in partition.names() if name.startswith(".")]


def test_days_are_those_that_are_published(tmp_path):
    store = Store(tmp_path)
    publish(store.partition("events", DAY, "behaviors"), 1)
    (tmp_path / "events" / "dt=2026-03-03" / "behaviors").mkdir(parents=True)
    assert store.days("events", "behaviors") == [DAY]
    assert store.latest("events", date(2026, 4, 1), "behaviors").exists()
    assert store.latest("events", date(2026, 3, 1), "behaviors") is None


def test_the_latest_is_of_the_day_itself_or_else_of_the_last_one_before_it(tmp_path):
    store = Store(tmp_path)
    first, second = (store.partition("events", DAY + timedelta(days=n)) for n in (0, 2))
    publish(first, 1)
    publish(second, 2)
    days = [DAY + timedelta(days=n) for n in range(-1, 4)]
    assert [store.latest("events", day) for day in days] == [None, first, first, second, second]


def test_a_listing_is_of_files_and_not_of_folders(tmp_path):
    store = Store(tmp_path)
    assert store.listing("raw") == {}
    store.put("raw/clicks.csv", "xyz")
    store.put("raw/older/clicks.csv", "x")
    assert {name: size for name, (size, _) in store.listing("raw").items()} == {"clicks.csv": 3}


def test_folders_of_others_among_days_are_no_days(tmp_path):
    store = Store(tmp_path)
    publish(store.partition("events", DAY), 1)
    for name in ("dt=backup", f"dt={DAY}_old", "dt=20260302", "notes"):
        (tmp_path / "events" / name).mkdir()
    assert store.days("events") == store.dates("events") == [DAY]
    assert store.latest("events", date(2026, 3, 9)) == store.partition("events", DAY)


def test_only_one_of_two_can_take_a_name(tmp_path):
    store = Store(tmp_path)
    assert store.put_new("ledger/1.json", "a")
    assert not store.put_new("ledger/1.json", "b")
    assert store.get("ledger/1.json") == b"a"


def test_a_broken_manifest_is_named(partition, tmp_path):
    publish(partition, 1)
    (tmp_path / partition.key / MANIFEST).write_text("{")
    with pytest.raises(PartitionCorrupt, match=r"_manifest\.json"):
        partition.manifest()


@pytest.mark.parametrize("name", ["../../../../valuable", "a/../../x", "/etc/x", "a\\x", "..", ""])
def test_a_manifest_leads_to_no_file_outside_its_folder(partition, tmp_path, name):
    valuable = tmp_path / "valuable"
    valuable.write_text("x")
    publish(partition, 1)
    manifest = tmp_path / partition.key / MANIFEST
    said = json.loads(manifest.read_text())
    said["files"].append({**said["files"][0], "name": name})
    manifest.write_text(json.dumps(said))
    with pytest.raises(
        PartitionCorrupt, match=r"_manifest\.json cannot be read \(.* is no file in"
    ):
        partition.take_back()
    assert valuable.exists()
    assert manifest.exists()


def test_dots_within_a_name_lead_nowhere(partition):
    publish(partition, 1)
    with partition.publish() as out:
        out.record([out.write_bytes("a..b.json", b"x", rows=1)])
    assert partition.manifest().files[0].name.startswith("a..b-")


def test_a_resolved_store_stays_what_it_was_when_it_was_looked_at(tmp_path):
    store = Store(tmp_path)
    first, second = (store.partition("events", day) for day in (DAY, DAY + timedelta(days=1)))
    publish(first, 1)
    still = store.resolved()
    assert still.resolved() is still
    assert still.days("events") == [DAY]
    stamp = still.partition("events", DAY).stamp()
    publish(first, 2)
    publish(second, 3)
    assert (still.days("events"), still.partition("events", DAY).stamp()) == ([DAY], stamp)
    assert stamp != first.stamp()
    assert store.days("events") == [DAY, DAY + timedelta(days=1)]


def test_nothing_lies_below_a_file(tmp_path):
    store = Store(tmp_path)
    store.put("reports", "a file where a folder belongs")
    assert store.get("reports/cells/one.json") is None
    assert (store.names("reports/cells"), store.listing("reports/cells")) == ([], {})
    assert store.touched("reports/cells") is None
    assert store.partition("reports/cells").stamp() == ""


def test_a_resolved_store_tells_missing_from_spoilt(tmp_path):
    store = Store(tmp_path)
    publish(store.partition("events", DAY), 1)
    Path(tmp_path, "events", f"dt={DAY}", MANIFEST).write_text("{")
    spoilt, missing = (store.resolved().partition(name, DAY) for name in ("events", "samples"))
    for _ in range(2):
        assert (spoilt.exists(), missing.exists()) == (True, False)
        assert missing.stamp() == ""
        with pytest.raises(PartitionMissing):
            missing.manifest()
        with pytest.raises(PartitionCorrupt):
            spoilt.stamp()


def test_a_store_is_told_as_empty_until_something_is_in_it(tmp_path):
    for store in (Store(tmp_path), Store(tmp_path / "gone"), Store("memory://nothing/here")):
        assert store.nothing_yet().startswith(f"there is nothing in {store.root} yet.")
        store.put("raw/dt=2026-03-02/behaviors/log.csv", b"")
        assert store.nothing_yet() == ""
