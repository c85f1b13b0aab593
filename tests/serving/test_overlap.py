"""Live histories over a snapshot: nothing is lost at midnight, and nothing counts twice."""

import shutil
from datetime import date, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.serving.history_stores import DAY, MIDNIGHT, NEXT, Service, behavior, hashes, items

END = MIDNIGHT + 86_400_000
"""The first midnight that these live through: of D = 4 March."""
D, D1 = (date(2026, 3, day) for day in (4, 5))


@pytest.fixture
def nights(kind, tmp_path):
    """Live histories, and a night of them: `sequences` of a day are published and taken over."""
    with Service.at(kind, tmp_path) as service:
        histories = service.process()

        def night(day, *rows):
            service.night(day, *[("u1", ts, item) for ts, item in rows])
            histories.follow(service.store)

        yield histories, night


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
    for days in range(9):  # a store of several machines may keep them for a week more
        night(D + timedelta(days=days), (NEXT, "x"), (NEXT + 5, "y"))
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
def test_a_history_is_the_snapshots_and_what_it_has_not(kind, tmp_path_factory, held, live):
    rows = [(NEXT + 1000 * second, f"i{item}") for second, item in held]
    with Service.at(kind, tmp_path_factory.mktemp("merged")) as service:
        service.night(DAY, *[("u1", *row) for row in rows])
        histories = service.process()
        histories.add([behavior(NEXT + 1000 * second, f"i{item}") for second, item in live])
        found = histories.before("u1", END)
    expected = sorted(held + [one for one in live if one not in held])
    names = dict(zip(hashes("i0", "i1", "i2", "i3"), range(4), strict=True))
    seconds = ((found.ts - NEXT) // 1000).tolist()
    got = zip(seconds, [names[item] for item in found.item.tolist()], strict=True)
    assert sorted(got) == expected


@pytest.fixture
def service(kind, tmp_path):
    with Service.at(kind, tmp_path) as service:
        yield service


def seen(*processes):
    """How many behaviours of the user each process knows."""
    return [len(one.before("u1", NEXT + 9).ts) for one in processes]


def test_what_another_process_hears_before_it_looks_counts_for_all_until_the_next_night(service):
    old, new, newer = (date(2199, 1, day) for day in (1, 2, 3))
    service.night(old)
    first, second = service.process(), service.process()
    service.night(new)
    first.follow(service.store)
    third = service.process()  # which starts from the newer one
    second.add([behavior(NEXT)])
    assert seen(first, second, third) == [1, 1, 1]
    second.follow(service.store)
    assert seen(first, second, third) == [1, 1, 1]
    service.night(newer)
    first.follow(service.store)
    assert seen(first, second, third) == [0, 1, 1]


def test_what_an_older_process_hears_counts_for_one_that_starts_from_a_newer_snapshot(service):
    old, new = (date(2199, 1, day) for day in (1, 2))
    service.night(old)
    first = service.process()
    service.night(new)
    second = service.process()
    first.add([behavior(NEXT)])
    assert seen(first, second) == [1, 1]
    shutil.rmtree(service.folder / f"home/sequences/dt={new}")
    again = service.process()
    assert again.day == old
    again.add([behavior(NEXT + 1)])
    assert seen(second) == [2]
