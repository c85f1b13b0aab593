import numpy as np
import pyarrow as pa
import pytest

from features.questions.negatives import merge_pools, pool_of
from features.schemas import BehaviorType
from pipeline.jobs.draws import Drawn


def clicks(rows: int, seed: int) -> pa.Table:
    rng = np.random.default_rng(seed)
    return pa.table(
        {
            "user_hash": rng.integers(0, 2**63, rows).astype(np.uint64),
            "item_id": pa.array([f"i{i}" for i in rng.integers(0, 50, rows)]),
            "type": np.full(rows, BehaviorType.CLICK, np.int8),
            "key": rng.integers(0, 2**63, rows).astype(np.uint64),
        }
    )


@pytest.mark.parametrize("size", [1, 40, 10_000])
def test_the_pool_of_a_bundle_is_that_of_all_its_buckets(size):
    pools = [pool_of(clicks(100, seed), size) for seed in range(9)]
    drawn, most = Drawn(size), 0
    for pool in reversed(pools):
        drawn.add(pool)
        most = max(most, sum(one.num_rows for one in drawn._pools))
    assert drawn.whole().equals(merge_pools(pools, size))
    assert most <= max(2 * size, 100)


def test_a_bundle_without_clicks_has_an_empty_pool():
    assert Drawn(10).whole().num_rows == 0
