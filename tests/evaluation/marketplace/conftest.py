from datetime import date
from pathlib import Path

import pytest

from evaluation.marketplace.config import MarketplaceConfig
from evaluation.marketplace.run import simulate
from infra.store import Store

FIRST = date(2026, 11, 2)
SMALL = MarketplaceConfig(users=300, items=800, categories=32, shops=40, icons=40)


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Five days of a small world."""
    store = Store(tmp_path_factory.mktemp("small"))
    simulate(store, FIRST, 5, SMALL, seed=3)
    return store


@pytest.fixture(scope="session")
def taobao() -> Path:
    return excerpt("taobao_userbehavior", "UserBehavior.csv")


@pytest.fixture(scope="session")
def tmall() -> Path:
    return excerpt("tmall_ijcai15", "user_log_format1.csv")


def excerpt(folder: str, name: str) -> Path:
    path = Path(__file__).resolve().parents[3].parent / "shared" / "data" / folder
    if not path.exists():
        pytest.skip("../shared/data is absent")
    return path / name
