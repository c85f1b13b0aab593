"""An arm without a version takes nothing down, and no page says another arm than answered it."""

import pytest
from fastapi.testclient import TestClient

from features.abtest import traffic
from features.abtest.traffic import Traffic
from infra.errors import ServingUnavailable
from infra.store import Store
from pipeline.release.incumbent import registry_of
from serving import app as http
from serving.running import Background
from serving.service import Service
from serving.settings import ServeConfig
from serving.splitting import Splitting
from serving.versions import FromRegistry, Versions
from tests.serving.world import open_shop

HALVES = ServeConfig(shares={"champion": 0.5, "challenger": 0.5})
TRIAL = Traffic(experiment="e", salt="e", shares={"wide": 0.5, "dupn": 0.5})
USERS = [f"u{number}" for number in range(60)]


@pytest.fixture(scope="module")
def shop(chain, tmp_path_factory):
    return open_shop(chain, tmp_path_factory.mktemp("arms"))


@pytest.fixture
def service(shop, home, tmp_path):
    """A service whose challenger names no version."""
    splitting = Splitting(HALVES, Store(home.home))
    source = FromRegistry(registry_of(home), splitting, tmp_path / "copies", tmp_path / "own")
    versions = Versions(source, tmp_path / "own", 1e-4)
    versions.refresh()
    return Service(versions, shop.histories, HALVES, None, splitting)


def chosen(service):
    """(arm as said, version that answered) of every user."""
    found = [service.choose(user) for user in USERS]
    return {(one.variant, one.served.name.version) for one in found}


def test_an_arm_that_names_no_version_leaves_the_others_serving_and_is_told(service):
    with TestClient(http.create(service)) as client:
        ready = client.get("/readyz")
        asked = client.get("/v1/users/u1/representation")
    assert (ready.status_code, list(ready.json()["arms"])) == (200, ["champion"])
    assert ready.json()["missing"] == ["challenger"]
    assert asked.status_code == 200


def test_an_arm_that_names_no_version_is_said_once_and_not_at_every_look(service, caplog):
    service.versions.missing = ()
    for _ in range(3):
        service.versions.refresh()
    assert caplog.text.count("no version is challenger") == 1


def test_a_running_service_takes_over_what_is_named_though_an_alias_was_deleted(service, home):
    registry = registry_of(home)
    registry.client.set_registered_model_alias("dupn", "challenger", "1")
    assert service.versions.refresh()
    before = service.versions.served
    assert list(before) == ["champion", "challenger"]
    assert service.versions.missing == ()
    registry.client.delete_registered_model_alias("dupn", "challenger")
    champion = registry.version("champion")
    again = registry.client.create_model_version(
        "dupn", champion.source, run_id=champion.run_id, tags=dict(champion.tags)
    )
    registry.client.set_registered_model_alias("dupn", "champion", again.version)
    assert service.versions.refresh(), service.versions.refused
    assert chosen(service) == {("champion", str(again.version)), ("challenger", "1")}
    assert service.versions.missing == ("challenger",)


def test_whoever_has_no_version_of_his_arm_is_answered_by_the_champion_and_told_so(service):
    arms = {service.splitting.variant(user) for user in USERS}
    assert arms == {"champion", "challenger"}
    assert chosen(service) == {("champion", "1")}


def test_a_service_that_starts_in_an_experiment_without_its_control_answers_nobody(service):
    """Its champion is refused: the challenger's line must not pass for it."""
    assert traffic.take_turn(service.splitting._store, TRIAL)
    service.splitting.look()
    (loaded,) = service.versions.served.values()
    service.versions.served = {"dupn": loaded}
    assert not service.splitting.settle(service.versions.served)
    with pytest.raises(ServingUnavailable, match=r"no version of .* is loaded\. Ask /readyz"):
        chosen(service)
    with TestClient(http.create(service)) as client:
        assert client.get("/readyz").status_code == 503
        assert client.get("/v1/users/u1/representation").status_code == 503


def test_a_running_service_takes_an_experiment_over_at_a_look_and_gives_it_back(service, shop):
    beside, store = Background(None, service, shop.histories), service.splitting._store
    trial = Traffic(experiment="e", salt="e", shares={"dupn": 0.5, "1": 0.5})
    assert traffic.take_turn(store, trial)
    beside.look()
    assert {service.choose(user).variant for user in USERS} == {"dupn", "1"}
    assert traffic.end(store, "e", {"outcome": "stop"})
    beside.look()
    assert chosen(service) == {("champion", "1")}
    assert set(service.versions.served) >= {"champion"}


def test_an_experiment_that_waits_for_an_arm_takes_no_user_from_his_own(service, shop, home):
    registry_of(home).client.set_registered_model_alias("dupn", "challenger", "1")
    service.versions.refresh()
    traffic.take_turn(service.splitting._store, TRIAL)  # no version is of the line wide
    Background(None, service, shop.histories).look()
    assert chosen(service) == {("champion", "1"), ("challenger", "1")}


def test_the_champion_stays_loaded_beside_the_arms_of_an_experiment(service):
    traffic.take_turn(service.splitting._store, TRIAL)
    service.splitting.look()
    service.versions.refresh()
    assert service.versions.missing == ("wide",)
    assert not service.splitting.settle(service.versions.served)
    assert set(service.versions.served) == {"dupn", "champion"}
    assert chosen(service) == {("champion", "1")}  # no arm of the experiment is said
