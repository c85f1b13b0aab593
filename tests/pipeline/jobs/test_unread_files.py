"""Raw files that nobody gets at for now are no spoilt files: the day fails, and is tried again."""

import bz2
import errno
import gzip
import lzma

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fsspec.exceptions import FSTimeoutError
from fsspec.implementations.local import LocalFileSystem

from features.events import EventsConfig
from infra.errors import StoreError
from pipeline.beam.run import BeamConfig
from pipeline.jobs import events
from tests.pipeline.jobs.test_spoilt_files import DAY, MARKET, day_of, jsonl, refused, rows_of
from tests.unread import Unread

RESET = ConnectionResetError(errno.ECONNRESET, "Connection reset by peer")
SMALL = EventsConfig(batch_rows=300)
"""Blocks of which a file has several."""


def rows():
    """No two alike, so that they do not pack to nothing."""
    asked = np.random.default_rng(0).integers(1 << 60, size=3_000)
    return [one | {"request_id": str(n)} for one, n in zip(rows_of(3_000), asked, strict=True)]


def parquet(table):
    sink = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_pylist(table), sink, row_group_size=1_000)
    return sink.getvalue().to_pybytes()


PACKED = {
    "jsonl": bytes,
    "jsonl__gz": gzip.compress,
    "jsonl__bz2": bz2.compress,
    "jsonl__xz": lzma.compress,
    "jsonl__zst": lambda data: pa.compress(data, "zstd", asbytes=True),
}


def run(store):
    return events.run(store, DAY, MARKET, config=SMALL, beam=BeamConfig(buckets=2))


def require_whole_on_the_second_try(store, said):
    with pytest.raises(StoreError, match=said) as told:
        run(store)
    assert type(told.value) is StoreError  # which a task tries again
    assert store.days("events", "behaviors") == store.days("rejects") == []
    assert run(store)["behaviors_kept"] == 3_010
    assert refused(store) == []


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize("kind", [*PACKED, "parquet"])
def test_a_read_that_fails_once_loses_no_row(tmp_path, monkeypatch, kind, late):
    data = parquet(rows()) if kind == "parquet" else PACKED[kind](jsonl(rows()))
    store = day_of(tmp_path, **{f"a__{kind}": data, "b__jsonl": jsonl(rows_of(10, 3_000))})
    half = len(data) // 2  # of Parquet, pages or the footer
    Unread(monkeypatch, LocalFileSystem, "behaviors/a.", RESET, lambda at: (at > half) == late)
    require_whole_on_the_second_try(store, r"behaviors/a\.[\w.]+ could not be read: .*reset")


@pytest.mark.parametrize("error", [FSTimeoutError(), PermissionError("The token has expired.")])
@pytest.mark.parametrize("name", [r"a\.parquet", r"b\.jsonl\.gz"])
def test_what_a_store_says_without_a_number_loses_no_row_either(tmp_path, monkeypatch, name, error):
    more = gzip.compress(jsonl(rows_of(10, 3_000)))
    store = day_of(tmp_path, a__parquet=parquet(rows()), b__jsonl__gz=more)
    Unread(monkeypatch, LocalFileSystem, name.replace("\\", ""), error)
    require_whole_on_the_second_try(
        store, rf"behaviors/{name} (does not answer|refuses us) \(.*run"
    )


@pytest.mark.parametrize("error", [MemoryError("no room"), pa.ArrowMemoryError("malloc failed")])
@pytest.mark.parametrize("where", ["read", "split_block"])
def test_a_lack_of_memory_is_no_fault_of_a_file(tmp_path, monkeypatch, where, error):
    store = day_of(tmp_path, a__jsonl__gz=gzip.compress(jsonl(rows())), b__jsonl=jsonl(rows_of(3)))
    with monkeypatch.context() as patch:
        if where == "read":
            Unread(patch, LocalFileSystem, "a.jsonl.gz", error)
        else:
            patch.setattr(events, "split_block", failing(error))
        with pytest.raises(MemoryError):
            run(store)
    assert store.days("events", "behaviors") == store.days("rejects") == []


def failing(error):
    def split_block(*_):
        raise error

    return split_block
