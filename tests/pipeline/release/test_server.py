"""A release whose MLflow is a server of its own: files and registry over HTTP, no shared disk."""

import json
import shutil
from pathlib import Path

import pytest

from infra.store import Store
from pipeline import steps
from pipeline.learn import learning
from pipeline.release.incumbent import registry_of
from tests import chain as chains
from tests import mlflow_server
from tests.chain import DAYS

pytestmark = pytest.mark.drill


@pytest.fixture(scope="module")
def released(chain, tmp_path_factory):
    """A home of its own, whose model went from training to champion by way of a server."""
    home = tmp_path_factory.mktemp("server") / "home"
    chains.copy_data(chain, home)
    with mlflow_server.serving(tmp_path_factory.mktemp("mlflow")) as uri:
        mine = chains.smoke(home, f"tracking.uri={uri}", "evaluate.shuffles=false")
        steps.train(mine, DAYS[1], 2)
        for step in ("evaluate", "bundle", "gate", "canary", "register", "promote", "check"):
            getattr(steps, step)(mine, DAYS[2])
        yield mine


def test_a_server_registers_the_logged_model_and_links_it(released):
    champion = registry_of(released).champion()
    assert champion is not None
    model = champion.tags["model_uri"].removeprefix("models:/")
    logged = registry_of(released).client.get_logged_model(model)
    assert json.loads(logged.tags["mlflow.modelVersions"]) == [
        {"name": "dupn", "version": int(champion.number)}
    ]


def test_the_same_model_is_registered_once_at_a_server(released):
    before = [one.number for one in registry_of(released).versions()]
    assert steps.register(released, DAYS[2])["version"] == before[0]
    assert [one.number for one in registry_of(released).versions()] == before


def test_a_bundle_comes_back_from_a_server(released):
    bundle = f"bundles/{learning.candidate(released, DAYS[2]).key}/v1"
    served = Store(released.home).partition(bundle)
    before = len(served.manifest().files)
    shutil.rmtree(Path(served.path))
    steps.bundle(released, DAYS[2], version="1")
    served.verify()
    assert len(served.manifest().files) == before


def test_nothing_of_mlflow_lies_in_the_home(released):
    assert not Path(released.home, "mlflow").exists()


def test_representations_are_made_by_a_servers_champion(released):
    assert steps.represent(released, DAYS[2])["representation"] == 1
