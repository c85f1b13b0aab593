"""The snapshots of a machine: by what they were made of, built once, and cleared."""

import json
import os
import time
from pathlib import Path
from types import SimpleNamespace

import pyarrow as pa
import pytest

from features.buckets import buckets, hash_ids, split
from features.schemas import VOCABULARY
from infra.errors import PartitionCorrupt, StoreError
from infra.store import Partition, Store
from serving import snapshot, snapshots
from serving.histories import user_hash
from tests.disks import files_up_to
from tests.serving.history_stores import DAY, NEXT, hashes, history, items, publish


@pytest.fixture
def setup(tmp_path):
    """A home in which `u1` has done `a`, and a folder to work in."""
    publish(Store(tmp_path / "home"), DAY, history(("u1", NEXT - 500, "a")))
    return SimpleNamespace(home=str(tmp_path / "home"), work=str(tmp_path / "work"))


def newest(setup):
    return snapshots.newest(Store(setup.home), Path(setup.work))


def again(setup, *done, day=DAY):
    """Publish `sequences` of a day, anew where they are."""
    publish(
        Store(setup.home), day, history(*[("u1", NEXT - 500 + n, i) for n, i in enumerate(done)])
    )


def known(found):
    return items(found.of(user_hash("u1")))


def folders(setup):
    return sorted(one.name for one in Path(setup.work, "snapshots").iterdir() if one.is_dir())


def test_profiles_that_are_published_anew_make_another_snapshot(setup, tmp_path):
    before = newest(setup)
    store = Store(setup.home)
    for name in ("catalog", "vocabulary"):
        place = store.partition(name, DAY, *(["profile_sex"] if name == "vocabulary" else []))
        with place.publish() as out:
            out.record([out.write_table("all", VOCABULARY.empty_table())])
    with store.partition("events", DAY, "users").publish() as out:
        table = history(("u1", 0, "a")).select(["user_hash", "user_id"])
        out.record([out.write_table("all", table)])
    after = newest(setup)
    assert before.stamp != after.stamp
    assert len(before.profile(user_hash("u1"), ["profile_sex"])) == 0
    assert after.profile(user_hash("u1"), ["profile_sex"]).tolist() == [1]
    with place.publish() as out:  # the same users, whose words have other rows
        words = pa.table({"id": ["x"], "row": pa.array([2], pa.int32()), "count": [9]})
        out.record([out.write_table("all", words)])
    assert newest(setup).stamp != after.stamp


def test_profiles_are_read_a_bucket_at_a_time_and_stand_in_the_order_of_all(
    setup, tmp_path, monkeypatch
):
    store, names = Store(setup.home), [f"u{k}" for k in range(40)]
    users = pa.table({"user_hash": hash_ids(pa.array(names)), "user_id": names})
    users = users.append_column("sex", pa.array(["x", "y"] * 20)).sort_by("user_hash")
    with (
        store.partition("catalog", DAY).publish(),
        store.partition("vocabulary", DAY, "profile_sex").publish() as out,
    ):
        words = pa.table({"id": ["x", "y"], "row": pa.array([2, 3], pa.int32()), "count": [9, 9]})
        out.record([out.write_table("all", words)])
    with store.partition("events", DAY, "users").publish() as out:
        parts = split(users, users["user_hash"].to_numpy(), 8)
        out.record([out.write_table(buckets(8)[index].name, part) for index, part in parts])
    read, table = [], Partition.table

    def counted(self, *asked, **how):
        found = table(self, *asked, **how)
        read.extend([found.num_rows] if self.key.endswith("/users") else [])
        return found

    monkeypatch.setattr(Partition, "table", counted)
    snapshot.build(store, DAY, tmp_path / "built")
    built = snapshot.load(tmp_path / "built")
    assert sum(read) == 40
    assert max(read) == max(entry.rows for entry in out.partition.manifest().files) < 20
    assert built.known.tolist() == users["user_hash"].to_pylist()
    assert built.profiles[:, 0].tolist() == [2 + (sex == "y") for sex in users["sex"].to_pylist()]


def test_what_is_there_already_is_not_built_again(setup):
    first = newest(setup)
    (folder,) = folders(setup)
    changed = Path(setup.work, "snapshots", folder, snapshot.DESCRIPTION).stat().st_mtime_ns
    assert known(newest(setup)) == known(first)
    assert Path(setup.work, "snapshots", folder, snapshot.DESCRIPTION).stat().st_mtime_ns == changed


def test_the_newest_two_snapshots_stay_and_what_is_mapped_stays_readable(setup):
    first = newest(setup)
    left = Path(setup.work, "snapshots", ".2026-03-01.partial")  # by a build that was killed
    left.mkdir()
    Path(setup.work, "snapshots", "2026-03-01").mkdir()  # of a release that named them by day
    for done in ("b", "c"):
        again(setup, done)
        newest(setup)
    assert len(folders(setup)) == 2
    assert known(first) == hashes("a")
    again(setup, "b")
    assert known(newest(setup)) == hashes("b")


class Restless(Store):
    """A store in which the day is published anew while it is read."""

    def dates(self, folder):
        publish(self, DAY, history(("u1", NEXT - 400, f"a{time.monotonic_ns()}")))
        return super().dates(folder)


def test_a_snapshot_of_two_states_is_not_kept(setup, tmp_path):
    with pytest.raises(StoreError, match="published anew while a snapshot was built of them"):
        snapshot.build(Restless(setup.home), DAY, tmp_path / "some" / "folder")
    assert list((tmp_path / "some").iterdir()) == []


def test_a_snapshot_for_which_there_is_no_room_leaves_nothing_and_says_so(setup, tmp_path):
    folder = tmp_path / "some" / "folder"
    with files_up_to(4), pytest.raises(StoreError, match=r"some/folder could not be written: .*"):
        snapshot.build(Store(setup.home), DAY, folder)
    assert list(folder.parent.iterdir()) == []


@pytest.mark.parametrize("name", ["item.bin", "offsets.bin", snapshot.DESCRIPTION])
def test_a_snapshot_that_was_cut_short_is_built_again(setup, name):
    before = known(newest(setup))
    (folder,) = folders(setup)
    file = Path(setup.work, "snapshots", folder, name)
    os.truncate(file, file.stat().st_size - 1)
    with pytest.raises(PartitionCorrupt, match=name):
        snapshot.load(file.parent)
    assert known(newest(setup)) == before


def test_a_snapshot_of_an_earlier_release_says_what_to_do(setup, tmp_path):
    snapshot.build(Store(setup.home), DAY, tmp_path / "old")
    file = tmp_path / "old" / snapshot.DESCRIPTION
    content = json.loads(file.read_text())
    del content["columns"]
    file.write_text(json.dumps(content | {"fields": 0}))
    with pytest.raises(PartitionCorrupt, match=r"does not name its profile columns.*Remove"):
        snapshot.load(tmp_path / "old")
