"""Which releases may work on a file of live behaviours."""

import sqlite3
from datetime import date

import pyarrow as pa
import pytest

from features.buckets import hash_ids
from infra.errors import ServingUnavailable
from serving import snapshot
from serving.histories import LAYOUT, LiveBehavior, LocalHistories

NEXT = 1_772_582_401_000
BEHAVIOR = LiveBehavior(user_id="u1", item_id="i1", type=1, scenario=1, ts=NEXT)


def test_a_file_of_a_later_release_is_left_alone_and_one_of_before_goes_on(tmp_path):
    histories = LocalHistories(tmp_path / "live.db", snapshot.empty(date(2026, 3, 3)), "UTC")
    histories.add([BEHAVIOR], NEXT)

    def layout(number):
        with sqlite3.connect(histories.file) as database:
            database.execute(f"PRAGMA user_version = {number}")

    layout(0)  # as files of before layouts were counted
    again = LocalHistories(histories.file, histories.snapshot, "UTC")
    assert again.before("u1", NEXT + 1).item.tolist() == hash_ids(pa.array(["i1"])).tolist()
    layout(LAYOUT + 1)
    with pytest.raises(ServingUnavailable, match=r"later release .*move live\.db\* away"):
        LocalHistories(histories.file, histories.snapshot, "UTC")
    with sqlite3.connect(histories.file) as database:
        assert database.execute("PRAGMA user_version").fetchone() == (LAYOUT + 1,)
