"""Aliases move through the ledger; of two at once one loses; hand moves are obeyed."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from infra.errors import RegistryError
from infra.ledger import Ledger
from infra.mlflow_client import Refused
from infra.registry import MODEL, Registry
from infra.store import Store
from infra.succession import OBSERVED
from tests.infra.moves import by_hand, promoted, versions

HERE = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])}


def test_promotion_moves_champion_and_previous_and_says_why(registry):
    versions(registry, 2)
    registry.promote("1", "first")
    entry = registry.promote("2", "better")
    assert registry.aliases() == {"champion": "2", "previous": "1"}
    assert (entry.why, entry.facts["run_key"]) == ("better", "dupn-1")
    assert [e.action for e in registry.look()] == ["promote", "promote"]


def test_who_is_promoted_or_challenges_already_stays_and_moves_nothing(registry):
    versions(registry, 2)
    for move, number in ((registry.promote, "1"), (registry.challenge, "2")):
        assert move(number, "once").number == move(number, "again").number
    assert registry.aliases() == {"champion": "1", "challenger": "2"}
    assert [one.why for one in registry.look()] == ["once", "once"]


def test_aliases_of_others_are_none_of_ours(registry):
    versions(registry, 1)
    registry.promote("1", "first")
    registry.client.set_registered_model_alias(MODEL, "staging", "1")
    assert registry.aliases() == {"champion": "1"}
    assert len(registry.look()) == 1


def test_the_same_model_is_registered_once(registry):
    versions(registry, 1)
    versions(registry, 1)
    assert registry.version("2") is None


class NoAliases:
    """An MLflow that lets nobody move an alias."""

    def __init__(self, client):
        self.client = client

    def __getattr__(self, name):
        return getattr(self.client, name)

    def set_registered_model_alias(self, *_):
        raise Refused("no", "PERMISSION_DENIED")


def test_a_model_that_a_hand_entered_is_registered_with_our_tags_all_the_same(registry):
    registry.client.create_registered_model(MODEL)
    registry.client.create_model_version(MODEL, source="file:///models/first")
    for _ in range(2):
        made = registry.register("file:///models/first", "", {"run_key": "mine"})
        assert (made.number, made.tags["run_key"]) == ("2", "mine")


def test_a_move_that_mlflow_refuses_is_said_to_be_entered_and_is_made_when_it_may_be(registry):
    versions(registry, 1)
    client, registry.client = registry.client, NoAliases(registry.client)
    for attempt in (lambda: registry.promote("1", "first"), registry.look):
        with pytest.raises(RegistryError, match=r"entry 1 \(promote\) is entered, and not made: "):
            attempt()
    registry.client = client
    assert registry.champion().number == "1"
    assert len(registry.ledger.entries()) == 1


def elsewhere(registry, tmp_path):
    """The same ledger beside another MLflow."""
    return Registry(f"sqlite:///{tmp_path}/other.db", registry.ledger.store)


@pytest.mark.parametrize("cut_off", [False, True])
def test_a_look_into_an_mlflow_without_the_model_changes_nothing(registry, tmp_path, cut_off):
    promoted(registry, 1)
    if cut_off:
        registry.ledger.append(registry.look(), action="promote", aliases={"champion": "1"}, why="")
    entries = registry.ledger.entries()
    with pytest.raises(RegistryError, match=r"other\.db knows no model dupn.* tracking\.uri "):
        elsewhere(registry, tmp_path).look()
    assert registry.ledger.entries() == entries


def test_a_look_into_an_mlflow_with_another_model_of_the_name_changes_nothing(registry, tmp_path):
    promoted(registry, 1)
    other = elsewhere(registry, tmp_path)
    other.register("file:///theirs", "", {"run_key": "theirs-1"})
    with pytest.raises(RegistryError, match=r"trained as dupn-0; .* that is theirs-1.* ledger out"):
        other.look()
    assert len(registry.look()) == 1


def test_a_look_into_an_mlflow_with_fewer_versions_changes_nothing(registry, tmp_path):
    promoted(registry, 2)
    other = elsewhere(registry, tmp_path)
    other.register("file:///theirs", "", {"run_key": "theirs-1"})
    other.point("champion", "1")
    with pytest.raises(RegistryError, match=r"version 1 .* trained as dupn-0; .* that is theirs-1"):
        other.look()
    assert registry.look()[-1].aliases["champion"] == "2"


def test_a_ledger_that_saw_another_mlflow_heals_in_its_own(registry, tmp_path):
    """As versions of dupn before this one entered it."""
    promoted(registry, 2)
    seen = {"aliases": {"champion": "1"}, "facts": {"run_key": "theirs-1"}}
    entry = registry.ledger.append(registry.look(), action=OBSERVED, why="", **seen)
    registry.ledger.finish(entry)
    assert registry.look()[-1].why.startswith("moved outside dupn: champion 1 -> 2")
    assert registry.rollback("bad").aliases["champion"] == "1"


def test_who_moves_to_another_mlflow_makes_the_model_there_and_goes_on(registry, tmp_path):
    promoted(registry, 2)
    other = elsewhere(registry, tmp_path)
    other.client.create_registered_model(MODEL)
    assert other.look()[-1].why == "moved outside dupn: champion 2 -> none, previous 1 -> none"
    for key in ("dupn-8", "dupn-9"):
        other.register(f"file:///{key}", "", {"run_key": key})
    assert other.promote("1", "passed").facts["run_key"] == "dupn-8"
    with pytest.raises(RegistryError, match="no previous champion"):
        other.rollback("its version 2 never served")


class Beside:
    """An MLflow in which somebody else enters the same model just before we do."""

    def __init__(self, client):
        self.client = client

    def __getattr__(self, name):
        return getattr(self.client, name)

    def create_model_version(self, *given, **named):
        self.client.create_model_version(*given, **named)
        return self.client.create_model_version(*given, **named)


def test_who_enters_a_model_that_somebody_entered_meanwhile_takes_its_own_back(registry):
    registry.client = Beside(registry.client)
    assert registry.register("file:///twin", "", {}).number == "1"
    assert [one.number for one in registry.versions()] == ["1"]


def test_a_hand_move_is_noticed_obeyed_and_entered(registry):
    versions(registry, 2)
    registry.promote("1", "first")
    registry.client.set_registered_model_alias(MODEL, "champion", "2")
    entry = registry.look()[-1]
    assert (entry.action, entry.aliases["champion"]) == ("observed", "2")
    assert "champion 1 -> 2" in entry.why
    assert len(registry.look()) == 2


def test_an_alias_moved_back_by_hand_is_what_a_rollback_and_a_promotion_start_from(registry):
    versions(registry, 3)
    registry.promote("1", "first")
    registry.promote("2", "better")
    registry.client.set_registered_model_alias(MODEL, "champion", "1")
    entry = registry.promote("3", "best")
    assert entry.aliases == {"champion": "3", "previous": "1"}
    actions = [(one.action, one.facts["run_key"]) for one in registry.look()]
    assert actions[-2:] == [("observed", "dupn-0"), ("promote", "dupn-2")]


def test_an_alias_deleted_by_hand_stays_deleted_and_is_entered(registry):
    versions(registry, 2)
    registry.promote("1", "first")
    registry.promote("2", "better")
    registry.client.delete_registered_model_alias(MODEL, "champion")
    assert registry.champion() is None
    entry = registry.look()[-1]
    assert (entry.action, dict(entry.aliases)) == ("observed", {"previous": "1"})
    assert "champion 2 -> none" in entry.why
    assert dict(entry.facts) == {}
    assert registry.rollback("nobody was left").aliases == {"champion": "1"}


def test_every_move_says_what_is_champion_from_now_on(registry):
    versions(registry, 2)
    registry.promote("1", "first")
    registry.promote("2", "better")
    registry.rollback("worse after all")
    keys = [entry.facts["run_key"] for entry in registry.look()]
    assert keys == ["dupn-0", "dupn-1", "dupn-0"]


def test_a_rival_line_stands_beside_the_champion_until_it_takes_its_place(registry):
    versions(registry, 2)
    registry.promote("1", "first")
    registry.challenge("2", "another recipe")
    assert registry.aliases() == {"champion": "1", "challenger": "2"}
    assert registry.look()[-1].facts["run_key"] == "dupn-0"
    registry.promote("2", "it won the A/B test")
    assert registry.aliases() == {"champion": "2", "previous": "1"}


def test_of_two_processes_that_promote_at_once_one_wins(registry, uri, tmp_path):
    versions(registry, 3)
    registry.promote("1", "first")
    script, start = Path(__file__).with_name("promote_version.py"), tmp_path / "start"
    command = [sys.executable, str(script), str(tmp_path), uri]
    both = [
        subprocess.Popen(
            [*command, number, str(start)], stdout=subprocess.PIPE, text=True, env=HERE
        )
        for number in ("2", "3")
    ]
    assert [one.stdout.readline().strip() for one in both] == ["ready", "ready"]
    start.touch()
    said = {number: one.communicate(timeout=120)[0] for number, one in zip("23", both, strict=True)}
    won = [number for number, text in said.items() if "won" in text]
    assert len(won) == 1, said
    assert any("taken by another move" in text for text in said.values())
    assert registry.aliases() == {"champion": won[0], "previous": "1"}
    assert [entry.action for entry in registry.look()] == ["promote", "promote"]


def test_two_looks_at_a_move_made_elsewhere_enter_it_once(registry):
    versions(registry, 2)
    registry.promote("1", "first")
    registry.client.set_registered_model_alias(MODEL, "champion", "2")
    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(lambda _: registry.look()[-1].aliases, range(2)))
    assert found == [{"champion": "2"}] * 2
    assert [entry.action for entry in registry.look()] == ["promote", "observed"]


def test_a_look_at_which_somebody_else_was_quicker_looks_again(registry, uri, tmp_path):
    promoted(registry, 1)
    versions(registry, 2)
    by_hand(registry, champion="2")
    append = registry.ledger.append

    def append_late(*arguments, **named):
        registry.ledger.append = append
        Registry(uri, Store(tmp_path)).look()
        return append(*arguments, **named)

    registry.ledger.append = append_late
    assert registry.look()[-1].aliases == {"champion": "2"}
    assert [entry.action for entry in registry.look()] == ["promote", "observed"]


def test_a_look_that_was_cut_off_does_not_undo_a_later_move_by_hand(registry):
    promoted(registry, 1)
    versions(registry, 3)
    by_hand(registry, champion="2")
    cut_off = {"action": "observed", "aliases": {"champion": "2"}, "why": "cut off"}
    registry.ledger.append(registry.ledger.entries(), **cut_off)
    by_hand(registry, champion="3")
    assert registry.look()[-1].aliases == registry.aliases() == {"champion": "3"}
    assert [entry.done for entry in registry.ledger.entries()] == [True] * 3


@pytest.mark.parametrize("move", ["promote", "challenge"])
def test_a_move_that_was_decided_before_another_came_loses(registry, move):
    promoted(registry, 1)
    versions(registry, 3)
    entries = registry.look()
    registry.promote("3", "meanwhile")
    with pytest.raises(RegistryError, match="taken by another move"):
        getattr(registry, move)("2", "too late", after=entries)
    assert registry.aliases() == {"champion": "3", "previous": "1"}


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


def test_an_entry_is_read_once_unless_another_took_its_place(tmp_path, monkeypatch):
    store = Store(tmp_path)
    ledger, get, asked = Ledger(store), Store.get, []
    monkeypatch.setattr(Store, "get", lambda self, key: asked.append(key) or get(self, key))
    for number in (1, 2):
        ledger.append(ledger.entries(), action="promote", aliases={}, why=f"number {number}")
    assert [[one.why for one in ledger.entries()] for _ in range(3)][-1] == ["number 1", "number 2"]
    assert asked == ["ledger/00000001.json", "ledger/00000002.json"]
    (tmp_path / "ledger").rename(tmp_path / "before")
    Ledger(store).append([], action="promote", aliases={}, why="a new one begins")
    assert [one.why for one in ledger.entries()] == ["a new one begins"]


def test_a_version_that_does_not_exist_is_named(registry):
    versions(registry, 1)
    with pytest.raises(RegistryError, match="version 9"):
        registry.promote("9", "typo")
