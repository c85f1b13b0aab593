"""What is swept of lost attempts, and how often the store is asked."""

import os
import time
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import boto3
import pyarrow as pa
import pytest
import s3fs

from infra.manifest import MANIFEST
from infra.store import Partition, Store
from pipeline import steps
from pipeline.settings import load
from pipeline.upkeep import lost_files
from tests import buckets

FIRST = date(2026, 3, 1)
LAST = FIRST + timedelta(days=59)
STAGES = ("raw", "events", "rejects", "quality", "samples")


@pytest.fixture(scope="module")
def bucket():
    with buckets.serving() as address:
        yield address


def put(place: Partition, *rows: int) -> None:
    with place.publish() as out:
        if rows:
            out.record([out.write_table("_part-00000", pa.table({"x": rows}))])


def swept(store: Store, older_than_s: float = 0.0) -> int:
    """One that thinks that clocks are the same; what comes after it is later than its mark."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lost_files, "SLACK_S", 0.0)
        found = lost_files.sweep(store, older_than_s)
    time.sleep(0.02)  # a disk's clock ticks a few times in a hundredth of a second
    return found


def seen(monkeypatch, kind: type, name: str) -> list[object]:
    """What a method was called on, call by call."""
    calls: list[object] = []
    method = getattr(kind, name)

    def counted(self, *arguments, **named):
        calls.append(self)
        return method(self, *arguments, **named)

    monkeypatch.setattr(kind, name, counted)
    return calls


def leave(folder: Path, name: str = "part-0123456789.parquet") -> Path:
    """A file of a lost attempt, whose own time is long ago."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / name
    file.write_bytes(b"lost")
    os.utime(file, (0, 0))
    return file


@pytest.mark.drill
def test_a_sweep_asks_no_more_of_a_store_that_has_kept_more_days(bucket, monkeypatch):
    asked = seen(monkeypatch, s3fs.S3FileSystem, "_call_s3")
    settings = load("smoke", f"{bucket}/asked", ["retention.attempt_hours=1e-9"])
    counts = []
    for day in (FIRST + timedelta(days=n) for n in range(12)):
        for stage in STAGES:
            put(settings.store.partition(stage, day, "behaviors"), 1)
        put(settings.store.partition("samples", day), 1)
        swept(settings.store)
        asked.clear()
        steps.sweep(settings, day)
        counts.append(len(asked))
    assert counts[-1] == counts[2] < 60, counts


def test_a_manifest_is_read_again_only_where_something_has_come(tmp_path, monkeypatch):
    store = Store(tmp_path)
    places = [store.partition("events", FIRST + timedelta(days=n), "users") for n in range(3)]
    for place in places:
        put(place, 1)
    assert swept(store) == 0
    read = seen(monkeypatch, Partition, "manifest")
    assert swept(store) == 0
    assert read == []
    file = leave(Path(places[1].path))
    assert swept(store) == 1
    assert read == [places[1]]
    assert not file.exists()


def test_what_a_rerun_without_rows_replaced_goes(tmp_path):
    """Its files are all of one attempt, and not that of the manifest beside them."""
    store = Store(tmp_path)
    rejects = store.partition("rejects", FIRST)
    put(rejects, 1, 2)
    put(rejects)
    assert swept(store) == 1
    assert rejects.names() == [MANIFEST]


def test_what_was_too_young_to_go_goes_later_though_nothing_has_changed(tmp_path):
    store = Store(tmp_path)
    place = store.partition("events", FIRST, "users")
    put(place, 1)
    put(place, 2)
    assert swept(store, older_than_s=3600.0) == 0
    assert swept(store) == 1
    place.verify()


def test_where_a_manifest_cannot_be_read_the_next_sweep_looks_again(tmp_path, caplog):
    store = Store(tmp_path)
    place = store.partition("events", FIRST, "users")
    put(place, 1)
    put(place, 2)
    whole = store.get(f"{place.key}/{MANIFEST}")
    store.put(f"{place.key}/{MANIFEST}", "{")
    assert swept(store) == 0
    assert "cannot be read" in caplog.text
    assert store.get(lost_files.SWEPT) is None, "no mark, though all else was swept"
    store.put(f"{place.key}/{MANIFEST}", whole)
    assert swept(store) == 1
    place.verify()


@pytest.mark.parametrize("by_hand", ["2026-03-01T00:00:00 2", "yesterday 2", "yesterday", ""])
def test_a_mark_that_somebody_wrote_by_hand_stops_no_sweep(tmp_path, by_hand):
    store = Store(tmp_path)
    place = store.partition("events", FIRST, "users")
    put(place, 1)
    put(place, 2)
    store.put(lost_files.SWEPT, by_hand)
    assert swept(store) == 1


def test_the_mark_of_a_release_that_looked_into_fewer_folders_says_nothing(tmp_path):
    store = Store(tmp_path)
    place = store.partition("experiments/one", None, "before")
    put(place, 1)
    put(place, 2)
    store.put(lost_files.SWEPT, "2100-01-01T00:00:00+00:00")
    assert swept(store) == 1


def test_where_nothing_is_published_old_files_go_whatever_the_mark_says(tmp_path):
    """An attempt that never published leaves nothing that changes once it has grown old."""
    store = Store(tmp_path)
    file = leave(Path(store.partition("events", FIRST, "users").path))
    store.put(lost_files.SWEPT, "2100-01-01T00:00:00+00:00 2")
    assert swept(store) == 1
    assert not file.exists()


def test_a_folder_in_which_an_attempt_still_writes_is_no_old_one(tmp_path):
    store = Store(tmp_path)
    place = store.partition("events", FIRST, "users")
    with place.publish() as out, out.folder("index") as folder:
        (folder / "a.bin").write_bytes(b"x")
        (folder / "b.bin").write_bytes(b"x")
    put(place)
    old, young = (next(Path(place.path).rglob(name)) for name in ("a.bin", "b.bin"))
    os.utime(old, (0, 0))
    assert swept(store, older_than_s=3600.0) == 0
    os.utime(young, (0, 0))
    assert swept(store, older_than_s=3600.0) == 1


def test_clocks_of_writers_may_be_an_hour_apart(tmp_path):
    store = Store(tmp_path)
    lost_files.sweep(store, 0.0)
    mark = datetime.fromisoformat((store.get(lost_files.SWEPT) or b"").decode().split()[0])
    assert datetime.now(UTC) - mark >= timedelta(hours=1)


def test_recorded_questions_of_a_lost_attempt_go_too(tmp_path):
    store = Store(tmp_path)
    questions, version = (
        store.partition("bundles", None, *names) for names in (["a-run"], ["a-run", "v1"])
    )
    for place in (questions, version):
        put(place, 1)
        put(place, 2)
    assert swept(store) == 2
    for place in (questions, version):
        place.verify()


def test_what_a_rerun_replaced_of_answers_and_of_an_experiment_goes(tmp_path):
    store = Store(tmp_path)
    places = (
        store.partition("reports/offline/a-run", None, "answers"),
        store.partition("experiments/a-test", None, "before"),
    )
    for place in places:
        put(place, 1)
        put(place, 2)
    page = leave(tmp_path / "reports/offline/a-run", "page.html")
    declared = leave(tmp_path / "experiments/a-test", "experiment.json")
    assert swept(store) == 2
    assert page.exists()
    assert declared.exists()
    for place in places:
        place.verify()


def test_folders_that_are_no_days_are_left_alone(tmp_path):
    store = Store(tmp_path)
    names = ("events/kept", f"events/dt={FIRST}/users/deep", f"events/dt={FIRST}/old.copy")
    files = [leave(tmp_path / name) for name in names]
    assert swept(store) == 0
    assert all(file.exists() for file in files)


@pytest.mark.parametrize("linked", ["events", f"events/dt={FIRST}", f"events/dt={FIRST}/users"])
def test_a_folder_that_is_a_link_to_another_disk_is_swept(tmp_path, linked):
    store = Store(tmp_path / "home")
    place = store.partition("events", FIRST, "users")
    put(place, 1)
    put(place, 2)
    there = tmp_path / "disk"
    (tmp_path / "home" / linked).rename(there)
    (tmp_path / "home" / linked).symlink_to(there)
    assert swept(store) == 1
    place.verify()


def test_what_lies_below_a_folder_is_what_each_folder_says(bucket, tmp_path):
    for store in (Store(tmp_path), Store(f"{bucket}/home"), Store("memory://lying")):
        places = [
            store.partition("events", FIRST),
            store.partition("events", FIRST, "users"),
            store.partition("events", LAST, "users"),
        ]
        for place in places:
            put(place, 1)
        with places[2].publish() as out, out.folder("index") as folder:
            (folder / "deep").mkdir()
            (folder / "deep" / "a.bin").write_bytes(b"x")
        if "s3" in store.root:
            mark = f"home/{places[1].key}/"
            boto3.client("s3").put_object(Bucket="dupn", Key=mark, Body=b"")
        said = {one: sorted(found) for one, found in store.lying("events").items()}
        assert said == {one: sorted(one.lying()) for one in places}
        assert {one.key for one in store.within("events")} == {one.key for one in places}
        assert store.lying("never") == {}
