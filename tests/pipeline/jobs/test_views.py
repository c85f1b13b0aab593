"""Parquet files whose texts lie in memory as views, as some writers want them read."""

import pyarrow as pa
import pyarrow.parquet as pq

from tests.pipeline.jobs.test_spoilt_files import DAY, day_of, rows_of, run


def test_texts_of_parquet_may_be_views(tmp_path):
    views = pa.Table.from_pylist(rows_of(3)).to_pydict()
    views["user_id"] = pa.array(views["user_id"], pa.string_view())
    views["item_id"] = pa.array([item.encode() for item in views["item_id"]], pa.binary_view())
    views["tried"] = pa.array([["a"], None, []], pa.list_(pa.string_view()))
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table(views), sink)
    store = day_of(tmp_path, a__parquet=bytes(sink.getvalue()))
    assert run(store)["behaviors_kept"] == 3
    found = store.partition("events", DAY, "behaviors").table()
    assert sorted(found["item_id"].to_pylist()) == ["i0", "i1", "i2"]
