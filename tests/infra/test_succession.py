"""Who is champion after whom, read from aliases and entries alone."""

from infra.ledger import Entry
from infra.succession import OBSERVED, before, crowned, rolled_back


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


def aliases(champion, previous):
    found = {"champion": champion, "previous": previous}
    return {name: number for name, number in found.items() if number}


def test_a_promotion_leaves_another_lines_challenger_where_it_is():
    now = {"champion": "2", "previous": "1", "challenger": "3"}
    assert crowned(now, "4") == {"champion": "4", "previous": "2", "challenger": "3"}
    assert crowned(now, "3") == {"champion": "3", "previous": "2"}


def test_a_rollback_leaves_the_challenger_where_it_is():
    now = {"champion": "2", "previous": "1", "challenger": "3"}
    assert rolled_back(now, "1") == {"champion": "1", "previous": "2", "challenger": "3"}


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


def test_before_the_first_move_nobody_was():
    assert before([]) == []
    assert before(ledger(promoted("1"))) == []
