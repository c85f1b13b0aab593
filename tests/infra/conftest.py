"""A registry of its own for every test, on one MLflow database a module."""

import pytest

from infra.registry import MODEL, Registry
from infra.store import Store


@pytest.fixture(scope="module")
def uri(tmp_path_factory):
    return f"sqlite:///{tmp_path_factory.mktemp('mlflow')}/mlflow.db"


@pytest.fixture
def registry(uri, tmp_path):
    registry = Registry(uri, Store(tmp_path))
    yield registry
    if registry.client.search_registered_models(f"name = '{MODEL}'"):
        registry.client.delete_registered_model(MODEL)
