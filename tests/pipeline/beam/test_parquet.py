import io

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from features.schemas import SAMPLES
from pipeline.beam.parquet import planes

MS = pa.timestamp("ms", tz="UTC")


def test_planes_are_made_of_codes_and_times_also_in_lists_and_of_nothing_else():
    schema = pa.schema(
        [
            ("key", pa.uint64()),
            ("ts", MS),
            ("type", pa.int8()),
            ("seq", pa.list_(pa.int32())),
            ("features", pa.list_(pa.list_(pa.float32()))),
            ("deep", pa.list_(pa.list_(pa.int8()))),
            ("name", pa.string()),
        ]
    )
    chosen = {"ts", "type", "seq.list.element", "deep.list.element.list.element"}
    assert set(planes(schema)) == chosen


def test_samples_read_back_as_written():
    rng = np.random.default_rng(3)
    lists = [rng.integers(0, 100, rng.integers(0, 5)).tolist() for _ in range(200)]
    columns = {
        field.name: pa.array([None if not i % 7 else part for i, part in enumerate(lists)])
        for field in SAMPLES
        if pa.types.is_list(field.type) and pa.types.is_integer(field.type.value_type)
    }
    schema = pa.schema([SAMPLES.field(name) for name in columns])
    table = pa.table(columns).cast(schema)
    sink = io.BytesIO()
    pq.write_table(table, sink, use_dictionary=False, column_encoding=planes(schema))
    assert pq.read_table(sink).equals(table)
