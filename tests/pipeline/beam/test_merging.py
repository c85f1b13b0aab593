import numpy as np
import pyarrow as pa
import pytest

from features import vocabulary
from features.buckets import hash_ids
from features.items import sightings, state, tally
from pipeline.beam.merging import AT_LEAST, Together


def batches(count=12, rows=4_000, ids=500):
    rng = np.random.default_rng(3)
    for _ in range(count):
        item = pa.array([f"i{n}" for n in (ids * rng.random(rows) ** 2).astype(int)])
        yield pa.table(
            {
                "user_hash": hash_ids(pa.array([f"u{n}" for n in rng.integers(0, 50, rows)])),
                "item_id": item,
                "type": pa.array(rng.integers(1, 5, rows), pa.int8()),
                "ts": pa.array(rng.integers(0, 10**9, rows), pa.timestamp("ms", tz="UTC")),
                "price": pa.array(rng.random(rows), pa.float32()),
                "shop_id": pa.array([f"s{n}" for n in rng.integers(0, 3, rows)]),
                "brand_id": pa.nulls(rows, pa.string()),
                "category_id": pa.nulls(rows, pa.string()),
            }
        )


KINDS = {
    "tally": (tally.behaviors, tally.together),
    "seen": (state.seen, sightings.together),
    "counted": (lambda rows: vocabulary.counted(rows.column("item_id")), sightings.together),
}


def in_order(tables):
    whole = pa.concat_tables(tables)
    return whole.sort_by([(name, "ascending") for name in whole.column_names[1:]])


@pytest.mark.parametrize("kind", list(KINDS))
def test_counts_are_the_same_however_they_are_put_together(kind):
    count, settle = KINDS[kind]
    parts = [count(rows) for rows in batches()]
    combine = Together(settle)
    halves = []
    for half in (parts[::2], parts[1::2]):
        gathered = combine.create_accumulator()
        for part in [*half, None]:
            gathered = combine.add_input(gathered, part)
        halves.append(gathered)
    found = combine.extract_output(combine.merge_accumulators(halves))
    assert in_order(found) == in_order(settle(parts))
    assert sum(len(table) for table in found) < sum(len(part) for part in parts) / 3


def test_what_is_held_is_bounded_by_the_ids_and_not_by_the_batches():
    combine = Together(tally.together)
    gathered, most = combine.create_accumulator(), 0
    for rows in batches(count=200, rows=2_000):
        gathered = combine.add_input(gathered, tally.behaviors(rows))
        most = max(most, gathered.rows)
    assert most <= AT_LEAST + 500


def test_nothing_put_together_is_nothing():
    combine = Together(tally.together)
    assert combine.extract_output(combine.add_input(combine.create_accumulator(), None)) == []
