"""What the system answers to a write is told as a sentence, whatever is written."""

import errno
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from fsspec.implementations.local import LocalFileSystem

from infra.errors import StoreError
from infra.files import alone, modified, unwritable
from infra.store import MANIFEST, Partition, Store
from tests.disks import closed, disk, files_up_to, fill, read_only


def _publish(store: Store) -> None:
    with store.partition("events").publish() as out:
        out.record([out.write_bytes("a.bin", b"x" * 4000)])


WRITES = {
    "put": lambda store: store.put("reports/a.json", b"x" * 4000),
    "put_new": lambda store: store.put_new("ledger/00000001.json", b"x" * 4000),
    "write_bytes": _publish,
}


@pytest.fixture(params=WRITES)
def write(request):
    return WRITES[request.param]


def test_a_full_disk_says_so(tmp_path, write):
    with disk(tmp_path / "home") as home:
        fill(home)
        with pytest.raises(StoreError, match=r"home/.* the disk is full\. Make room and run again"):
            write(Store(home))


def test_a_read_only_disk_says_so(tmp_path, write):
    with disk(tmp_path / "home") as home:
        read_only(home)
        with pytest.raises(StoreError, match=r"read-only\. Mount it writable, or give another"):
            write(Store(home))


REMOVALS = {
    "sweep": lambda partition: partition.sweep(-1.0),
    "remove": lambda partition: partition.remove(),
    "take_back": lambda partition: partition.take_back(),
}


@pytest.mark.parametrize("remove", REMOVALS.values(), ids=REMOVALS)
def test_what_cannot_be_removed_says_so(tmp_path, remove):
    with disk(tmp_path / "home") as home:
        for _ in range(2):
            _publish(Store(home))
        read_only(home)
        with pytest.raises(StoreError, match=r"home/events/.* read-only\. Mount it writable"):
            remove(Store(home).partition("events"))


QUESTIONS = {"exists": Partition.exists, "manifest": Partition.manifest, "remove": Partition.remove}


@pytest.mark.parametrize("ask", QUESTIONS.values(), ids=QUESTIONS)
def test_a_folder_of_another_account_is_not_taken_for_unpublished(tmp_path, ask):
    _publish(Store(tmp_path))
    with closed(tmp_path / "events"), pytest.raises(StoreError, match="permission is denied"):
        ask(Store(tmp_path).partition("events"))


def test_a_full_disk_keeps_what_was_there(tmp_path):
    with disk(tmp_path / "home") as home:
        store = Store(home)
        store.put("reports/a.json", "before")
        fill(home)
        with pytest.raises(StoreError):
            store.put("reports/a.json", b"x" * 100_000)
        assert store.get("reports/a.json") == b"before"
        assert store.names("reports") == ["a.json"]


def test_a_limit_on_files_says_so_and_leaves_no_scraps(tmp_path, write):
    with files_up_to(1_000), pytest.raises(StoreError, match=r"larger than is allowed.*ulimit"):
        write(Store(tmp_path))
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == []


def test_a_file_in_the_way_says_so(tmp_path, write):
    for name in ("reports", "ledger", "events"):
        (tmp_path / name).write_text("in the way")
    with pytest.raises(StoreError, match="a file stands where a folder is needed"):
        write(Store(tmp_path))


def test_a_name_that_is_too_long_says_what_may_have_given_it(tmp_path):
    """A column of users names a folder of the vocabulary."""
    long = Store(tmp_path).partition("vocabulary", None, f"profile_{'x' * 255}")
    said = r"too long for the disk\. Shorten it \(a column of"
    with pytest.raises(StoreError, match=said), long.publish() as out:
        out.record([out.write_bytes("part", b"x", rows=1)])


def test_a_taken_name_is_no_error(tmp_path):
    store = Store(tmp_path)
    assert store.put_new("ledger/1.json", "a")
    assert not store.put_new("ledger/1.json", "b")
    assert store.get("ledger/1.json") == b"a"
    assert store.names("ledger") == ["1.json"]


def test_a_link_that_was_made_counts_whatever_the_disk_says(tmp_path, monkeypatch):
    """NFS repeats a question whose answer is lost, and is told that the name is there."""
    link = os.link

    def twice(source, target):
        link(source, target)
        link(source, target)

    monkeypatch.setattr(os, "link", twice)
    assert Store(tmp_path).put_new("ledger/1.json", "a")
    assert not Store(tmp_path).put_new("ledger/1.json", "a")


@pytest.mark.parametrize("number", [errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS])
def test_a_file_system_without_hard_links_says_so_and_keeps_no_scraps(
    tmp_path, monkeypatch, number
):
    def link(*_):  # exFAT, and most buckets mounted as a folder: nothing of the kind is here
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "link", link)
    with pytest.raises(StoreError, match=r"ledger/1\.json .* has no hard links.* Put the home on"):
        Store(tmp_path).put_new("ledger/1.json", "a")
    assert Store(tmp_path).names("ledger") == []


@pytest.mark.parametrize("number", sorted(errno.errorcode))
def test_every_answer_of_the_system_makes_one_sentence(number):
    told = str(unwritable("/home/x", OSError(number, "Odd thing")))
    assert told.startswith("/home/x could not be written: ")
    assert "\n" not in told
    assert ".." not in told


def test_a_lock_that_cannot_be_made_says_so(tmp_path):
    (tmp_path / "study").write_text("a file")
    sentence = "a file stands where a folder is needed"
    with pytest.raises(StoreError, match=sentence), alone(tmp_path / "study" / "building"):
        raise AssertionError("let in without a lock")


def test_one_process_at_a_time_is_alone(tmp_path):
    lock = tmp_path / "deep" / "lock"
    ask = f"""
import fcntl, sys
try:
    fcntl.flock(open({str(lock)!r}, "w"), fcntl.LOCK_SH | fcntl.LOCK_NB)
except BlockingIOError:
    sys.exit(7)
"""
    with alone(lock):
        assert subprocess.run([sys.executable, "-c", ask], check=False).returncode == 7
    assert subprocess.run([sys.executable, "-c", ask], check=False).returncode == 0


@pytest.fixture
def synced(monkeypatch):
    """Files and folders that the disk was made to hold, in that order: what a power cut leaves."""
    found, fsync = [], os.fsync

    def seen(number):
        fsync(number)
        found.append(Path(f"/proc/self/fd/{number}").readlink())

    monkeypatch.setattr(os, "fsync", seen)
    return found


def test_a_disk_holds_what_a_manifest_lists_before_it_holds_the_manifest(tmp_path, synced):
    place = Store(tmp_path).partition("events")
    with place.publish() as out:
        out.record([out.write_bytes("a.bin", b"x"), out.write_bytes("b.bin", b"y")])
        with out.folder("index") as folder:
            Path(folder, "c.bin").write_bytes(b"z")
    manifest = next(at for at, path in enumerate(synced) if MANIFEST in path.name)
    listed = {Path(place.path, entry.name) for entry in place.manifest().files}
    assert len(listed) == 3
    assert set(synced[:manifest]) == listed | {path.parent for path in listed}
    assert synced[-1] == Path(place.path)  # the manifest's own name


def test_a_disk_holds_a_file_that_is_created_once_and_then_its_name(tmp_path, synced):
    Store(tmp_path).put_new("ledger/1.json", "mine")
    content, name = synced
    assert content.name.startswith(".1.json.")
    assert name == tmp_path / "ledger"


NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    "listed",
    [
        {"mtime": NOON.timestamp()},
        {"LastModified": NOON},
        {"updated": "2026-03-02T13:00:00+01:00"},
        {"last_modified": NOON.replace(tzinfo=None)},
    ],
    ids=lambda listed: next(iter(listed)),
)
def test_when_a_file_was_changed_is_in_utc_however_its_filesystem_tells_it(listed):
    assert modified(listed) == NOON


def test_a_file_of_which_nobody_knows_when_it_was_changed_was_changed_just_now():
    assert datetime.now(UTC) - modified({}) < timedelta(minutes=1)


ASKS = {
    "names": lambda store: store.names("raw"),
    "listing": lambda store: store.listing("raw"),
    "touched": lambda store: store.touched("raw"),
    "files": lambda store: store.partition("raw").files(),
    "get": lambda store: store.get("raw/a.csv"),
}


@pytest.mark.parametrize("ask", ASKS.values(), ids=ASKS)
def test_what_may_not_be_read_says_so(tmp_path, monkeypatch, ask):
    store = Store(tmp_path)
    store.put("raw/a.csv", "x")

    def closed(path, *_, **__):  # whoever runs the tests as root may read everything
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(os, "scandir", closed)
    monkeypatch.setattr(LocalFileSystem, "cat_file", lambda _, path: closed(path))
    said = rf"{tmp_path}/raw.* could not be read: permission is denied\. Mend the permissions"
    with pytest.raises(StoreError, match=said):
        ask(store)
    assert store.nothing_yet() == "", "whoever reads it tells what is wrong"
