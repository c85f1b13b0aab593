"""Who is champion after whom, read from aliases and entries alone."""

from dataclasses import replace

import pytest

from infra.ledger import Entry
from infra.succession import (
    OBSERVED,
    ROLLBACK,
    before,
    crowned,
    dethroned,
    left,
    reigns,
    rolled_back,
)


def ledger(*moves):
    """Entries of (action, aliases, why it was given up)."""
    return [
        Entry(number=n, action=action, aliases=aliases, why="", who="", at="", given_up=given_up)
        for n, (action, aliases, given_up) in enumerate(moves, 1)
    ]


def promoted(champion, previous=None):
    return "promote", aliases(champion, previous), ""


def by_hand(champion, previous=None):
    return OBSERVED, aliases(champion, previous), ""


def back(champion, previous=None, given_up=""):
    return ROLLBACK, aliases(champion, previous), given_up


def aliases(champion, previous):
    found = {"champion": champion, "previous": previous}
    return {name: number for name, number in found.items() if number}


def test_a_promotion_leaves_another_lines_challenger_where_it_is():
    now = {"champion": "2", "previous": "1", "challenger": "3"}
    assert crowned(now, "4") == {"champion": "4", "previous": "2", "challenger": "3"}
    assert crowned(now, "3") == {"champion": "3", "previous": "2"}


def test_a_rollback_leaves_the_challenger_where_it_is():
    now = {"champion": "2", "previous": "1", "challenger": "3"}
    assert rolled_back(now, "1") == {"champion": "1", "challenger": "3"}
    assert rolled_back(now, "1", "4") == {"champion": "1", "previous": "4", "challenger": "3"}


def test_where_nobody_was_champion_whoever_was_before_stays_previous():
    """A hand took the alias of 2 away: a rollback of 3 shall not bring 2 back."""
    now = crowned({"previous": "1"}, "3")
    assert now == {"champion": "3", "previous": "1"}
    found = ledger(promoted("1"), promoted("2", "1"), by_hand(None, "1"), promoted("3", "1"))
    assert before(found)[0] == "1"


def test_a_move_that_was_given_up_does_not_hide_who_served_until_a_move_by_hand():
    given_up = "promote", aliases("4", "3"), "version 4 is deleted"
    found = ledger(
        promoted("1"), promoted("2", "1"), by_hand("3", "1"), given_up, by_hand("3", "1")
    )
    assert before(found) == ["2", "1"]
    assert before(found[:3]) == ["2", "1"]


THREE = promoted("1"), promoted("2", "1"), promoted("3", "2")


def test_every_rollback_goes_one_further_and_none_back_to_what_one_left():
    assert before(ledger(*THREE)) == ["2", "1"]
    assert before(ledger(*THREE, back("2", "1"))) == ["1"]
    found = ledger(*THREE, back("2", "1"), back("1"))
    assert (before(found), left(found)) == ([], ["2", "3"])


def test_a_rollback_of_an_earlier_release_named_whom_it_left_and_is_not_obeyed():
    assert before(ledger(*THREE, back("2", "3"))) == ["1"]


@pytest.mark.parametrize("again", [promoted("3", "2"), by_hand("3", "1")])
def test_whoever_is_made_champion_again_is_gone_back_to_again(again):
    found = ledger(*THREE, back("2", "1"), again, promoted("4", "3"))
    assert (before(found), left(found)) == (["3", "2", "1"], [])


def test_a_hand_that_names_whom_a_rollback_left_as_previous_is_obeyed():
    assert before(ledger(*THREE, back("2", "1"), by_hand("2", "3")))[0] == "3"


def test_a_move_that_leaves_previous_as_it_was_brings_nobody_back():
    """The rollback is an earlier release's."""
    assert before(ledger(*THREE, back("2", "3"), by_hand("4", "3"))) == ["2", "1"]


def test_who_served_after_whom_a_rollback_goes_to_is_passed_over_later():
    """A hand had named 1, not 2."""
    assert before(ledger(*THREE, by_hand("3", "1"), back("1"))) == []


def test_after_a_rollback_to_who_never_was_champion_the_next_goes_to_who_was_before_the_last():
    assert before(ledger(*THREE, by_hand("3", "9"), back("9", "2")))[0] == "2"


def test_a_rollback_of_which_only_the_champion_was_made_left_somebody_all_the_same():
    """It was given up, as its `previous` was deleted by then."""
    half = *THREE, back("2", "1", given_up="1 is deleted"), by_hand("2", "2")
    assert before(ledger(*half)) == ["1"]
    none = *THREE, back("2", "1", given_up="2 is deleted"), by_hand("3", None)
    assert before(ledger(*none)) == ["2", "1"]


def test_who_is_promoted_after_a_rollback_to_him_was_given_up_leaves_nobody_behind():
    found = ledger(*THREE, back("2", "1", given_up="1 is deleted"), promoted("2", "3"))
    assert (before(found), left(found)) == (["3", "1"], [])


def test_a_number_that_two_mlflows_gave_reigned_only_under_its_own_key():
    found = [
        replace(entry, facts={"run_key": key})
        for entry, key in zip(ledger(promoted("1"), promoted("1")), ("old", "new"), strict=True)
    ]
    assert [reigns(found, "1", key) for key in ("old", "new")] == [[0], [1]]


def test_the_move_away_is_the_one_after_the_last_reign_and_none_that_was_given_up():
    failed = "promote", aliases("4", "2"), "version 4 is deleted"
    found = ledger(*THREE, back("2", "1"), failed, promoted("5", "2"), promoted("6", "5"))
    assert [dethroned(found, one, "") for one in "1256"] == [found[1], found[5], found[6], None]
    assert dethroned(found, "4", "") is None


def test_before_the_first_move_nobody_was():
    assert before([]) == []
    assert before(ledger(promoted("1"))) == []
