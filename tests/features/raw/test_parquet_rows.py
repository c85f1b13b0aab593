"""A dictionary says a text once for many rows: how many are read at once goes by its longest."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from features.raw import parquet_rows
from features.raw.parquet_rows import fitting


def file_of(path, column, **how):
    pq.write_table(pa.table({"a": column, "b": pa.array(range(len(column)))}), path, **how)
    return path


def fit(path, rows=1_000_000):
    with path.open("rb") as stream:
        file = pq.ParquetFile(stream)
        return fitting(stream, file, rows, range(file.num_row_groups))


def repeated(text, rows, kind=pa.string()):  # noqa: B008  # a type is a value
    one = pa.DictionaryArray.from_arrays(pa.array([0] * rows, pa.int32()), pa.array([text], kind))
    nulls = pa.DictionaryArray.from_arrays(pa.nulls(3_000, pa.int32()), one.dictionary)
    return pa.chunked_array([nulls, one])


@pytest.mark.parametrize(("text", "kind"), [("x", pa.string()), (b"x", pa.binary())])
def test_a_long_text_in_every_row_is_refused(tmp_path, monkeypatch, text, kind):
    monkeypatch.setattr(parquet_rows, "BATCH_BYTES", 1 << 20)
    path = file_of(tmp_path / "a.parquet", repeated(text * 10_000, 10_000, kind))
    assert path.stat().st_size < 100_000
    assert fit(path) == (1 << 20) // 10_000
    monkeypatch.setattr(parquet_rows, "MOST_BYTES", 99_000_000)
    with pytest.raises(OSError, match="the texts of column a take over 0 GiB in one row group"):
        fit(path)


def test_so_many_rows_are_read_at_once_as_have_room(tmp_path, monkeypatch):
    monkeypatch.setattr(parquet_rows, "BATCH_BYTES", 50_000)
    few = file_of(tmp_path / "a.parquet", pa.array(["x" * 1_000, *["y"] * 9_999]))
    assert fit(few) == 50
    lists = pa.array([["x" * 500, "y"]] * 2_000)
    assert fit(file_of(tmp_path / "b.parquet", lists, row_group_size=500)) == 50
    plain = file_of(tmp_path / "c.parquet", pa.array(["x", "y"] * 1_000))
    assert fit(plain) == 1_000_000
