from collections import defaultdict

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from features import sequence
from features.buckets import hash_ids
from features.schemas import SEQUENCES
from features.timeline import rank_users

HORIZON = 1_000


def table(rows):
    """(user, ts, key) -> a sorted table of SEQUENCES."""
    ids = pa.array([f"u{user}" for user, _, _ in rows], pa.string())
    hashes = hash_ids(ids)
    order = sorted(range(len(rows)), key=lambda i: (hashes[i], ids[i].as_py(), rows[i][1]))
    made = pa.table(
        {
            "user_hash": pa.array(hashes, pa.uint64()),
            "user_id": ids,
            "ts": pa.array([ts for _, ts, _ in rows], pa.int64()),
            "item_id": pa.array([f"i{key % 7}" for _, _, key in rows], pa.string()),
            "type": pa.array([1 + key % 4 for _, _, key in rows], pa.int8()),
            "scenario": pa.array([1] * len(rows), pa.int8()),
            "key": pa.array([key for _, _, key in rows], pa.uint64()),
            "request_id": pa.array([f"r{key}" for _, _, key in rows], pa.string()),
        },
        schema=SEQUENCES,
    )
    return made.take(pa.array(order, pa.int64()))


def merge(history, behaviors):
    users, numbers = rank_users([history, behaviors])
    return users, sequence.merge(history, behaviors, *numbers, users)


def by_user(history):
    out = defaultdict(list)
    for row in history.to_pylist():
        out[row["user_id"]].append(row)
    return out


def test_the_last_hundred_before_the_horizon_and_all_after_are_carried():
    rows = [(0, ts, ts) for ts in range(700, 1_300, 2)] + [(1, 10, 9_999)]
    users, merged = merge(SEQUENCES.empty_table(), table(rows))
    kept = by_user(sequence.carry(merged.timeline, users, HORIZON))
    assert [row["ts"] for row in kept["u0"]] == list(range(800, 1_300, 2))
    assert [row["ts"] for row in kept["u1"]] == [10]


def test_requests_are_carried_only_where_a_window_is_still_open():
    rows = [(0, ts, ts) for ts in (999, 1_000, 1_001)]
    users, merged = merge(SEQUENCES.empty_table(), table(rows))
    kept = sequence.carry(merged.timeline, users, HORIZON)
    assert kept.column("request_id").to_pylist() == [None, "r1000", "r1001"]


def test_a_row_that_the_history_holds_already_is_dropped_and_counted():
    old, new = table([(0, 5, 1), (1, 5, 2)]), table([(0, 5, 1), (0, 7, 2), (1, 6, 3)])
    _, merged = merge(old, new)
    assert merged.duplicates == 1
    assert sorted(merged.timeline.key.tolist()) == [1, 2, 2, 3]


def test_of_equal_times_what_arrived_first_stands_first():
    _, merged = merge(table([(0, 5, 8)]), table([(0, 5, 1)]))
    assert merged.timeline.key.tolist() == [8, 1]


events = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 60)), max_size=120)


@settings(max_examples=25, deadline=None)
@given(st.lists(events, min_size=2, max_size=4))
def test_building_day_by_day_cuts_what_building_at_once_cuts(days):
    """Times are in units of a day's sixtieth; late rows reach back at will."""
    number, per_day = 0, []
    for day, rows in enumerate(days):
        made = []
        for user, back in rows:
            number += 1
            made.append((user, (day + 1) * 60 - back, number))
        per_day.append(made)
    carried = SEQUENCES.empty_table()
    for day, made in enumerate(per_day):
        users, merged = merge(carried, table(made))
        known = [row for some in per_day[: day + 1] for row in some]
        for user, name in enumerate(users.ids.to_pylist()):
            for ts in range(day * 60 + 50, day * 60 + 60):
                whole = sorted((t, k) for u, t, k in known if f"u{u}" == name and t < ts)[-100:]
                spans = merged.timeline.before(np.array([user], np.int32), np.array([ts]))
                found = merged.timeline.key[spans.start[0] : spans.stop[0]].tolist()
                assert found == [key for _, key in whole]
        carried = sequence.carry(merged.timeline, users, day * 60 + 50)
