"""`dupn sweep`: removes state that has grown old and files of attempts that were lost.

Counted back from the newest day of samples (or the day asked for, if that is older), so a pipeline
that has stood still for a month loses nothing that its next night needs.
"""

import logging
from collections.abc import Iterator, Mapping
from datetime import date
from typing import Any

from infra.store import Partition, Store
from pipeline import retention
from pipeline.settings import Settings

logger = logging.getLogger(__name__)

STATE = ("sequences", "statistics", "vocabulary", "catalog")
KEPT_LONGER = ("samples", "events", "rejects")


def run(settings: Settings, day: date) -> Mapping[str, Any]:
    """Remove what is older than `settings.retention` says; the days and bytes by stage."""
    store, config = settings.store, settings.retention
    samples = store.days("samples")
    newest = min(day, samples[-1]) if samples else None
    removed: dict[str, Any] = {}
    freed = 0
    for stage in (*STATE, *KEPT_LONGER):
        keep = config.days_of(stage)
        old = retention.outdated(_days(store, stage), newest, keep) if newest else []
        size = sum(part.remove() for one in old for part in _partitions(store, stage, one))
        freed += size
        if old:
            removed[stage] = f"{old[0]} to {old[-1]} ({len(old)} days, {size:,} bytes)"
            logger.info("sweep %s: %s of %s", day, stage, removed[stage])
    return {"day": day.isoformat(), "removed": removed or "nothing", "bytes": freed}


def _days(store: Store, stage: str) -> Iterator[date]:
    for name in store.names(stage):
        if name.startswith("dt="):
            yield date.fromisoformat(name[3:])


def _partitions(store: Store, stage: str, day: date) -> Iterator[Partition]:
    """Those inside the folder of a day, then the folder itself."""
    for name in store.partition(stage, day).names():
        if "." not in name:
            yield store.partition(stage, day, name)
    yield store.partition(stage, day)
