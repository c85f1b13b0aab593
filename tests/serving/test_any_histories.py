"""What any history store does: that of the service, and each other that stands in `KINDS`."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime
from typing import get_args

import pytest
from fastapi.testclient import TestClient
from hypothesis import given, settings
from hypothesis import strategies as st

from features.schemas import VOCABULARY
from infra.errors import DupnError
from infra.store import Store
from serving import app as http
from serving.contracts import BehaviorName, ScenarioName
from serving.histories import EDGE_MS, KEPT
from serving.snapshot import Past
from tests.serving.history_stores import (
    DAY,
    KINDS,
    MIDNIGHT,
    NEXT,
    Service,
    behavior,
    hashes,
    history,
    items,
    publish,
)
from tests.serving.world import open_shop

TOMORROW = date(2026, 3, 4)
HISTORY = (("u1", NEXT - 500, "a"), ("u1", NEXT - 400, "b"), ("u2", NEXT, "c"))
"""Two users at the end of DAY."""


@pytest.fixture
def service(kind, tmp_path):
    with Service.at(kind, tmp_path) as service:
        yield service


@pytest.fixture
def histories(service):
    return service.process()


@pytest.fixture
def known(service):
    """Histories that begin with what HISTORY says."""
    service.night(DAY, *HISTORY)
    return service.process()


def test_the_next_request_sees_a_behavior(histories):
    assert histories.add([behavior(NEXT)], NEXT) == 1
    assert items(histories.before("u1", NEXT + 1)) == hashes("i1")


def test_a_behavior_is_all_that_was_told_of_it(histories):
    histories.add([behavior(NEXT, type=3, scenario=2)], NEXT)
    found = histories.before("u1", NEXT + 1)
    assert [found.ts.tolist(), found.type.tolist(), found.scenario.tolist()] == [[NEXT], [3], [2]]


def test_what_is_sent_to_a_service_is_what_it_explains(chain, histories, tmp_path):
    service = open_shop(chain, tmp_path / "shop", histories=histories).service
    kinds = [(kind, where) for kind in get_args(BehaviorName) for where in get_args(ScenarioName)]
    sent = [
        {"item_id": "i", "type": kind, "scenario": where, "ts": NEXT + n}
        for n, (kind, where) in enumerate(kinds)
    ]
    body = {"behaviors": [{"user_id": "u1", **one} for one in sent]}
    with TestClient(http.create(service)) as client:
        assert client.post("/v1/behaviors", json=body).json()["taken"] == len(sent)
        asked = {"user_id": "u1", "ts": NEXT + 99}
        told = client.post("/v1/explain", json=asked).json()["behaviors"]
    assert [(one["type"], one["scenario"]) for one in told] == kinds


def test_of_nobody_nothing_is_known(histories):
    assert not len(histories.before("u9", NEXT).ts)
    assert not len(histories.profile("u9", ["profile_age"]))
    assert histories.add([], NEXT) == 0


def test_before_any_night_the_day_is_the_first_of_all(kind, tmp_path):
    store = Store(tmp_path / "home")
    with KINDS[kind](store, tmp_path / "serving") as make:
        histories = make("UTC")
        assert histories.day == date(1970, 1, 1)
        publish(store, DAY, history())
        histories.follow(store)
        assert histories.day == DAY


def test_a_behavior_is_not_before_its_own_moment(histories):
    histories.add([behavior(NEXT)], NEXT)
    assert not len(histories.before("u1", NEXT).ts)


def test_late_ones_are_put_in_their_place(histories):
    histories.add([behavior(NEXT + 20, "b"), behavior(NEXT + 10, "a")], NEXT + 30)
    assert items(histories.before("u1", NEXT + 99)) == hashes("a", "b")


def test_of_equal_times_what_came_first_stands_first(histories):
    for item in ("a", "b", "c"):
        histories.add([behavior(NEXT, item)], NEXT)
    assert items(histories.before("u1", NEXT + 1)) == hashes("a", "b", "c")


def test_an_event_that_is_sent_twice_is_taken_once(histories):
    assert histories.add([behavior(NEXT, event="e1")], NEXT) == 1
    assert histories.add([behavior(NEXT, event="e1")], NEXT) == 0
    assert histories.add([behavior(NEXT), behavior(NEXT)], NEXT) == 2  # real repeat clicks
    assert len(histories.before("u1", NEXT + 1).ts) == 3


def test_an_event_is_known_among_its_users_newest(histories):
    sent = [behavior(NEXT + n, event=f"e{n}") for n in range(KEPT + 1)]
    assert histories.add(sent, NEXT) == KEPT + 1
    assert histories.add(sent[1:], NEXT) == 0
    assert histories.add(sent[:1], NEXT) == 1


def test_an_event_is_its_users(histories):
    both = [behavior(NEXT, user=user, event="e1") for user in ("u1", "u2")]
    assert histories.add(both, NEXT) == 2


def test_what_is_kept_is_what_happened_last_and_not_what_came_last(histories):
    late_first = [behavior(NEXT - n) for n in range(KEPT + 50)]
    for part in (late_first[:KEPT], late_first[KEPT:]):
        histories.add(part, NEXT)
    oldest = NEXT - KEPT + 1
    assert histories.before("u1", oldest + 100).ts.tolist() == [oldest + n for n in range(100)]
    assert not len(histories.before("u1", oldest).ts)


def test_a_day_ends_at_midnight_of_the_data_sets_zone(service):
    """The night of the day carries what came before; what came after counts beside it.

    What comes just before may be delivered after: it counts too, if the caller said when it was.
    """
    histories = service.process("Asia/Shanghai")
    midnight = MIDNIGHT - 8 * 3_600_000
    early = midnight - EDGE_MS
    histories.add([behavior(early - 2, "carried")], early - 1)
    histories.add([behavior(midnight - 1, "carried", dated=False)], midnight - 1)
    histories.add([behavior(early, "last")], early)
    histories.add([behavior(midnight - 2, "late")], midnight)
    histories.add([behavior(midnight, "after", dated=False)], midnight)
    assert items(histories.before("u1", NEXT)) == hashes("last", "late", "after")


def test_what_comes_in_after_a_snapshot_counts_though_its_day_has_not_ended(service):
    """A marketplace in days of its own, or a day that was closed early."""
    service.night(date(2199, 1, 1))
    histories = service.process()
    histories.add([behavior(NEXT, "live")])
    histories.add([behavior(NEXT, "of the day")], NEXT)  # replayed: the snapshot holds it
    assert items(histories.before("u1", NEXT + 1)) == hashes("live")
    service.night(date(2199, 1, 2))
    histories.follow(service.store)
    assert not items(histories.before("u1", NEXT + 1))


def test_users_do_not_mix(histories):
    histories.add([behavior(NEXT, user="u1"), behavior(NEXT, "i2", "u2")], NEXT)
    assert items(histories.before("u2", NEXT + 1)) == hashes("i2")


def test_live_behaviors_follow_the_snapshot(known):
    known.add([behavior(NEXT, "d"), behavior(NEXT - 450, "late")], NEXT)
    assert items(known.before("u1", NEXT + 1)) == hashes("a", "late", "b", "d")


def test_what_the_snapshot_holds_of_a_moment_is_not_before_it(known):
    assert items(known.before("u1", NEXT - 400)) == hashes("a")
    known.add([behavior(NEXT - 450, "late")], NEXT)
    assert items(known.before("u1", NEXT - 400)) == hashes("a", "late")


def test_of_a_snapshot_the_last_hundred_before_the_moment_count(service):
    service.night(DAY, *[("u1", NEXT - 500 + n, f"i{n}") for n in range(120)])
    histories = service.process()
    expected = hashes(*[f"i{n}" for n in range(10, 110)])
    assert items(histories.before("u1", NEXT - 390)) == expected
    histories.add([behavior(NEXT - 391, "late")], NEXT)
    assert items(histories.before("u1", NEXT - 390)) == [*expected[1:], *hashes("late")]


def test_a_newer_snapshot_replaces_what_its_days_brought(service, known):
    known.add([behavior(NEXT, "d")], NEXT)
    after = MIDNIGHT + 86_400_000 + 5
    known.add([behavior(after, "e")], after)
    service.night(TOMORROW, ("u1", NEXT - 400, "b"))  # without d: it is the night's to say
    known.follow(service.store)
    assert known.day == TOMORROW
    assert items(known.before("u1", after + 1)) == hashes("b", "e")


def test_a_night_that_is_published_anew_is_gone_on_from(service, known):
    service.night(DAY, ("u1", NEXT - 500, "other"))
    known.follow(service.store)
    assert items(known.before("u1", NEXT)) == hashes("other")


def test_a_newer_night_that_cannot_be_read_leaves_what_is_known(service, known):
    known.add([behavior(NEXT, "d")], NEXT)
    service.night(TOMORROW, ("u1", NEXT, "d"))
    (file,) = (service.folder / f"home/sequences/dt={TOMORROW}").rglob("*.parquet")
    file.write_bytes(b"cut short")
    with pytest.raises(DupnError):
        known.follow(service.store)
    assert items(known.before("u1", NEXT + 1)) == hashes("a", "b", "d")
    service.night(TOMORROW, ("u1", NEXT, "d"))
    known.follow(service.store)
    assert items(known.before("u1", NEXT + 1)) == hashes("d")


def test_a_profile_is_told_in_the_columns_asked(service):
    for name in ("catalog", "vocabulary"):
        place = [name, DAY, *(["profile_sex"] if name == "vocabulary" else [])]
        with service.store.partition(*place).publish() as out:
            out.record([out.write_table("all", VOCABULARY.empty_table())])
    with service.store.partition("events", DAY, "users").publish() as out:
        out.record(
            [out.write_table("all", history(("u1", 0, "a")).select(["user_hash", "user_id"]))]
        )
    histories = service.process()
    assert histories.profile("u1", ["profile_sex", "profile_z"]).tolist() == [1, 1]
    assert histories.profile("u2", ["profile_sex"]).tolist() == []


def test_a_process_that_has_not_looked_yet_still_sees_the_day_that_another_took_over(service):
    service.night(DAY, *HISTORY)
    first, second = service.process(), service.process()
    first.add([behavior(NEXT, "d", event="e1")], NEXT)
    service.night(TOMORROW, ("u1", NEXT - 400, "b"), ("u1", NEXT, "d"))
    first.follow(service.store)
    assert items(second.before("u1", NEXT + 1)) == hashes("a", "b", "d")
    assert items(first.before("u1", NEXT + 1)) == hashes("b", "d")
    service.night(TOMORROW, ("u1", NEXT - 400, "b"), ("u1", NEXT, "d"))  # the same, anew
    first.follow(service.store)
    assert items(second.before("u1", NEXT + 1)) == hashes("a", "b", "d")


def test_threads_that_come_at_once_lose_nothing_and_take_an_event_once(service, histories):
    def one(thread):
        sent = [behavior(NEXT + n, f"t{thread}") for n in range(20)]
        new = sum(histories.add([told], NEXT) for told in sent)
        new += histories.add([behavior(NEXT, event="e")], NEXT)
        histories.follow(service.store)
        return new, len(histories.before("u1", NEXT + 99).ts) > 0

    with ThreadPoolExecutor(4) as threads:
        done = list(threads.map(one, range(4)))
    assert sum(new for new, _ in done) == 81
    assert all(seen for _, seen in done)
    assert len(histories.before("u1", NEXT + 99).ts) == 81


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 5)), max_size=150), st.integers(0, 31))
def test_a_history_is_the_last_hundred_before_the_moment(kind, tmp_path_factory, rows, moment):
    with Service.at(kind, tmp_path_factory.mktemp("live")) as service:
        histories = service.process()
        histories.add([behavior(NEXT + ts, f"i{item}") for ts, item in rows], NEXT)
        found: Past = histories.before("u1", NEXT + moment)
    expected = sorted((r for r in rows if r[0] < moment), key=lambda r: r[0])[-100:]
    assert (found.ts - NEXT).tolist() == [ts for ts, _ in expected]
    assert items(found) == hashes(*[f"i{item}" for _, item in expected])


def test_what_comes_in_while_nights_are_behind_counts_until_the_night_of_its_own_day(service):
    histories = service.process()
    histories.add([behavior(NEXT, "live", dated=False)])  # months after DAY
    for day, seen in ((TOMORROW, hashes("live")), (datetime.now(UTC).date(), [])):
        service.night(day)
        histories.follow(service.store)
        assert items(histories.before("u1", NEXT + 1)) == seen


def test_a_night_published_anew_forgets_nothing_that_a_slower_process_still_counts(service):
    first, slower = service.process(), service.process()
    first.add([behavior(NEXT, "d")], NEXT)
    for rows in ((), (("u1", NEXT, "d"),)):
        service.night(TOMORROW, *rows)
        first.follow(service.store)
    assert items(slower.before("u1", NEXT + 1)) == hashes("d")


def test_what_is_heard_fourteen_minutes_before_midnight_counts_for_the_next_day_too(service):
    histories, ts = service.process(), MIDNIGHT - 14 * 60_000
    histories.add([behavior(ts, "last")], ts)
    assert items(histories.before("u1", NEXT)) == hashes("last")
