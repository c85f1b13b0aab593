"""The store's contract behind the real S3 protocol."""

from datetime import date, timedelta

import boto3
import pyarrow as pa
import pytest

from infra.errors import StoreError
from infra.identity import identity
from infra.ledger import Ledger, LedgerTaken
from infra.store import MANIFEST, Store
from tests import buckets

DAY = date(2026, 3, 2)


@pytest.fixture(scope="module")
def bucket():
    with buckets.serving() as address:
        yield f"{address}/home"


def publish(partition, *values):
    with partition.publish(inputs=["raw"]) as out:
        out.record([out.write_table("part", pa.table({"a": values}))])


def test_a_partition_that_is_only_a_manifest_is_taken_back_and_swept_on_s3(bucket):
    place = Store(f"{bucket}/bare").partition("rejects", DAY)
    with place.publish() as out:
        out.record([])
    assert place.names() == [MANIFEST]
    assert (place.sweep(0), place.remove(), place.exists()) == (0, 0, False)
    assert place.sweep(0) == place.remove() == 0


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


def test_a_file_is_taken_away_if_it_is_there_on_a_disk_and_on_s3(bucket, tmp_path):
    for store in (Store(tmp_path), Store(f"{bucket}/away")):
        store.put("reports/a.png", b"a")
        store.put("reports/b.png", b"b")
        for key in ("reports/a.png", "reports/a.png", "nowhere/a.png"):
            store.remove(key)
        assert store.names("reports") == ["b.png"]


def test_a_move_whose_answer_is_lost_is_made_and_one_of_the_same_moment_is_anothers(bucket):
    """Its client asks again, and is told that the entry is there."""
    mine, yours = (Ledger(Store(f"{bucket}/lost")) for _ in range(2))
    move = {"action": "promote", "aliases": {"champion": "7"}, "why": "passed"}
    with buckets.losing_an_answer("/00000001.json") as lost:
        entry = mine.append([], **move)
    assert lost
    assert mine.entries() == [entry]
    with pytest.raises(LedgerTaken):
        yours.append([], **move)


def test_a_home_on_s3_draws_one_id(bucket):
    mine = identity(Store(f"{bucket}/mine"))
    assert identity(Store(f"{bucket}/mine")) == mine != identity(Store(f"{bucket}/yours"))


def test_what_others_write_to_s3_is_seen_by_a_process_that_has_looked_before(bucket):
    """A service looks at the same folders again and again, and a night elsewhere fills them."""
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


def test_a_bucket_that_is_not_there_is_no_empty_home(bucket):
    store = Store("s3://dupm/home")
    with pytest.raises(StoreError, match=r"s3://dupm/home cannot be: .*bucket does not exist"):
        store.days("raw", "behaviors")
    with pytest.raises(StoreError, match="bucket does not exist"):
        store.partition("events", DAY).manifest()
    assert Store(f"{bucket}/nothing").days("raw", "behaviors") == []


def test_the_mark_of_a_folder_that_a_console_made_is_nothing_in_it(bucket):
    store = Store(f"{bucket}/marked")
    s3 = boto3.client("s3")
    for key in ("behaviors/", "behaviors/a.csv"):
        s3.put_object(Bucket="dupn", Key=f"home/marked/raw/dt={DAY}/{key}", Body=b"")
    assert store.names(f"raw/dt={DAY}/behaviors") == ["a.csv"]
    assert store.names(f"raw/dt={DAY}") == ["behaviors"]
