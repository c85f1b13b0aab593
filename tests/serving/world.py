"""What tests of the service share: the smoke chain's champion, disassembled."""

import shutil
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from infra.store import Store
from serving import snapshot
from serving.histories import Histories, LocalHistories
from serving.served import Name, Served
from serving.service import Service
from serving.settings import ServeConfig
from serving.versions import OneFolder, Versions
from tests.chain import EVALUATED, Chain, logged_bundle

NAME = Name(version="1", line="dupn", run="dupn-test", representation="1")
BEFORE = EVALUATED - timedelta(days=1)


@dataclass(frozen=True)
class Shop:
    """A service around the chain's champion, as it stood before the evaluated day."""

    chain: Chain
    service: Service
    histories: Histories

    @property
    def served(self) -> Served:
        return self.service.versions.served["champion"]


def open_shop(
    chain: Chain,
    folder: Path,
    config: ServeConfig | None = None,
    histories: Histories | None = None,
) -> Shop:
    if histories is None:
        snapshot.build(chain.store, BEFORE, folder / "snapshot")
        histories = LocalHistories(folder / "live.db", snapshot.load(folder / "snapshot"), "UTC")
    versions = Versions(OneFolder(logged_bundle(chain), NAME), folder / "versions", 1e-4)
    versions.refresh()
    service = Service(versions, histories, config or ServeConfig(), None)
    return Shop(chain, service, histories)


def morning(chain: Chain, home: Path) -> Store:
    """The chain's home as far as a snapshot reads it, before the evaluated day."""
    for name in ("events", "vocabulary"):
        shutil.copytree(Path(chain.settings.home, name), home / name)
    day = f"sequences/dt={BEFORE}"
    shutil.copytree(Path(chain.settings.home, day), home / day)
    return Store(home)
