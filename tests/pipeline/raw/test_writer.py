"""Many days at once: what waits in memory is bounded by its bytes, however wide a row is."""

import os
from contextlib import ExitStack
from datetime import date, timedelta
from pathlib import Path

import pyarrow as pa
import pytest

from features.raw.dataset import load
from infra.errors import StoreError
from infra.store import MANIFEST, Attempt, Store
from pipeline.raw import writer as raw_writer
from pipeline.raw.writer import RawWriter
from pipeline.upkeep import lost_files

FIRST = date(2026, 11, 1)


@pytest.mark.parametrize(("width", "files"), [(10, 2), (4_000, 8)])
def test_what_waits_is_bounded_by_its_bytes(tmp_path, monkeypatch, width, files):
    monkeypatch.setattr(raw_writer, "HELD_BYTES", 40_000)
    store = Store(tmp_path)
    with ExitStack() as stack:
        writer = RawWriter(store, load("marketplace"), [], stack, replace=False)
        writer.files["behaviors"] = {}
        for number in range(40):
            day = FIRST + timedelta(days=number % 2)
            writer.add("behaviors", day, pa.table({"query": [f"{number:0{width}d}"]}))
            assert sum(part.nbytes for at in writer.open.values() for part in at.held) <= 40_000
        writer.flush()
        assert writer.held == 0
        writer.record()
    days = [store.partition("raw", day, "behaviors") for day in store.days("raw", "behaviors")]
    assert [partition.manifest().rows for partition in days] == [20, 20]
    assert sum(len(partition.manifest().files) for partition in days) == files
    rows = [int(text) for partition in days for text in partition.table()["query"].to_pylist()]
    assert rows == [*range(0, 40, 2), *range(1, 40, 2)]


@pytest.mark.parametrize("error", [StoreError("the disk is full"), KeyboardInterrupt()])
def test_an_import_that_ends_leaves_none_of_the_files_that_it_has_written(
    tmp_path, monkeypatch, error
):
    monkeypatch.setattr(raw_writer, "HELD_BYTES", 0)
    store, place = Store(tmp_path), f"raw/dt={FIRST}/behaviors"
    store.put(f"{place}/_part-00000-0123456789.parquet", "of somebody else")
    before = store.names(place)
    with pytest.raises(type(error)), ExitStack() as stack:  # noqa: PT012  # as an import
        writer = RawWriter(store, load("marketplace"), [], stack, replace=True)
        writer.files["behaviors"] = {}
        writer.add("behaviors", FIRST, pa.table({"query": ["x"]}))
        assert len(store.names(place)) == 3
        raise error
    assert store.names(place) == before


def test_what_a_killed_import_left_is_swept_and_what_lost_its_manifest_is_not(tmp_path):
    store = Store(tmp_path)
    killed, bare = (store.partition("raw", FIRST, name) for name in ("behaviors", "follows"))
    attempt, rows = Attempt(killed, "0123456789"), pa.table({"x": [1]})
    never_left = attempt.begun()
    never_left.__enter__()
    attempt.record([attempt.write_table("_part-00000", rows)])
    store.put(f"{killed.key}/rows.csv", "a shop's")
    with bare.publish() as out:
        out.record([out.write_table("_part-00000", rows)])
    Path(bare.path, MANIFEST).unlink()
    assert lost_files.sweep(store, 3600.0) == 0  # it may be at work
    begun, *later = sorted(
        filter(Path.is_file, tmp_path.rglob("*")), key=lambda file: "begun" not in file.name
    )
    os.utime(begun, (0, 0))
    assert lost_files.sweep(store, 3600.0) == 0  # it goes whole, or its files would be nobody's
    for file in later:
        os.utime(file, (0, 0))
    assert lost_files.sweep(store, 3600.0) == 3
    assert killed.names() == ["rows.csv"]
    assert len(bare.names()) == 1  # it may be all that there is
