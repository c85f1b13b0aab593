from datetime import date

import numpy as np
import pyarrow as pa
import pytest

from evaluation.marketplace.spoil import UNKNOWN_TYPE, spoil, spoil_day
from infra.store import Store

ROWS = 6000
SOUND = pa.table(
    {
        "user_id": [str(i % 97) for i in range(ROWS)],
        "type": ["click", "cart", "purchase"] * (ROWS // 3),
        "ts": 1_772_400_000_000 + np.arange(ROWS) * 1000,
    }
)


def broken(table):
    ts = np.asarray(table["ts"]) != np.asarray(SOUND["ts"])
    return ts, np.asarray(table["type"].to_pylist()) == UNKNOWN_TYPE


def test_half_of_the_share_gets_seconds_and_half_an_unknown_type():
    ts, kind = broken(spoil(SOUND, 0.3, np.random.default_rng(1)))
    assert ts.mean() == pytest.approx(0.15, abs=0.02)
    assert kind.mean() == pytest.approx(0.15, abs=0.02)
    assert not (ts & kind).any()


def test_every_other_row_and_the_schema_stay():
    made = spoil(SOUND, 0.3, np.random.default_rng(1))
    ts, kind = broken(made)
    keep = pa.array(~(ts | kind))
    assert made.schema == SOUND.schema
    assert made.filter(keep).equals(SOUND.filter(keep))


def test_a_spoilt_day_says_so_in_its_lineage_and_comes_out_the_same_again(tmp_path):
    store, day = Store(tmp_path), date(2026, 3, 2)
    partition = store.partition("raw", day, "behaviors")
    stamps = set()
    for _ in range(2):
        with partition.publish(dataset="marketplace") as out:
            out.record([out.write_table("part", SOUND)])
        count = spoil_day(store, day, 0.3, seed=7)
        assert count == pytest.approx(0.3 * ROWS, rel=0.1)
        assert partition.manifest().lineage["spoilt"] == 0.3
        assert partition.manifest().lineage["dataset"] == "marketplace"
        stamps.add(partition.manifest().stamp)
    assert len(stamps) == 1
