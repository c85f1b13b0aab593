"""One warm process, and the home of the smoke chain as it stood before a night."""

import shutil

import pytest

from tests import chain as chains
from tests.drills import drill
from tests.drills.homes import Homes


@pytest.fixture(scope="session")
def warm(tmp_path_factory):
    with drill.warm_process(tmp_path_factory.mktemp("warm")) as process:
        yield process


@pytest.fixture(scope="session")
def homes(tmp_path_factory, chain):
    """Copies of the smoke chain: a champion trained on three days, and the data of the fourth."""
    return Homes(tmp_path_factory.mktemp("homes"), chain.settings.home)


@pytest.fixture(scope="session")
def places(tmp_path_factory, chain, homes):
    """Two of these, for drills that are shared out."""
    return [homes, Homes(tmp_path_factory.mktemp("beside"), chain.settings.home)]


@pytest.fixture
def data(tmp_path, chain):
    """The data of the smoke chain alone, without models and registry."""
    home = tmp_path / "data"
    chains.copy_data(chain, home)
    yield home
    shutil.rmtree(home)
