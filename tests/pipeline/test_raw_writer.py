"""Many days at once: what waits in memory is bounded by its bytes, however wide a row is."""

from contextlib import ExitStack
from datetime import date, timedelta

import pyarrow as pa
import pytest

from features.dataset import load
from infra.store import Store
from pipeline import raw_writer
from pipeline.raw_writer import RawWriter

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
