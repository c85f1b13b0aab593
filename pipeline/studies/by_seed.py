"""Studies whose cell is a whole seed: the drift study, and the A/B study in twin worlds.

The world, data and models of a cell lie under `study/<name>/seed-<n>-<digest>` and go when it is
finished. One that is cut off goes on where it was: neither a finished day nor a finished training
is done again.
"""

import shutil
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, ClassVar

from evaluation.studies import abtest, abtest_report, drift, drift_report
from evaluation.studies.protocol import Setup
from infra.progress import Progress
from pipeline.abtest.closed_loop import INTERFERENCE
from pipeline.settings import Settings
from pipeline.studies.abtest_world import AbtestWorld
from pipeline.studies.base import C, Study, plain
from pipeline.studies.drift_world import DriftWorld
from pipeline.studies.worlds import SMALL
from training.model.network import REVISION

QUICK_DRIFT = drift.Shape(trained=3, nights=4, every=2)
QUICK_ABTEST = abtest.Shape(trained=3, lived=2)


class BySeed(Study[C]):
    """A study with one cell a seed."""

    deciding: ClassVar[tuple[str, ...]] = (
        "seed", "first_day", "marketplace", "events", "vocabulary", "statistics", "sequences",
        "samples", "model", "train", "update", "evaluate",
    )  # fmt: skip
    """Settings that decide a cell."""

    @abstractmethod
    def world(self, settings: Settings, digest: str, progress: Progress) -> C:
        """Run a cell in a home of its own."""

    def stages(self) -> Sequence[Sequence[str]]:
        """All seeds at once."""
        return [[f"seed-{seed}" for seed in range(1, self.seeds + 1)]]

    @property
    @abstractmethod
    def shape(self) -> Any:
        """How many days of what: a dataclass."""

    def decides(self, key: str) -> Any:
        """Settings, the seed among them, days, and the network."""
        return [plain(self._mine(key), self.deciding), asdict(self.shape), REVISION]

    def work(self, key: str, digest: str, progress: Progress) -> C:
        """A seed from nothing, or from where it was cut off."""
        settings = self._mine(key).model_copy(update={"home": self._home(key)})
        return self.world(settings, digest, progress)

    def clean(self, key: str) -> None:
        """Its data and models; moved away first, so that nobody goes on with half of it."""
        home = Path(self._home(key))
        gone = home.with_name(f".{home.name}.gone")
        shutil.rmtree(gone, ignore_errors=True)
        if home.exists():
            home.rename(gone)
            shutil.rmtree(gone)

    @property
    def setup(self) -> Setup:
        """What reports say of worlds and network."""
        first = self.stages()[0][0]
        return Setup(network=self.network, market=self._mine(first).marketplace)

    def cells(self) -> list[C]:
        """All of them."""
        return self.finished(self.stages()[0])

    def _home(self, key: str) -> str:
        return self.store.address("study", self.name, f"{key}-{self.digest(key)}")

    def _mine(self, key: str) -> Settings:
        update: dict[str, Any] = {"seed": int(key.rpartition("-")[2])}
        if self.quick:
            update["marketplace"] = self.settings.marketplace.model_copy(update=SMALL)
        return self.settings.model_copy(update=update)


class DriftStudy(BySeed[drift.Cell]):
    """Frozen, nightly and full retrain against the marketplace's drift."""

    title = preset = "drift"

    @property
    def shape(self) -> drift.Shape:
        """How many days of what."""
        return QUICK_DRIFT if self.quick else drift.Shape()

    def kind(self, key: str) -> type[drift.Cell]:
        """A seed's scores and costs."""
        del key
        return drift.Cell

    def steps(self, key: str) -> int:
        """Days."""
        del key
        return self.shape.days

    def world(self, settings: Settings, digest: str, progress: Progress) -> drift.Cell:
        """All three arms."""
        return DriftWorld(settings, self.shape, progress).cell(digest)

    def report(self) -> Mapping[str, Any]:
        """AUC by day, contrasts and costs."""
        return drift_report.write(self.store, self.name, self.shape, self.cells(), self.setup)


class AbtestStudy(BySeed[abtest.Cell]):
    """DUPN against its predecessor and the logging policy in twin worlds (Table 3)."""

    title = preset = "abtest"
    deciding = (*BySeed.deciding, "wide", "living")

    @property
    def shape(self) -> abtest.Shape:
        """How many days of what."""
        return QUICK_ABTEST if self.quick else abtest.Shape()

    def kind(self, key: str) -> type[abtest.Cell]:
        """A seed's lived days."""
        del key
        return abtest.Cell

    def steps(self, key: str) -> int:
        """Days of all worlds."""
        del key
        return self.shape.steps

    def world(self, settings: Settings, digest: str, progress: Progress) -> abtest.Cell:
        """Three twins and a split world."""
        return AbtestWorld(settings, self.shape, progress).cell(digest)

    def report(self) -> Mapping[str, Any]:
        """Uplifts by day, and Figure 10."""
        share = self.settings.living.exploration
        explored = f"{share:.0%} of the models' pages are dealt at random, so that logs can teach."
        notes = [INTERFERENCE, explored]
        return abtest_report.write(
            self.store, self.name, self.shape, self.cells(), notes, self.setup
        )
