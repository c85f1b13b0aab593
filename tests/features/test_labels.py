import tracemalloc

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from features import labels
from features.timeline import Timeline

W = 3_600_000
CLICK, BOOKMARK, CART, PURCHASE = 1, 2, 3, 4
MINUTE = 60_000
kinds = st.sampled_from((CLICK, BOOKMARK, CART, PURCHASE))


def timeline(rows):
    """(user, ts, item, type), sorted."""
    user, ts, item, kind = (np.array(column) for column in zip(*rows, strict=True))
    count = len(rows)
    return Timeline(
        user=user.astype(np.int32),
        ts=ts.astype(np.int64),
        item=item.astype(np.int32),
        type=kind.astype(np.int8),
        scenario=np.ones(count, np.int8),
        key=np.arange(count, dtype=np.uint64),
        request=np.full(count, -1, np.int32),
        today=np.ones(count, bool),
        offsets=np.searchsorted(user, np.arange(int(user.max()) + 2)),
        items=pa.array([f"i{i}" for i in range(9)]),
        requests=pa.array([], pa.string()),
    )


@given(st.lists(st.integers(-1, 5), max_size=20), st.lists(st.integers(-1, 5), max_size=20))
def test_pairs_are_all_equal_keys(candidates, actions):
    pairs = labels.match(np.array(candidates, np.int64), np.array(actions, np.int64))
    expected = {
        (i, j) for i, a in enumerate(candidates) for j, b in enumerate(actions) if a == b and a >= 0
    }
    found = list(zip(pairs.candidate.tolist(), pairs.action.tolist(), strict=True))
    assert set(found) == expected
    assert len(found) == len(expected)


def test_the_window_is_closed_at_both_ends():
    ts = 10 * W
    rows = [
        (0, ts - 1, 0, CLICK),
        (0, ts, 1, CLICK),
        (0, ts + W, 2, CART),
        (0, ts + W + 1, 3, CART),
    ]
    line = timeline(rows)
    found = labels.outcome(np.arange(4), np.full(4, ts), line.item.astype(np.int64), line, W)
    assert found.strongest.tolist() == [0, CLICK, CART, 0]
    assert found.clicked.tolist() == [0, 1, 0, 0]


def one_by_one(wanted, moment_ts, named, line, window):
    """The outcome by its definition: every candidate is held against every action."""
    within = (line.ts >= moment_ts[:, None]) & (line.ts <= moment_ts[:, None] + window)
    about = within & (named == wanted[:, None]) & (wanted[:, None] >= 0)
    strongest = np.where(about, line.type, 0).max(axis=1, initial=0)
    clicked, bought = ((about & (line.type == kind)).any(axis=1) for kind in (CLICK, PURCHASE))
    return [clicked, strongest, bought]


@given(
    st.lists(st.tuples(st.integers(0, 1), st.integers(0, 5), st.integers(-1, 1), kinds)),
    st.lists(st.tuples(st.integers(-1, 4), st.integers(-1, 6))),
    st.integers(0, 3),
)
def test_outcomes_are_those_of_every_candidate_held_against_every_action(rows, asked, window):
    line = timeline(sorted(rows)) if rows else timeline([(0, 0, -1, CLICK)])
    named = np.where(line.item < 0, -1, line.user.astype(np.int64) * 2 + line.item)
    wanted, ts = (np.array(column, np.int64) for column in zip(*asked, (-1, 0), strict=True))
    found = labels.outcome(wanted, ts, named, line, window)
    expected = one_by_one(wanted, ts, named, line, window)
    columns = (found.clicked, found.strongest, found.purchased)
    assert [one.tolist() for one in columns] == [one.tolist() for one in expected]


def test_actions_of_one_item_stay_in_time_order_however_many_there_are():
    rng = np.random.default_rng(0)
    ts, item, kind = (
        np.sort(rng.integers(0, W, 500)),
        rng.integers(0, 3, 500),
        rng.integers(1, 5, 500),
    )
    line = timeline(list(zip(np.zeros(500, int), ts, item, kind, strict=True)))
    asked = (np.resize(np.arange(3), 60), np.resize(np.arange(0, W, W // 20), 60))
    found = labels.outcome(*asked, line.item.astype(np.int64), line, 2 * MINUTE)
    columns = (found.clicked, found.strongest, found.purchased)
    expected = one_by_one(*asked, line.item, line, 2 * MINUTE)
    assert [one.tolist() for one in columns] == [one.tolist() for one in expected]


def test_an_item_that_is_clicked_all_day_takes_no_memory_of_the_square():
    clicks = 10_000
    line = timeline([(0, ts, 0, CLICK) for ts in range(clicks)])
    key = np.zeros(clicks, np.int64)
    tracemalloc.start()
    try:
        found = labels.outcome(key, line.ts, key, line, W)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert found.clicked.all()
    assert peak < 200 * clicks  # a pair took 16 bytes, of which there were 50 million


def test_the_strongest_action_counts_whatever_the_order():
    line = timeline([(0, 1, 0, CLICK), (0, 2, 0, PURCHASE), (0, 3, 0, CART)])
    none = np.zeros(1, np.int64)
    found = labels.outcome(none, none, line.item.astype(np.int64), line, W)
    assert (found.strongest[0], found.clicked[0], found.purchased[0]) == (PURCHASE, 1, 1)


def test_price_is_asked_at_the_first_touch_in_a_session_never_at_the_purchase():
    rows = [
        (0, 0, 0, CLICK),  # asked: bought 40 minutes on, in one session
        (0, 20 * MINUTE, 1, CART),
        (0, 40 * MINUTE, 0, PURCHASE),
        (0, 60 * MINUTE, 0, CLICK),  # the item was touched before
        (0, 80 * MINUTE, 0, PURCHASE),
        (1, 0, 0, CLICK),  # another user's
        (1, 31 * MINUTE, 0, PURCHASE),  # after a pause: a session of its own
        (2, 0, 2, PURCHASE),
        (2, 0, 2, PURCHASE),
    ]
    assert np.flatnonzero(labels.led_to_purchase(timeline(rows), W)).tolist() == [0]


def test_a_session_ends_after_a_pause_of_more_than_half_an_hour():
    for late, asked in ((0, [0]), (1, [])):
        rows = [(0, 0, 0, CLICK), (0, 30 * MINUTE + late, 0, PURCHASE)]
        assert np.flatnonzero(labels.led_to_purchase(timeline(rows), W)).tolist() == asked
        assert labels.first_touches(timeline(rows)).tolist() == [True, bool(late)]


def test_a_purchase_at_the_very_moment_of_the_touch_asks_nothing():
    rows = [(0, 0, 0, CLICK), (0, 0, 0, PURCHASE)]
    assert not labels.led_to_purchase(timeline(rows), W).any()


def test_a_purchase_that_another_follows_asks_nothing():
    rows = [(0, 0, 0, PURCHASE), (0, MINUTE, 0, PURCHASE)]
    assert not labels.led_to_purchase(timeline(rows), W).any()


def test_users_who_follow_one_another_share_no_session():
    rows = [(0, 0, 0, CLICK), (1, 1, 0, CLICK), (1, 2, 0, PURCHASE)]
    assert labels.first_touches(timeline(rows)).tolist() == [True, True, False]
    assert np.flatnonzero(labels.led_to_purchase(timeline(rows), W)).tolist() == [1]


def test_a_purchase_after_the_window_asks_nothing():
    steps = [(0, minute * MINUTE, 1, CLICK) for minute in range(20, 61, 20)]
    for delay, asked in ((0, [0]), (1, [])):
        rows = [(0, 0, 0, BOOKMARK), *steps, (0, W + delay, 0, PURCHASE)]
        assert np.flatnonzero(labels.led_to_purchase(timeline(rows), W)).tolist() == asked


def test_a_shop_is_preferred_after_two_clicks_a_bookmark_or_a_purchase():
    shop = np.array([2, 2, 3, 4, 5, 6, 1, 2], np.int32)
    kind = np.array([CLICK, CLICK, CLICK, BOOKMARK, PURCHASE, CART, PURCHASE, CLICK], np.int8)
    user = np.array([0, 0, 0, 0, 0, 0, 0, 1], np.int32)
    users, shops = labels.preferred_shops(shop, kind, user)
    assert list(zip(users.tolist(), shops.tolist(), strict=True)) == [(0, 2), (0, 4), (0, 5)]
