"""A rollback makes who was champion before champion again, however the aliases were moved."""

import pytest

from infra.errors import RegistryError
from infra.registry import MODEL, Registry
from infra.store import Store
from tests.infra.moves import by_hand, delete, promoted, versions


def ended(registry, why):
    """A rollback that is over, told by its aliases."""
    entry = registry.rollback(why)
    registry.ledger.end(entry)
    assert registry.aliases() == entry.aliases
    return entry.aliases


def test_every_rollback_goes_one_further_and_previous_is_whom_the_next_one_goes_to(registry):
    promoted(registry, 3)
    assert ended(registry, "worse") == {"champion": "2", "previous": "1"}
    assert ended(registry, "worse as well") == {"champion": "1"}


def test_a_rollback_where_nobody_is_further_back_is_refused_and_says_how_to_go_forward(registry):
    promoted(registry, 2)
    ended(registry, "worse")
    with pytest.raises(
        RegistryError,
        match=r"no previous .*version 2: left by a rollback\).*`dupn promote --version N",
    ):
        registry.rollback("this one too")
    assert registry.aliases() == {"champion": "1"}
    assert registry.promote("2", "it was none").aliases == {"champion": "2", "previous": "1"}
    assert ended(registry, "it was") == {"champion": "1"}


def test_previous_after_a_rollback_is_nobody_who_was_deleted(registry):
    promoted(registry, 4)
    delete(registry, "2")
    assert ended(registry, "worse") == {"champion": "3", "previous": "1"}


def test_a_rollback_of_which_only_the_champion_was_made_goes_no_further(registry):
    """Cut off between its aliases, and then `previous` was deleted: it can be made no more."""
    promoted(registry, 3)
    back = {"champion": "2", "previous": "1"}
    registry.ledger.append(registry.look(), action="rollback", aliases=back, why="cut off")
    by_hand(registry, champion="2")
    delete(registry, "1")
    entry = registry.rollback("again")
    assert (entry.number, entry.why) == (4, "cut off")
    assert registry.aliases()["champion"] == "2"
    with pytest.raises(RegistryError, match=r"version 3: left by a rollback; version 1: deleted"):
        registry.rollback("this one too")


def test_rollback_without_a_previous_is_refused(registry):
    versions(registry, 1)
    registry.promote("1", "first")
    with pytest.raises(RegistryError, match="no previous"):
        registry.rollback("no reason")


def test_a_rollback_after_a_move_by_hand_brings_back_who_was_champion_before_it(registry):
    versions(registry, 2)
    registry.promote("1", "first")
    registry.client.set_registered_model_alias(MODEL, "champion", "2")
    assert registry.rollback("a slip").aliases == {"champion": "1"}
    registry.promote("2", "better")
    registry.client.set_registered_model_alias(MODEL, "champion", "1")
    assert registry.rollback("a slip again").aliases == {"champion": "2"}


def test_a_rollback_after_a_move_by_hand_goes_to_who_served_until_then(registry):
    promoted(registry, 3)
    by_hand(registry, champion="1")
    assert ended(registry, "a slip") == {"champion": "3", "previous": "2"}
    assert ended(registry, "worse") == {"champion": "2"}


def test_moves_that_leave_the_champion_do_not_hide_who_served_until_a_move_by_hand(registry):
    promoted(registry, 3)
    versions(registry, 4)
    by_hand(registry, champion="1")
    registry.look()
    registry.challenge("4", "another recipe")
    rolled = registry.rollback("a slip").aliases
    assert rolled == {"champion": "3", "previous": "2", "challenger": "4"}


@pytest.mark.parametrize("aliases", [("champion", "previous"), ("previous", "champion")])
def test_a_rollback_obeys_a_previous_that_was_moved_with_the_champion(registry, aliases):
    promoted(registry, 4)
    numbers = {"champion": "1", "previous": "2"}
    by_hand(registry, **{alias: numbers[alias] for alias in aliases})
    assert registry.rollback("a slip").aliases == {"champion": "2"}


def test_a_rollback_obeys_a_previous_that_was_moved_by_hand_later(registry):
    promoted(registry, 3)
    by_hand(registry, previous="1")
    assert registry.rollback("not to 2").aliases == {"champion": "1"}
    by_hand(registry, champion="3")
    registry.look()
    by_hand(registry, previous="2")
    assert registry.rollback("to 2").aliases == {"champion": "2", "previous": "1"}


def test_who_is_previous_by_a_promotion_after_a_move_by_hand_is_whom_a_rollback_goes_to(registry):
    promoted(registry, 3)
    by_hand(registry, champion="1")
    registry.promote("2", "better")
    assert registry.rollback("worse").aliases == {"champion": "1", "previous": "3"}


def test_whom_a_rollback_goes_to_is_told_before_an_alias_moves(registry):
    promoted(registry, 3)
    by_hand(registry, champion="1")
    told = []
    registry.rollback("a slip", ready=lambda number: told.append((number, registry.aliases())))
    assert told == [("3", {"champion": "1", "previous": "2"})]


def test_a_rollback_during_which_somebody_else_moves_is_refused(registry, uri, tmp_path):
    promoted(registry, 3)
    other = Registry(uri, Store(tmp_path))
    with pytest.raises(RegistryError, match=r"ledger entry 4 \(observed: .*champion 3 -> 1"):
        registry.rollback("worse", ready=lambda _: by_hand(registry, champion="1"))
    with pytest.raises(RegistryError, match=r"ledger entry 5 \(promote: better\)"):
        registry.rollback("worse", ready=lambda _: other.promote("2", "better"))
    assert registry.aliases() == {"champion": "2", "previous": "1"}
    assert [one.action for one in registry.look()][3:] == ["observed", "promote"]


def test_a_rollback_that_was_cut_off_is_told_and_finished(registry):
    promoted(registry, 2)
    back = {"champion": "1", "previous": "2"}
    registry.ledger.append(registry.look(), action="rollback", aliases=back, why="cut off")
    told = []
    entry = registry.rollback(
        "again", ready=lambda number: told.append((number, registry.aliases()))
    )
    assert (entry.number, entry.why) == (3, "cut off")
    assert told == [("1", {"champion": "2", "previous": "1"})]
    assert registry.aliases() == back


def test_a_rollback_that_has_not_ended_is_told_again_and_goes_no_further(registry):
    promoted(registry, 3)
    first = registry.rollback("worse")
    again = registry.rollback("worse")
    assert (again.number, again.aliases) == (first.number, {"champion": "2", "previous": "1"})
    registry.ledger.end(first)
    assert registry.rollback("this one too").aliases == {"champion": "1"}


def test_a_rollback_that_has_not_ended_does_not_hide_a_later_move_by_hand(registry):
    promoted(registry, 3)
    registry.rollback("worse")
    by_hand(registry, champion="1")
    assert registry.rollback("a slip").aliases == {"champion": "2"}
