"""Homes that use one MLflow take no other's version for their own."""

import shutil
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest

from infra.errors import RegistryError
from infra.identity import identity, known
from infra.registered import Registered
from infra.registry import MODEL, Registry
from infra.store import Store
from tests.infra.moves import by_hand, promoted, versions


@pytest.fixture
def theirs(uri, tmp_path_factory):
    """Another home on the same server."""
    return Registry(uri, Store(tmp_path_factory.mktemp("theirs")))


def refused(number, alias=""):
    named = f", its {alias}," if alias else ""
    return pytest.raises(RegistryError, match=rf"version {number} of {MODEL}{named} in MLflow at ")


class Late(Store):
    """A store in which two find nothing before either writes."""

    def __init__(self, root, meet):
        super().__init__(root)
        self.meet = meet

    def put_new(self, key, content):
        self.meet.wait(10)
        return super().put_new(key, content)


def test_of_two_who_draw_the_id_of_a_home_at_once_both_have_the_same(tmp_path):
    stores = [Late(tmp_path, meet) for meet in [Barrier(2)] * 2]
    with ThreadPoolExecutor(2) as threads:
        first, second = threads.map(identity, stores)
    assert first == second == known(Store(tmp_path)) != ""


def test_a_home_that_is_copied_keeps_its_id_and_any_other_has_another(tmp_path):
    mine = identity(Store(tmp_path / "a"))
    assert known(Store(shutil.copytree(tmp_path / "a", tmp_path / "moved"))) == mine
    assert identity(Store(tmp_path / "b")) != mine == identity(Store(tmp_path / "a"))


def test_looking_draws_no_id(registry):
    registry.look()
    assert known(registry.ledger.store) == ""


def test_a_version_says_whose_it_is_also_in_the_ledger(registry):
    promoted(registry, 1)
    mine = identity(registry.ledger.store)
    assert registry.found("1").tags["home"] == registry.look()[-1].facts["home"] == mine != ""


@pytest.mark.parametrize("alias", ["champion", "previous", "challenger"])
@pytest.mark.parametrize("moves", [0, 1])
def test_an_alias_on_another_homes_version_is_refused_and_not_entered(
    registry, theirs, alias, moves
):
    promoted(registry, moves)
    number = theirs.register("file:///theirs", "", {"run_key": "dupn-0"}).number
    by_hand(registry, **{alias: number})
    before = registry.ledger.entries()
    for asked in (registry.look, registry.champion, registry.aliases):
        with refused(number, alias):
            asked()
    assert registry.ledger.entries() == before
    registry.client.delete_registered_model_alias(MODEL, alias)
    assert [one.why for one in registry.look()][:moves] == ["number 1"] * moves


def test_the_first_promotion_of_a_second_home_is_refused(registry, theirs):
    promoted(theirs, 1)
    versions(registry, 1)
    with refused(1, "champion"):
        registry.promote("2", "passed")
    assert theirs.look()[-1].aliases == {"champion": "1"}
    assert registry.ledger.entries() == []


def test_equal_numbers_and_run_keys_make_nobody_ours(registry, tmp_path, tmp_path_factory):
    promoted(registry, 1)
    uri = f"sqlite:///{tmp_path}/other.db"
    promoted(Registry(uri, Store(tmp_path_factory.mktemp("theirs"))), 1)
    with refused(1, "champion"):
        Registry(uri, registry.ledger.store).look()


@pytest.mark.parametrize("move", ["promote", "challenge"])
def test_no_move_goes_to_another_homes_version(registry, theirs, move):
    promoted(registry, 1)
    versions(theirs, 2)
    for after in (None, registry.look()):
        with refused(3):
            getattr(registry, move)("3", "by number", after=after)
    with refused(3):
        registry.move(registry.look(), "ship", {"champion": "1", "previous": "3"}, "", "me")
    assert len(registry.look()) == 1


def test_a_move_that_was_cut_off_is_not_finished_on_another_homes_version(registry, theirs):
    versions(theirs, 1)
    registry.ledger.append([], action="promote", aliases={"champion": "1"}, why="cut off")
    with refused(1):
        registry.look()
    assert Registered(registry.uri).aliases() == {}


def test_homes_do_not_see_each_others_versions(registry, theirs):
    versions(theirs, 2)
    versions(registry, 1)
    assert [one.number for one in theirs.versions()] == ["1", "2"]
    assert [one.number for one in registry.versions()] == ["3"]


def test_a_version_from_before_there_were_ids_is_ours(registry, theirs):
    versions(Registered(registry.uri), 2)
    promoted(registry, 1)
    by_hand(registry, champion="2")
    assert registry.look()[-1].aliases["champion"] == "2"
    assert theirs.champion().number == "2"


def test_a_hand_that_moves_an_alias_among_our_versions_is_obeyed(registry, theirs):
    versions(theirs, 1)
    versions(registry, 2)
    registry.promote("2", "first")
    by_hand(registry, champion="3")
    assert registry.look()[-1].why == "moved outside dupn: champion 2 -> 3"


def test_a_home_follows_one_that_is_gone_once_its_aliases_are_deleted(registry, theirs):
    promoted(theirs, 2)
    with pytest.raises(RegistryError, match=r"home is gone for good, delete the aliases of dupn\."):
        registry.look()
    for alias in ("champion", "previous"):
        registry.client.delete_registered_model_alias(MODEL, alias)
    versions(registry, 1)
    assert registry.promote("3", "first").aliases == {"champion": "3"}
