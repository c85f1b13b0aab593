import numpy as np
import pyarrow as pa
import pytest

from features.buckets import (
    HASH_SPACE,
    bucket_index,
    buckets,
    hash_distinct,
    hash_ids,
    slices,
    split,
)

HASHES = np.random.default_rng(5).integers(0, HASH_SPACE, 500, dtype=np.uint64)
TABLE = pa.table({"at": np.arange(500), "hash": HASHES})


@pytest.mark.parametrize("count", [1, 2, 7, 64])
def test_parts_hold_every_row_once_in_its_bucket_and_in_order(count):
    parts = dict(split(TABLE, HASHES, count))
    width = HASH_SPACE / count
    rows = [row for part in parts.values() for row in part["at"].to_pylist()]
    assert sorted(rows) == list(range(500))
    for index, part in parts.items():
        assert part["at"].to_pylist() == sorted(part["at"].to_pylist())
        assert all(int(value // width) == index for value in part["hash"].to_pylist())


@pytest.mark.parametrize("count", [1, 3, 7, 64])
def test_a_bucket_has_the_hash_that_it_begins_with_and_not_the_one_that_it_ends_before(count):
    every = buckets(count)
    assert (every[0].low, every[-1].high) == (0, HASH_SPACE)
    for hashes in ([one.low for one in every], [one.high - 1 for one in every]):
        assert bucket_index(np.array(hashes, np.uint64), count).tolist() == list(range(count))


@pytest.mark.parametrize("chosen", [range(7), range(2, 4), range(6, 7)])
def test_slices_are_the_chosen_parts_and_hold_no_others(chosen):
    parts = dict(split(TABLE, HASHES, 7))
    found = dict(slices(TABLE, HASHES, chosen, 7))
    assert found.keys() == set(chosen)
    assert all(part.equals(parts[index]) for index, part in found.items())
    (buffer,) = {part["at"].chunk(0).buffers()[1].address for part in found.values()}
    held = next(iter(found.values()))["at"].chunk(0).buffers()[1].size
    assert held < 8 * (sum(part.num_rows for part in found.values()) + 16)
    assert buffer


@pytest.mark.parametrize("texts", [[], ["i1"], ["i2", "i1", "i2", "", "ünïcødé ☂", "a\0b"]])
def test_texts_in_a_list_have_the_hashes_of_their_array(texts):
    assert np.array_equal(hash_distinct(texts), hash_ids(pa.array(texts, pa.string())))
