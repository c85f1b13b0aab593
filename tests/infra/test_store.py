"""Partitions are whole or absent, on a disk and on an object store."""

import pickle
from datetime import date, timedelta

import pyarrow as pa
import pytest

from infra.errors import PartitionCorrupt, PartitionMissing, StoreError
from infra.store import MANIFEST, Partition, Store
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
    assert "a: int64" in manifest.schema


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


def test_sweeping_removes_lost_attempts_and_nothing_else(partition):
    publish(partition, 1)
    publish(partition, 2)
    assert partition.sweep(older_than_s=-1) == 1
    assert partition.table()["a"].to_pylist() == [2]
    partition.verify()


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


@pytest.fixture(scope="module")
def bucket(tmp_path_factory):
    """A bucket behind the real S3 protocol, served by moto in a thread of this process."""
    import boto3
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    endpoint = f"http://{host}:{port}"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ACCESS_KEY_ID", "test")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "test")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        patch.setenv("AWS_ENDPOINT_URL", endpoint)
        boto3.client("s3").create_bucket(Bucket="dupn")
        yield "s3://dupn/home"
    server.stop()


def test_the_same_contract_holds_on_s3(bucket):
    store = Store(bucket)
    partition = store.partition("events", DAY, "behaviors")
    assert not partition.exists()
    publish(partition, 1, 2)
    publish(partition, 3)
    assert partition.table()["a"].to_pylist() == [3]
    partition.verify()
    assert store.days("events", "behaviors") == [DAY]
    assert store.put_new("ledger/1.json", "a")
    assert not store.put_new("ledger/1.json", "b")
    assert store.names("ledger") == ["1.json"]


def test_what_others_write_to_s3_is_seen_by_a_process_that_has_looked_before(bucket):
    """A service looks at the same folders again and again, and a night elsewhere fills them."""
    import boto3

    store, s3 = Store(f"{bucket}/shared"), boto3.client("s3")
    days = [DAY + timedelta(days=n) for n in range(2)]
    publish(store.partition("events", DAY), 1)
    content = store.get(f"events/dt={DAY}/{MANIFEST}")
    place = store.partition("events", days[1])

    def looks():
        return store.dates("events"), store.days("events"), place.names(), place.exists()

    assert looks() == ([DAY], [DAY], [], False)
    for name in ("b.parquet", MANIFEST):
        key = f"home/shared/events/dt={days[1]}/{name}"
        s3.put_object(Bucket="dupn", Key=key, Body=content)
    assert looks() == (days, days, [MANIFEST, "b.parquet"], True)
    s3.delete_object(Bucket="dupn", Key=f"home/shared/events/dt={days[1]}/{MANIFEST}")
    assert looks() == (days, [DAY], ["b.parquet"], False)
