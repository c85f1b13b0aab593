"""What a reader raises is about the content of a file, or about getting at it."""

import bz2
import errno
import gzip
import io
import json
import lzma
import zlib

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fsspec.exceptions import FSTimeoutError
from fsspec.implementations.local import LocalFileSystem
from fsspec.implementations.memory import MemoryFileSystem

from infra.errors import PartitionCorrupt, StoreError
from infra.reading import Opened, is_about_content
from infra.store import Store
from tests.infra.test_store import DAY, publish
from tests.unread import Unread

AWAY = {
    "reset": ConnectionResetError(errno.ECONNRESET, "Connection reset by peer"),
    "timeout": FSTimeoutError(),
    "expired": PermissionError("The provided token has expired."),
    "disk": OSError(errno.EIO, "Input/output error"),
    "stale": OSError(errno.ESTALE, "Stale file handle"),
}


def unbz2(data):
    return bz2.BZ2File(io.BytesIO(data)).read()


def unzstd(data):
    return pa.CompressedInputStream(pa.BufferReader(data), "zstd").read()


def unparquet(data):
    return pq.read_table(pa.BufferReader(data))


SPOILT = {
    "no gzip": (gzip.decompress, b"no gzip"),
    "cut gzip": (gzip.decompress, gzip.compress(b"cut")[:-9]),
    "no deflate": (zlib.decompress, b"no deflate"),
    "no bz2": (unbz2, b"no bz2"),
    "cut bz2": (unbz2, bz2.compress(b"cut")[:-9]),
    "no xz": (lzma.decompress, b"no xz"),
    "no zstd": (unzstd, b"no zstd"),
    "cut zstd": (unzstd, pa.compress(b"cut" * 99, "zstd", asbytes=True)[:-3]),
    "no Parquet": (unparquet, b"no parquet"),
    "no footer": (unparquet, b"PAR1\xff\xff\xff\xff\x04\0\0\0PAR1"),
}


@pytest.mark.parametrize(("read", "data"), SPOILT.values(), ids=SPOILT)
def test_what_decompressors_and_arrow_say_of_a_spoilt_file_is_about_its_content(read, data):
    with pytest.raises(Exception) as told:  # noqa: PT011  # what it is differs; this is asked next
        read(data)
    assert is_about_content(told.value)


@pytest.mark.parametrize("error", [*AWAY.values(), MemoryError(), pa.ArrowMemoryError("malloc")])
def test_what_a_store_a_disk_and_the_memory_say_is_not(error):
    assert not is_about_content(error)


@pytest.mark.parametrize("name", AWAY)
@pytest.mark.parametrize("ask", ["table", "batches", "verify"])
def test_a_file_that_nobody_gets_at_now_is_not_spoilt(tmp_path, monkeypatch, name, ask):
    partition = Store(tmp_path).partition("events", DAY)
    publish(partition, 1, 2)
    (entry,) = partition.manifest().files
    uses = {
        "table": partition.table,
        "batches": lambda: list(partition.batches(entry, 1)),
        "verify": partition.verify,
    }
    unread = Unread(monkeypatch, LocalFileSystem, entry.name, AWAY[name])
    with pytest.raises(StoreError, match=rf"{entry.name} .*run again") as told:
        uses[ask]()
    assert type(told.value) is StoreError
    assert unread.failed
    uses[ask]()


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (AWAY["disk"], r"could not be read: the system says Input/output error\. Mend that"),
        (PermissionError(errno.EACCES, "Permission denied"), r"could not be read: permission is"),
        (FSTimeoutError(), r"does not answer \(FSTimeoutError\)"),
    ],
)
def test_the_sentence_names_the_file_and_says_what_to_do(tmp_path, monkeypatch, error, said):
    store = Store(tmp_path)
    publish(store.partition("events", DAY), 1)
    Unread(monkeypatch, LocalFileSystem, ".parquet", error)
    with pytest.raises(StoreError, match=rf"{tmp_path}/events/dt={DAY}/part-0.*\.parquet {said}"):
        store.partition("events", DAY).table()


def test_a_store_elsewhere_that_refuses_or_is_silent_is_told_with_the_file(monkeypatch):
    partition = Store("memory://unread").partition("events", DAY)
    publish(partition, 1)
    for name, said in (("expired", r"refuses us \(The provided token"), ("reset", "not answer")):
        Unread(monkeypatch, MemoryFileSystem, ".parquet", AWAY[name])
        with pytest.raises(StoreError, match=rf"memory://unread/events/.*parquet.* {said}"):
            partition.table()
    assert partition.table()["a"].to_pylist() == [1]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("timeout", r"does not answer \(FSTimeoutError\)\. .*run again"),
        ("reset", r"could not be read: the system says Connection reset by peer\. Mend that"),
        ("expired", r"refuses us \(The provided token has expired\)\. Mend the credentials"),
    ],
)
def test_what_a_client_of_a_store_raises_is_never_a_spoilt_partition(
    tmp_path, monkeypatch, name, said
):
    partition = Store(tmp_path).partition("events", DAY)
    publish(partition, 1)
    (entry,) = partition.manifest().files
    monkeypatch.setattr("infra.partition.Opened", lambda file, _: file)  # as the client says it
    for read in (partition.table, lambda: list(partition.batches(entry, 1))):
        Unread(monkeypatch, LocalFileSystem, entry.name, AWAY[name])
        with pytest.raises(StoreError, match=rf"{entry.name} {said}") as told:
            read()
        assert type(told.value) is StoreError


def test_a_file_that_may_not_be_opened_is_not_spoilt(tmp_path, monkeypatch):
    def refused(*_, **__):
        raise PermissionError(errno.EACCES, "Permission denied")

    partition = Store(tmp_path).partition("events", DAY)
    publish(partition, 1)
    files = partition.manifest().files
    monkeypatch.setattr(LocalFileSystem, "_open", refused)
    with pytest.raises(StoreError, match=r"part-0.* could not be read: permission is denied"):
        partition.table(entries=files)


def test_an_opened_file_is_a_file():
    file = Opened(io.BytesIO(b'{"a": 1}\n2\n'), "memory://a")
    with file as opened:
        assert next(iter(opened)) == b'{"a": 1}\n'
        assert opened.seek(0) == opened.tell() == 0
        assert json.loads(opened.readline()) == {"a": 1}
        assert opened.readinto(bytearray(1)) == 1
    assert file.closed
    with pytest.raises(ValueError, match="closed file"):  # our own mistake, and no fault of a store
        file.read()


def test_a_spoilt_file_stays_one(tmp_path):
    partition = Store(tmp_path).partition("events", DAY)
    publish(partition, 1)
    (tmp_path / partition.key / partition.manifest().files[0].name).write_bytes(b"no parquet")
    with pytest.raises(PartitionCorrupt, match=r"cannot be read: .*magic bytes"):
        partition.table()
