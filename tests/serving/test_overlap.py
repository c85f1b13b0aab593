"""Live histories over a snapshot: nothing is lost at midnight, and nothing counts twice."""

from datetime import date

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from infra.store import Store
from serving import snapshot
from serving.histories import LocalHistories
from tests.serving.test_histories import (
    DAY,
    MIDNIGHT,
    NEXT,
    behavior,
    hashes,
    history,
    items,
    publish,
)

END = MIDNIGHT + 86_400_000
"""The first midnight that these live through: of D = 4 March."""
D, D1, D2 = (date(2026, 3, day) for day in (4, 5, 6))


@pytest.fixture
def nights(tmp_path):
    """Live histories, and a night of them: `sequences` of a day are published and taken over."""
    store = Store(tmp_path / "home")
    histories = LocalHistories(tmp_path / "live.db", snapshot.empty(DAY), "UTC")

    def night(day, *rows):
        publish(store, day, history(*[("u1", ts, item) for ts, item in rows]))
        snapshot.build(store, day, tmp_path / str(day))
        histories.take_over(snapshot.load(tmp_path / str(day)))

    return histories, night


@pytest.mark.parametrize("cut", [1, 1000])
@pytest.mark.parametrize("ts", [END - 1_250, END - 250])
@pytest.mark.parametrize("heard", [END - 200, END + 5_000])
@pytest.mark.parametrize("delivered", [D, D1])
def test_what_is_done_near_midnight_counts_once_whichever_day_it_is_delivered_under(
    nights, cut, ts, heard, delivered
):
    """And where the log cuts its times to seconds."""
    histories, night = nights
    histories.add([behavior(ts, "x", event="e1")], heard)
    logged = (ts // cut * cut, "x")

    def seen():
        return items(histories.before("u1", END + 9_000))

    assert seen() == hashes("x")
    night(D, (NEXT, "a"), *[logged] * (delivered == D))
    assert seen() == hashes("a", "x")
    night(D1, (NEXT, "a"), logged)
    assert seen() == hashes("a", "x")


def test_an_event_that_is_sent_again_after_days_counts_once(nights):
    histories, night = nights
    sent = [behavior(NEXT, "x", event="e1"), behavior(NEXT + 5, "y", event="e2")]
    histories.add(sent, NEXT + 9)
    for day in (D, D1, D2):
        night(day, (NEXT, "x"), (NEXT + 5, "y"))
    assert histories.add(sent) == 2  # forgotten meanwhile; the history has them
    assert items(histories.before("u1", END)) == hashes("x", "y")


@pytest.mark.parametrize("other", [{"item": "b"}, {"type": 2}, {"ts": NEXT + 1000}])
def test_what_differs_in_item_type_or_second_is_another_behavior(nights, other):
    histories, night = nights
    night(D, (NEXT, "a"))
    one = {"ts": NEXT, "item": "a"}
    histories.add([behavior(**one), behavior(**one | other)])
    assert len(histories.before("u1", END).ts) == 2


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 9), st.integers(0, 2)), min_size=1, max_size=30, unique=True),
    st.lists(st.tuples(st.integers(0, 12), st.integers(0, 3)), max_size=30),
)
def test_a_history_is_the_snapshots_and_what_it_has_not(tmp_path_factory, held, live):
    folder = tmp_path_factory.mktemp("merged")
    rows = [(NEXT + 1000 * second, f"i{item}") for second, item in held]
    store = Store(folder / "home")
    publish(store, DAY, history(*[("u1", *row) for row in rows]))
    snapshot.build(store, DAY, folder / "snapshot")
    histories = LocalHistories(folder / "live.db", snapshot.load(folder / "snapshot"), "UTC")
    histories.add([behavior(NEXT + 1000 * second, f"i{item}") for second, item in live])
    expected = sorted(held + [one for one in live if one not in held])
    found = histories.before("u1", END)
    names = dict(zip(hashes("i0", "i1", "i2", "i3"), range(4), strict=True))
    seconds = ((found.ts - NEXT) // 1000).tolist()
    got = zip(seconds, [names[item] for item in found.item.tolist()], strict=True)
    assert sorted(got) == expected


def test_what_another_process_hears_before_it_looks_counts_for_all_until_the_next_night(tmp_path):
    old, new, newer = (snapshot.empty(date(2199, 1, day)) for day in (1, 2, 3))
    first, second = (LocalHistories(tmp_path / "live.db", old, "UTC") for _ in range(2))

    def seen():
        return [len(one.before("u1", NEXT + 9).ts) for one in (first, second)]

    first.take_over(new)
    second.add([behavior(NEXT)])
    assert seen() == [1, 1]
    second.take_over(new)
    assert seen() == [1, 1]
    first.take_over(newer)
    assert seen() == [0, 1]


def test_what_an_older_process_hears_counts_for_one_that_starts_from_a_newer_snapshot(tmp_path):
    old, new = (snapshot.empty(date(2199, 1, day)) for day in (1, 2))
    first, second = (LocalHistories(tmp_path / "live.db", one, "UTC") for one in (old, new))
    first.add([behavior(NEXT)])
    assert [len(one.before("u1", NEXT + 9).ts) for one in (first, second)] == [1, 1]
    again = LocalHistories(tmp_path / "live.db", old, "UTC")
    again.add([behavior(NEXT + 1)])
    assert len(second.before("u1", NEXT + 9).ts) == 2
