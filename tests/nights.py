"""Ten nights of a small marketplace with a dirty log: late rows, broken rows, rows sent twice.

`by_night` lives as the pipeline does: a night sees the raw rows of its own day only, and before
the next one everything that no declared input names is thrown away. `at_once` has all raw days
from the start and goes through them stage by stage, with another number of buckets.
"""

import shutil
from collections.abc import Iterable, Sequence
from datetime import date, timedelta
from pathlib import Path

from features import inputs
from infra.store import Partition, Store
from pipeline import steps
from pipeline.settings import Settings, load

FIRST = date(2026, 3, 2)
DAYS = [FIRST + timedelta(days=n) for n in range(10)]
WORLD = (
    "marketplace.users=24",
    "marketplace.items=300",
    "marketplace.categories=8",
    "marketplace.shops=8",
    "marketplace.icons=8",
    "marketplace.dirty_share=0.1",
    "marketplace.late_share=0.1",
    "marketplace.logged_other=0.7",
    "marketplace.parts=1",
)


def settings(home: Path, buckets: int = 1, *pairs: str) -> Settings:
    return load("smoke", str(home), [*WORLD, f"beam.buckets={buckets}", *pairs])


def partitions(store: Store, day: date) -> list[Partition]:
    """All that a day of the data plane publishes, after events."""
    return [part for stage in inputs.STAGES for part in inputs.written(store, stage, day)]


def digests(store: Store, days: Iterable[date]) -> dict[str, str]:
    return {part.key: part.digest() for day in days for part in partitions(store, day)}


def by_night(raw: Store, mine: Settings, days: Sequence[date] = DAYS) -> dict[str, str]:
    """Digests of everything published, night after night, each in a home swept bare."""
    found: dict[str, str] = {}
    for day in days:
        copy(raw, mine.store, [f"raw/dt={day}"])
        for stage in ("events", *inputs.STAGES):
            getattr(steps, stage)(mine, day)
        found |= digests(mine.store, [day])
        keep_only(mine.store, tomorrow(mine.store, day))
    return found


def tomorrow(store: Store, day: date) -> list[str]:
    """What the stages of the next day read of this day and the days before, by key."""
    following = day + timedelta(days=1)
    return [key for stage in inputs.STAGES for key in inputs.stamps(store, stage, following)]


def at_once(mine: Settings, days: Sequence[date] = DAYS) -> None:
    """Stage by stage over days of raw that are all there; the last stage even backwards."""
    for day in reversed(days):
        steps.events(mine, day)
    for day in days:
        steps.vocabulary(mine, day)
        steps.statistics(mine, day)
    for day in days:
        steps.sequences(mine, day)
    for day in reversed(days):
        steps.samples(mine, day)


def copy(source: Store, target: Store, keys: Iterable[str]) -> None:
    """Folders with all that lies in them."""
    for key in keys:
        shutil.copytree(Path(source.root, key), Path(target.root, key), dirs_exist_ok=True)


def copy_partitions(source: Store, target: Store, keys: Iterable[str]) -> None:
    """The files of partitions, without partitions inside them."""
    for key in keys:
        Path(target.root, key).mkdir(parents=True, exist_ok=True)
        for file in Path(source.root, key).iterdir():
            if file.is_file():
                shutil.copy(file, Path(target.root, key, file.name))


def keep_only(store: Store, keys: Sequence[str]) -> None:
    """Every other partition is gone, raw included."""
    for manifest in sorted(Path(store.root).rglob("_manifest.json")):
        folder = manifest.parent
        if folder.relative_to(store.root).as_posix() not in keys:
            for file in folder.iterdir():
                if file.is_file():
                    file.unlink()
