"""A Parquet file that is small only because it says a long text once for all its rows."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from features.raw import parquet_rows
from features.raw.dataset import parse_description
from infra.errors import InputError
from infra.store import Store
from pipeline.raw.importing import import_files
from tests.pipeline.jobs.test_spoilt_files import START, day_of, jsonl, refused, rows_of, run

MINE = 'name = "mine"\n[behaviors]\nfiles = "*.parquet"\n'


@pytest.fixture
def long_texts(monkeypatch):
    """Two thousand rows of one item, whose name has ten thousand letters."""
    monkeypatch.setattr(parquet_rows, "BATCH_BYTES", 1 << 20)
    monkeypatch.setattr(parquet_rows, "MOST_BYTES", 19_000_000)
    rows = pa.table(
        {
            "user_id": ["u"] * 2_000,
            "item_id": ["x" * 10_000] * 2_000,
            "type": ["click"] * 2_000,
            "ts": range(START, START + 2_000),
        }
    )
    sink = pa.BufferOutputStream()
    pq.write_table(rows, sink)
    return sink.getvalue().to_pybytes()


def test_a_text_repeated_beyond_memory_sets_its_file_aside(tmp_path, long_texts):
    store = day_of(tmp_path, bomb__parquet=long_texts, good__jsonl=jsonl(rows_of(9)))
    counts = run(store)
    assert (counts["behaviors_kept"], counts["behaviors_rejected_bad_file"]) == (9, 1)
    [(source, _, _, text)] = refused(store)
    assert source == "bomb.parquet"
    assert text.startswith("the texts of column item_id take over")


def test_a_text_repeated_beyond_memory_is_not_imported(tmp_path, long_texts):
    file = tmp_path / "bomb.parquet"
    file.write_bytes(long_texts)
    with pytest.raises(InputError, match=r"bomb\.parquet cannot be read: the texts of column item"):
        import_files(Store(tmp_path / "home"), parse_description(MINE, "mine.toml"), [file])
