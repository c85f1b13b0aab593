"""Aliases move through the ledger; of two at once one loses; hand moves are obeyed."""

import pytest

from infra.errors import RegistryError
from infra.ledger import Ledger
from infra.registry import MODEL, Registry
from infra.store import Store


@pytest.fixture(scope="module")
def uri(tmp_path_factory):
    return f"sqlite:///{tmp_path_factory.mktemp('mlflow')}/mlflow.db"


@pytest.fixture
def registry(uri, tmp_path):
    registry = Registry(uri, Store(tmp_path))
    yield registry
    if registry.aliases() or registry.version("1"):
        registry.client.delete_registered_model(MODEL)


def versions(registry: Registry, count: int) -> None:
    for number in range(count):
        registry.register(f"file:///models/{number}", "", {"run_key": f"dupn-{number}"})


def test_promotion_moves_champion_and_previous_and_says_why(registry):
    versions(registry, 2)
    registry.promote("1", "first")
    entry = registry.promote("2", "better")
    assert registry.aliases() == {"champion": "2", "previous": "1"}
    assert (entry.why, entry.facts["run_key"]) == ("better", "dupn-1")
    assert [e.action for e in registry.look()] == ["promote", "promote"]


def test_the_same_model_is_registered_once(registry):
    versions(registry, 1)
    versions(registry, 1)
    assert registry.version("2") is None


def test_rollback_swaps_champion_and_previous(registry):
    versions(registry, 2)
    registry.promote("1", "first")
    registry.promote("2", "better")
    registry.rollback("worse after all")
    assert registry.aliases() == {"champion": "1", "previous": "2"}


def test_rollback_without_a_previous_is_refused(registry):
    versions(registry, 1)
    registry.promote("1", "first")
    with pytest.raises(RegistryError, match="no previous"):
        registry.rollback("no reason")


def test_a_hand_move_is_noticed_obeyed_and_entered(registry):
    versions(registry, 2)
    registry.promote("1", "first")
    registry.client.set_registered_model_alias(MODEL, "champion", "2")
    entry = registry.look()[-1]
    assert (entry.action, entry.aliases["champion"]) == ("observed", "2")
    assert "champion 1 -> 2" in entry.why
    assert len(registry.look()) == 2


def test_a_move_that_was_cut_off_is_finished_at_the_next_look(registry):
    versions(registry, 1)
    registry.ledger.append([], action="promote", aliases={"champion": "1"}, why="cut off")
    assert registry.aliases() == {}
    registry.look()
    assert registry.aliases() == {"champion": "1"}


def test_of_two_moves_at_once_one_loses_and_changes_nothing(tmp_path):
    ledger = Ledger(Store(tmp_path))
    before = ledger.entries()
    ledger.append(before, action="promote", aliases={"champion": "1"}, why="mine")
    with pytest.raises(RegistryError, match="taken by another move"):
        ledger.append(before, action="promote", aliases={"champion": "2"}, why="yours")
    assert ledger.entries()[-1].aliases == {"champion": "1"}


def test_a_version_that_does_not_exist_is_named(registry):
    versions(registry, 1)
    with pytest.raises(RegistryError, match="version 9"):
        registry.promote("9", "typo")
