"""Two at once: of two promotions one wins, or both in order; two equal steps end as one."""

from datetime import timedelta

import pytest

from tests.chain import DAYS, EVALUATED
from tests.drills.drill import decisions, killed, picture
from tests.drills.homes import tracked

RUN = f"dupn-{DAYS[-2]}"
SAMPLES = ("samples", {"day": EVALUATED})
ROLLBACK = ("rollback", {"why": "worse"})


DATA = ("events", "vocabulary", "catalog", "statistics", "sequences", "samples", "checkpoints")


def moves(home) -> list:
    return [(action, aliases) for action, aliases, *_ in decisions(home)]


def promotion(version: str) -> tuple:
    return "promote", {"day": EVALUATED, "version": version, "why": f"race of {version}"}


@pytest.fixture(scope="module")
def three(warm, homes):
    """Version 1 is champion; 2 and 3 are registered."""
    homes.back("chain")
    warm.done(homes.work, ("version", {"name": "two"}), ("version", {"name": "three"}))
    assert tracked(homes.work)["aliases"] == [("champion", 1)]
    homes.keep("three")
    return homes


def consistent(home) -> None:
    """Every entry is done, and the aliases stand as the last one says."""
    entries = decisions(home)
    assert all(done for *_, done, _ in entries)
    stand = {alias: str(number) for alias, number in tracked(home)["aliases"]}
    assert stand == entries[-1][1]
    assert not [entry for entry in entries if entry[0] == "observed"]


def test_of_two_promotions_one_wins_or_both_do_in_order(warm, three):
    passed = warm.done(three.back("three"), promotion("2")).passed
    assert len(passed) >= 5
    for number, name in enumerate(passed):
        home = three.back("three")
        slow = warm.start(home, promotion("2"), wait_at=number)
        assert slow.until_it_waits()
        fast = warm.run(home, promotion("3"))
        slow.go()
        told = slow.wait()
        consistent(home)
        moves = [entry[1]["champion"] for entry in decisions(home)]
        assert fast.code == 0, (name, fast.sentence)
        if told.code:
            assert told.error == "LedgerTaken", name
            assert moves == ["1", "3"], name
        else:
            assert moves in (["1", "2", "3"], ["1", "3", "2"]), name


@pytest.mark.drill
def test_a_rollback_that_was_killed_is_finished_and_not_undone(warm, three):
    home = three.back("three")
    warm.done(home, promotion("2"))
    three.keep("two promoted")
    passed = warm.done(home, ROLLBACK).passed
    for number, name in enumerate(passed):
        home = three.back("two promoted")
        assert killed(warm.run(home, ROLLBACK, kill_at=number))
        warm.done(home, ROLLBACK)
        consistent(home)
        assert [entry[1]["champion"] for entry in decisions(home)] == ["1", "2", "1"], name


@pytest.mark.drill
def test_two_that_publish_the_same_day_at_once_leave_one_whole_day(warm, homes):
    home = homes.back("chain")
    after = picture(home, "samples")
    for number, name in enumerate(warm.done(home, SAMPLES).passed):
        slow = warm.start(home, SAMPLES, wait_at=number)
        assert slow.until_it_waits()
        warm.done(home, SAMPLES)
        assert picture(home, "samples") == after, name
        slow.go()
        assert slow.wait().code == 0, name
        assert picture(home, "samples") == after, name


@pytest.mark.drill
@pytest.mark.timeout(900)
def test_two_nights_started_at_once_leave_what_one_leaves(warm, homes):
    night = ("night", {"day": EVALUATED + timedelta(days=1)})
    warm.done(homes.back("chain"), night)
    alone = picture(homes.work, *DATA), moves(homes.work)
    home = homes.back("chain")
    told = [one.wait() for one in [warm.start(home, night) for _ in range(2)]]
    assert sorted(one.code for one in told) == [0, 1]
    assert [one.error for one in told if one.code] == ["OutOfTurn"]
    assert (picture(home, *DATA), moves(home)) == alone
