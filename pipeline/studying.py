"""`dupn study NAME`: many runs, then their analysis in `evaluation.studies`.

A seed is a cell: its world, data and models lie under `study/<name>/seed-<n>` and go when the cell
is finished; its figures stay under `reports/study/<name>/cells/`. A study that is cut off goes on
where it was: a finished cell is not run again, and neither is a finished day or training of the
cell that was running.
"""

import hashlib
import shutil
from collections.abc import Callable, Mapping
from typing import Any, Generic, TypeVar

from evaluation.studies import abtest, abtest_report, drift, drift_report
from infra.errors import ConfigError
from infra.progress import Progress, track
from pipeline.abtest_world import AbtestWorld
from pipeline.drift_world import DriftWorld
from pipeline.living import INTERFERENCE
from pipeline.settings import Settings

QUICK = drift.Shape(trained=3, nights=4, every=2)
QUICK_ABTEST = abtest.Shape(trained=3, lived=2)
DECIDING = (
    "seed", "first_day", "marketplace", "events", "vocabulary", "statistics", "sequences",
    "samples", "model", "train", "update", "evaluate",
)  # fmt: skip
"""Settings that decide a cell."""
DECIDING_ABTEST = (*DECIDING, "wide", "living")
C = TypeVar("C", drift.Cell, abtest.Cell)
QUICK_SIZE = {"users": 200, "items": 600, "categories": 24, "shops": 40, "icons": 40}


def run(settings: Settings, name: str, *, seeds: int, quick: bool) -> Mapping[str, Any]:
    """Run a study, or what is left of it; its report.

    Args:
        settings: of the study's preset.
        name: one of `STUDIES`.
        seeds: cells; they are the seeds 1, 2, ...
        quick: a size that only shows that it runs, reported under `<name>-quick`.
    """
    if name not in STUDIES:
        raise ConfigError(f"study {name} does not exist. Choose one of {', '.join(STUDIES)}.")
    if not settings.store.is_local:
        raise ConfigError(f"a study works on a local disk. Give --home, not {settings.home}.")
    return STUDIES[name](settings, seeds, quick)


def _drift(settings: Settings, seeds: int, quick: bool) -> Mapping[str, Any]:
    """Frozen, nightly and full retrain against the marketplace's drift."""
    name, shape = ("drift-quick", QUICK) if quick else ("drift", drift.Shape())
    made = _Cells[drift.Cell](settings, name, DECIDING, drift.Cell)
    cells = made.all(
        seeds, shape.days, quick, lambda mine, told: DriftWorld(mine, shape, told).cell
    )
    return drift_report.write(settings.store, name, shape, cells)


def _abtest(settings: Settings, seeds: int, quick: bool) -> Mapping[str, Any]:
    """DUPN against its predecessor and the logging policy in twin worlds (Table 3)."""
    name, shape = ("abtest-quick", QUICK_ABTEST) if quick else ("abtest", abtest.Shape())
    made = _Cells[abtest.Cell](settings, name, DECIDING_ABTEST, abtest.Cell)
    cells = made.all(
        seeds, shape.steps, quick, lambda mine, told: AbtestWorld(mine, shape, told).cell
    )
    share = settings.living.exploration
    explored = f"{share:.0%} of the models' pages are dealt at random, so that logs can teach."
    return abtest_report.write(settings.store, name, shape, cells, [INTERFERENCE, explored])


class _Cells(Generic[C]):
    """The cells of a study, finished ones read and the others run.

    Args:
        settings: of the study.
        name: of the study, `-quick` included.
        deciding: names of the settings that decide a cell.
        kind: of the cells.
    """

    def __init__(
        self, settings: Settings, name: str, deciding: tuple[str, ...], kind: type[C]
    ) -> None:
        self.settings, self.name, self.deciding = settings, name, deciding
        self.kind: type[C] = kind

    def all(
        self,
        seeds: int,
        steps: int,
        quick: bool,
        world: Callable[[Settings, Progress], Callable[[str], C]],
    ) -> list[C]:
        """One a seed.

        Args:
            seeds: how many; they are the seeds 1, 2, ...
            steps: of a cell, for the progress.
            quick: whether worlds are small.
            world: what runs a cell under a digest, given its settings.
        """
        settings, cells = self.settings, []
        if quick:
            small = settings.marketplace.model_copy(update=QUICK_SIZE)
            settings = settings.model_copy(update={"marketplace": small})
        with track(self.name, total=seeds * steps, unit="days") as progress:
            for seed in range(1, seeds + 1):
                mine = settings.model_copy(update={"seed": seed})
                digest = _digest(mine, self.deciding)
                cell = self._kept(seed, digest)
                if cell is None:
                    home = settings.store.address("study", self.name, f"seed-{seed}-{digest}")
                    run = world(mine.model_copy(update={"home": home}), progress)
                    cell = run(digest)
                    settings.store.put(self._key(seed), cell.model_dump_json())
                    shutil.rmtree(home)
                else:
                    progress.advance(steps)
                cells.append(cell)
        return cells

    def _kept(self, seed: int, digest: str) -> C | None:
        """A finished cell of these settings."""
        content = self.settings.store.get(self._key(seed))
        cell = self.kind.model_validate_json(content) if content else None
        return cell if cell is not None and cell.settings == digest else None

    def _key(self, seed: int) -> str:
        return f"reports/study/{self.name}/cells/seed-{seed}.json"


def _digest(settings: Settings, deciding: tuple[str, ...]) -> str:
    """Changes with what decides a cell, and with nothing else."""
    plain = settings.model_dump_json(include=set(deciding))
    return hashlib.sha256(plain.encode()).hexdigest()[:12]


STUDIES: Mapping[str, Callable[[Settings, int, bool], Mapping[str, Any]]] = {
    "drift": _drift,
    "abtest": _abtest,
}
