"""A bucket is read from whatever files its rows lie in."""

from datetime import date

import numpy as np
import pyarrow as pa
import pytest

from features.buckets import buckets
from infra.store import Store
from pipeline.jobs.slices import Slices

DAY = date(2026, 3, 2)
EDGES = sorted({edge for one in buckets(3) for edge in (one.low, one.low + 1, one.high - 1)})
"""The first hashes of each third, and the last."""
TABLE = pa.table({"user_hash": pa.array(EDGES, pa.uint64()), "at": np.arange(len(EDGES))})


@pytest.mark.parametrize("files", [1, 3])
@pytest.mark.parametrize("count", [1, 2, 3, 12])
def test_every_row_is_read_once_by_the_bucket_that_its_hash_lies_in(tmp_path, files, count):
    with Store(tmp_path).partition("sequences", DAY, "history").publish() as out:
        for bucket, part in zip(buckets(files), range(files), strict=True):
            low, high = len(EDGES) * part // files, len(EDGES) * (part + 1) // files
            some = TABLE.slice(low, high - low)
            out.record([out.write_table(bucket.name, some, low=bucket.low, high=bucket.high)])
    slices = Slices.of(Store(tmp_path).partition("sequences", DAY, "history"), TABLE.schema)
    for bucket in buckets(count):
        expected = [edge for edge in EDGES if bucket.low <= edge < bucket.high]
        assert slices.bucket(bucket)["user_hash"].to_pylist() == expected
