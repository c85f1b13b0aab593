"""The champion's model, released again, is a new version: a rollback goes to another model."""

import pytest

from infra.errors import RegistryError
from tests.infra.moves import by_hand


def released(registry, *runs):
    """Versions 1, 2, ... of these trainings, each champion, one after the other."""
    for number, run in enumerate(runs, 1):
        registry.register(f"file:///models/{number}", run, {"run_key": "one"})
        registry.promote(str(number), f"number {number}")


def test_previous_stays_another_model(registry):
    released(registry, "a", "b", "b", "b")
    assert registry.aliases() == {"champion": "4", "previous": "1"}
    assert registry.rollback("worse").aliases == {"champion": "1"}


def test_without_another_model_there_is_nothing_to_go_back_to(registry):
    released(registry, "a", "a")
    assert registry.aliases() == {"champion": "2"}
    with pytest.raises(RegistryError, match="no previous champion"):
        registry.rollback("worse")


@pytest.mark.parametrize("moved", [{"champion": "3"}, {"champion": "3", "previous": "2"}])
def test_a_rollback_goes_past_versions_of_the_champions_model(registry, moved):
    """Where a hand moved the aliases."""
    released(registry, "a", "b")
    registry.register("file:///models/3", "b", {"run_key": "one"})
    by_hand(registry, **moved)
    assert registry.rollback("worse").aliases == {"champion": "1"}


def test_a_run_key_that_was_trained_anew_is_another_model(registry):
    released(registry, "a", "b")
    assert registry.aliases() == {"champion": "2", "previous": "1"}


def test_a_model_that_comes_back_later_is_not_the_champions(registry):
    """The next rollback has nobody to go to: version 1 answers as the one that this one left."""
    released(registry, "a", "b", "a")
    assert registry.aliases() == {"champion": "3", "previous": "2"}
    assert registry.rollback("worse").aliases == {"champion": "2"}
