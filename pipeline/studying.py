"""`dupn study NAME`: many runs, then their analysis in `evaluation.studies`.

A seed is a cell: its world, data and models lie under `study/<name>/seed-<n>` and go when the cell
is finished; its figures stay under `reports/study/<name>/cells/`. A study that is cut off goes on
where it was: a finished cell is not run again, and neither is a finished day or training of the
cell that was running.
"""

import hashlib
import shutil
from collections.abc import Callable, Mapping
from typing import Any

from evaluation.studies import drift_report
from evaluation.studies.drift import Cell, Shape
from infra.errors import ConfigError
from infra.progress import track
from pipeline.drift_world import DriftWorld
from pipeline.settings import Settings

QUICK = Shape(trained=3, nights=4, every=2)
DECIDING = (
    "seed", "first_day", "marketplace", "events", "vocabulary", "statistics", "sequences",
    "samples", "model", "train", "update", "evaluate",
)  # fmt: skip
"""Settings."""
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
    name, shape = ("drift-quick", QUICK) if quick else ("drift", Shape())
    if quick:
        small = settings.marketplace.model_copy(update=QUICK_SIZE)
        settings = settings.model_copy(update={"marketplace": small})
    store, cells = settings.store, []
    with track(name, total=seeds * shape.days, unit="days") as progress:
        for seed in range(1, seeds + 1):
            mine = settings.model_copy(update={"seed": seed})
            digest = _digest(mine)
            key = f"reports/study/{name}/cells/seed-{seed}.json"
            cell = _kept(store.get(key), digest)
            if cell is None:
                home = store.address("study", name, f"seed-{seed}-{digest}")
                world = DriftWorld(mine.model_copy(update={"home": home}), shape, progress)
                cell = world.cell(digest)
                store.put(key, cell.model_dump_json())
                shutil.rmtree(home)
            else:
                progress.advance(shape.days)
            cells.append(cell)
    return drift_report.write(store, name, shape, cells)


def _digest(settings: Settings) -> str:
    """Changes with what decides a cell, and with nothing else."""
    plain = settings.model_dump_json(include=set(DECIDING))
    return hashlib.sha256(plain.encode()).hexdigest()[:12]


def _kept(content: bytes | None, digest: str) -> Cell | None:
    """A finished cell of these settings."""
    cell = Cell.model_validate_json(content) if content else None
    return cell if cell is not None and cell.settings == digest else None


STUDIES: Mapping[str, Callable[[Settings, int, bool], Mapping[str, Any]]] = {"drift": _drift}
