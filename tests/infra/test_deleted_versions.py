"""A version that was deleted in MLflow is moved to by nobody, and locks nothing."""

import re

import pytest

from infra.errors import RegistryError
from infra.succession import before
from tests.infra.moves import by_hand, delete, promoted, versions


def test_a_rollback_goes_past_a_version_that_was_deleted(registry):
    promoted(registry, 3)
    delete(registry, "2")
    assert registry.rollback("worse").aliases == {"champion": "1"}


def test_a_rollback_to_nobody_but_a_deleted_version_is_refused_and_locks_nothing(registry):
    promoted(registry, 2)
    delete(registry, "1")
    with pytest.raises(RegistryError, match=r"version 1: deleted .* `dupn promote --version N"):
        registry.rollback("worse")
    assert registry.champion().number == "2"
    assert [one.action for one in registry.look()] == ["promote", "promote", "observed"]
    versions(registry, 3)
    assert registry.promote("3", "best").aliases == {"champion": "3", "previous": "2"}


def test_a_deleted_champion_is_not_rolled_back_to(registry):
    promoted(registry, 3)
    delete(registry, "3")
    assert registry.rollback("it is gone").aliases == {"champion": "2", "previous": "1"}
    with pytest.raises(RegistryError, match="version 3"):
        registry.promote("3", "it was good")


def test_a_move_that_names_a_deleted_version_enters_nothing(registry):
    promoted(registry, 1)
    versions(registry, 2)
    entries = registry.look()
    delete(registry, "1")
    with pytest.raises(RegistryError, match=r"version 1 .*previous.* deleted .* `dupn status`"):
        registry.promote("2", "better", after=entries)
    assert registry.ledger.entries() == entries
    assert registry.promote("2", "better").aliases == {"champion": "2"}


@pytest.mark.parametrize("alias", ["champion", "previous", "challenger"])
@pytest.mark.parametrize("half", [False, True])
def test_a_cut_off_move_that_names_a_deleted_version_is_not_made(registry, caplog, alias, half):
    promoted(registry, 2)
    versions(registry, 4)
    move = {"champion": "3", "challenger": "4", "previous": "2"}
    registry.ledger.append(registry.look(), action="promote", aliases=move, why="cut off")
    if half:
        by_hand(registry, champion="3")
    delete(registry, move[alias])
    stand = registry.aliases()
    entries = registry.look()
    assert registry.aliases() == stand == entries[-1].aliases
    assert [one.action for one in entries[2:]] == ["promote", "observed"]
    assert all(one.done for one in registry.ledger.entries())
    assert [bool(one.given_up) for one in entries] == [False, False, True, False]
    said = f"ledger entry 3 \\(promote\\) was not made: version {move[alias]} "
    assert re.search(said, caplog.text)
    assert re.search(said, entries[-1].why)
    assert len(registry.look()) == 4
    versions(registry, 5)
    assert registry.promote("5", "best").aliases["champion"] == "5"


def test_a_cut_off_move_that_cannot_be_made_may_itself_be_left_half_finished(registry):
    promoted(registry, 1)
    versions(registry, 2)
    move = {"champion": "2", "previous": "1"}
    entry = registry.ledger.append(registry.look(), action="promote", aliases=move, why="cut off")
    delete(registry, "2")
    registry.ledger.finish(entry)
    assert registry.champion().number == "1"
    assert [(one.action, one.done) for one in registry.ledger.entries()][1:] == [
        ("promote", True),
        ("observed", True),
    ]


def test_a_cut_off_rollback_to_a_deleted_version_gives_way_to_one_that_can_be_made(registry):
    promoted(registry, 3)
    back = {"champion": "2", "previous": "3"}
    registry.ledger.append(registry.look(), action="rollback", aliases=back, why="cut off")
    delete(registry, "2")
    assert registry.rollback("again").aliases == {"champion": "1"}


def test_a_champion_that_was_never_made_is_nobody_to_roll_back_to(registry):
    """Its move was given up because its challenger was deleted; the version itself is there."""
    promoted(registry, 2)
    versions(registry, 4)
    move = {"champion": "3", "challenger": "4", "previous": "2"}
    registry.ledger.append(registry.look(), action="promote", aliases=move, why="cut off")
    delete(registry, "4")
    assert before(registry.look()) == ["1"]


def test_a_version_deleted_between_the_entry_and_the_alias_is_named_and_locks_nothing(registry):
    promoted(registry, 1)
    versions(registry, 2)
    append = registry.ledger.append

    def append_slowly(*arguments, **named):
        entry = append(*arguments, **named)
        delete(registry, "2")
        return entry

    registry.ledger.append = append_slowly
    with pytest.raises(RegistryError, match=r"version 2 .*champion.* deleted"):
        registry.promote("2", "better")
    registry.ledger.append = append
    assert registry.champion().number == "1"


def test_a_version_deleted_while_the_aliases_move_is_named_and_locks_nothing(registry):
    promoted(registry, 1)
    versions(registry, 2)
    entries, aliases = registry.look(), registry.aliases

    def aliases_slowly():
        found, registry.aliases = aliases(), aliases
        delete(registry, "2")
        return found

    registry.aliases = aliases_slowly
    with pytest.raises(RegistryError, match=r"version 2 .*champion.* deleted"):
        registry.promote("2", "better", after=entries)
    assert registry.champion().number == "1"
    assert all(one.done for one in registry.ledger.entries())


def test_whoever_follows_the_champion_is_not_called_for_a_move_that_was_given_up(registry):
    promoted(registry, 1)
    versions(registry, 2)
    move = {"champion": "2", "challenger": "9", "previous": "1"}
    registry.ledger.append(registry.look(), action="promote", aliases=move, why="cut off")
    seen = []
    registry.follow = seen.append
    by_hand(registry, champion="2")
    registry.look()
    assert [[one.number for one in entries] for entries in seen] == [[1, 2, 3]]
