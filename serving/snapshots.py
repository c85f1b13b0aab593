"""The snapshots of a machine: one of the newest `sequences`, built once for all its processes.

A folder is named by its day and by what it was built from, so a day that is published anew gets
another one; those used last stay, since a process may still have to go on from one.
"""

import logging
import os
import shutil
from datetime import date
from pathlib import Path

from features.property import EPOCH
from infra.errors import PartitionCorrupt
from infra.files import alone
from infra.store import Store
from serving import snapshot
from serving.snapshot import Snapshot

logger = logging.getLogger(__name__)

KEPT = 2
"""Snapshots that stay on a machine."""


def newest(store: Store, work: Path) -> Snapshot:
    """The snapshot of the newest day of `sequences`, built once a machine; empty before the first.

    Processes that ask at once wait for the one that builds.

    Args:
        store: of the `sequences`.
        work: a local folder; they lie under `snapshots` of it.
    """
    place = work / "snapshots"
    with alone(place / "building"):  # until it is loaded: nobody clears it away in between
        day = _newest(store)
        if day is None:
            return snapshot.empty(EPOCH)
        folder = place / f"{day.isoformat()}-{snapshot.stamp(store, day)}"
        found = _whole(folder)
        if found is None:
            snapshot.build(store, day, folder)
            found = snapshot.load(folder)
        os.utime(folder)
        _tidy(place)
    return found


def newer(store: Store, work: Path, held: Snapshot) -> Snapshot | None:
    """The snapshot to go on from after one: of a later day, or its day's own, published anew.

    None where there is no such `sequences`.
    """
    day = _newest(store)
    if day is None or day < held.day:
        return None
    if day == held.day and snapshot.stamp(store, day) == held.stamp:
        return None
    found = newest(store, work)
    return found if found.day >= held.day else None


def _whole(folder: Path) -> Snapshot | None:
    """The snapshot in a folder; None where there is none that can be read."""
    if not folder.exists():
        return None
    try:
        return snapshot.load(folder)
    except PartitionCorrupt as error:
        logger.warning("%s It is built again.", error)
        return None


def _newest(store: Store) -> date | None:
    """The newest day whose `sequences` are published."""
    for day in reversed(store.dates("sequences")):
        if store.partition("sequences", day, "history").exists():
            return day
    return None


def _tidy(snapshots: Path) -> None:
    """Only those used last stay; what a process has mapped of others stays readable."""
    found = [one for one in snapshots.iterdir() if one.is_dir()]
    for old in sorted(found, key=lambda one: one.stat().st_mtime_ns)[:-KEPT]:
        shutil.rmtree(old, ignore_errors=True)
