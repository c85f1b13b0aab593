"""A shop whose service may be asked, and a home whose registry may be changed."""

import shutil
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from serving import app as http
from serving.settings import ServeConfig
from tests.chain import smoke
from tests.serving.history_stores import KINDS
from tests.serving.world import open_shop

CONFIG = ServeConfig(max_candidates=300, max_body_bytes=20_000, top_k=10, recall=50)


@pytest.fixture(scope="module")
def shop(chain, tmp_path_factory):
    return open_shop(chain, tmp_path_factory.mktemp("shop"), CONFIG)


@pytest.fixture(scope="module")
def client(shop):
    with TestClient(http.create(shop.service)) as client:
        yield client


@pytest.fixture(scope="module")
def ids(shop):
    return shop.served.ids.drop_null().to_pylist()


@pytest.fixture(scope="module")
def user(shop):
    table = shop.chain.store.partition("samples", shop.histories.snapshot.day).table(["user_id"])
    return table["user_id"][0].as_py()


@pytest.fixture(params=KINDS, scope="module")
def kind(request):
    """Of a history store."""
    return request.param


@pytest.fixture
def home(chain, tmp_path):
    """A home that may be changed; its MLflow still finds its files."""
    for name in ("identity", "mlflow/mlflow.db", "ledger", "bundles"):
        source, target = Path(chain.settings.home, name), tmp_path / "home" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copytree(source, target) if source.is_dir() else shutil.copy(source, target)
    return smoke(tmp_path / "home")
