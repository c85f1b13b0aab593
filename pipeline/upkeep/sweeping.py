"""`dupn sweep`: removes state that has grown old, and files of lost attempts (`lost_files`).

Counted back from the newest day of samples (or the day asked for, if that is older), so a pipeline
that has stood still for a month loses nothing that its next night needs. Disassembled bundles go
too, but never those of champion, previous and challenger. Checkpoints, reports and the rows of raw
are never touched.
"""

import logging
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

from features.carry import ONE_DAY
from features.raw.raw_table import SNAPSHOTS
from infra import run_key
from infra.store import Partition, Store
from pipeline.release import incumbent
from pipeline.settings import Settings
from pipeline.upkeep import lost_files, retention
from training.ancestry import Ancestry

logger = logging.getLogger(__name__)

WITH_SAMPLES = ("samples", "vocabulary", "catalog")
"""Stages of which nothing goes that somebody has still to learn from."""


def run(settings: Settings, day: date) -> Mapping[str, Any]:
    """Remove what is older than `settings.retention` says; the days and bytes by stage."""
    store = settings.store
    removed: dict[str, str] = {}
    freed = 0
    for stage in lost_files.STAGES:
        old = outdated(settings, stage, day)
        kept = _in_force(store, old) if stage == "events" else set()
        size = sum(
            part.remove()
            for one in old
            for part in _partitions(store, stage, one)
            if part not in kept
        )
        freed += size
        if size:
            removed[stage] = f"{old[0]} to {old[-1]} ({len(old)} days, {size:,} bytes)"
            logger.info("sweep %s: %s of %s", day, stage, removed[stage])
    if store.names("bundles"):
        from pipeline.release import bundling  # imports torch

        old_bundles = bundling.outdated(settings, day)
        size = sum(one.remove() for one in old_bundles)
        freed += size
        if old_bundles:
            removed["bundles"] = f"{len(old_bundles)} versions ({size:,} bytes)"
            logger.info("sweep %s: bundles of %s", day, removed["bundles"])
    return {
        "day": day.isoformat(),
        "removed": removed or "nothing",
        "bytes": freed,
        "lost files": lost_files.sweep(store, settings.retention.attempt_hours * 3600),
    }


def outdated(settings: Settings, stage: str, day: date) -> list[date]:
    """The days of a stage that have outlived their retention, oldest first."""
    store, keep = settings.store, settings.retention.days_of(stage)
    newest = store.newest("samples") if keep is not None else None
    if newest is None:
        return []
    found = retention.outdated(store.dates(stage), min(day, newest), keep)
    if stage in WITH_SAMPLES and found:
        wanted = _wanted(settings, stage, found)
        found = [one for one in found if one not in wanted]
    return found


def _wanted(settings: Settings, stage: str, days: Sequence[date]) -> set[date]:
    """The days of samples, or of tables, that an old day which has still to be learnt needs.

    Its moments from before midnight are looked up in the tables of the day before.
    """
    if stage == "samples":
        return _unlearnt(settings, days)
    there = set(settings.store.days("samples"))
    kept = there & _unlearnt(settings, [*days, days[-1] + ONE_DAY])
    return kept | {one - ONE_DAY for one in kept}


def _unlearnt(settings: Settings, days: Sequence[date]) -> set[date]:
    """The days of which one of these has still to learn, if only held-out users.

    Champion, challenger, and `previous`, from which nights go on after a rollback. All of them
    where nobody is champion yet, or nothing is known of one of the three; none where no model of
    any line was begun.
    """
    store = settings.store
    if not any(map(run_key.is_one, store.names("checkpoints"))):
        return set()
    registry = incumbent.registry_of(settings)
    champion = registry.version("champion")
    others = [one for one in map(registry.version, ("challenger", "previous")) if one]
    wanted: set[date] = set()
    for version in [champion, *others]:
        key = version.tags.get("run_key", "") if version else ""
        final = store.partition("checkpoints", None, key, "final")
        replaced = version and incumbent.replaced(store, key, version.run_id)
        if not key or not final.exists() or replaced:
            return set(days)
        ancestry = Ancestry.of_lineage(final.manifest().lineage)
        wanted |= {part.day for part in ancestry.waiting(max(days))}
    return wanted


def _in_force(store: Store, old: list[date]) -> set[Partition]:
    """The newest snapshots among old days: they hold until there is a newer one."""
    found = [store.latest("events", old[-1], name) for name in SNAPSHOTS] if old else []
    return {one for one in found if one is not None}


def _partitions(store: Store, stage: str, day: date) -> list[Partition]:
    """Those inside the folder of a day, then the folder itself."""
    own = store.partition(stage, day)
    inner = {name: store.partition(stage, day, name) for name in own.names()}
    # What has a point in its name is a file, but for columns of a shop: only there it is looked at.
    odd = stage == "vocabulary"
    return [*(one for name, one in inner.items() if "." not in name or (odd and one.exists())), own]
