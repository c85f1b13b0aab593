"""How much data a day brought, how good it was, and how long its stages took: from what is kept.

Counts are those of the manifests and of the quality reports, so watching reads no row again. A
pass's seconds are those of its slowest partition (partitions of a pass are written side by side),
on the clock, as the manifest's lineage has them; `vocabulary` writes its catalog in a second pass,
and `statistics` all that follows from its items.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import date

from evaluation.results import Figure
from evaluation.watch import counted
from infra import run_key
from infra.record import reading
from infra.store import Partition, Store
from pipeline.jobs import closing
from pipeline.quality import judged
from training import checkpoint as checkpoints

STAGES = ("events", "vocabulary", "statistics", "sequences", "samples")
AFTERWARDS: Mapping[str, Sequence[tuple[str, ...]]] = {
    "vocabulary": [("catalog",)],
    "statistics": [("statistics", closing.FIRST)],
}
"""What a stage writes in a pass of its own, when the rest is written, and its seconds are in."""
SHARES = ("reject_share", "duplicate_share")
VOLUME = "volume_ratio"


def figures(store: Store, day: date, key: str) -> Iterator[Figure]:
    """`watch_behaviors`, ..., `watch_reject_share`, ..., `watch_events_s`, ... of a day."""
    yield from counted(_rows(store, day), "rows", f"of {day}")
    quality = _quality(store, day)
    shares = {name: quality[name] for name in SHARES if name in quality}
    yield from counted(shares, "share", f"of the behaviours of {day}")
    against = {name: quality[name] for name in (VOLUME,) if name in quality}
    yield from counted(against, "ratio", "behaviours against the median of the days before")
    seconds = durations(store, day, key)
    yield from counted(seconds, "s", f"on the clock, night of {day}")
    stages = ", ".join(name.removesuffix("_s") for name in seconds)
    total = {"total_s": sum(seconds.values())} if seconds else {}
    yield from counted(total, "s", f"sum of {stages}, not of the whole night of {day}")


def durations(store: Store, day: date, key: str) -> Mapping[str, float]:
    """Seconds by stage, of data and of the update; quality and release are not kept."""
    found = {}
    for stage in STAGES:
        seconds = _seconds(store, stage, day)
        if seconds is not None:
            found[f"{stage}_s"] = seconds
    final = checkpoints.final(store, key)
    if run_key.until(key) == day.isoformat() and final.exists():
        found["update_s"] = float(final.manifest().lineage["tally"]["seconds"])
    return found


def _rows(store: Store, day: date) -> Mapping[str, int]:
    events = store.partition("events", day, "behaviors")
    rejects, samples = store.partition("rejects", day), store.partition("samples", day)
    found = {}
    if events.exists():
        found["behaviors"] = events.manifest().rows
    if rejects.exists():
        found["rejects"] = rejects.manifest().rows
    if samples.exists():
        manifest = samples.manifest()
        found["moments"] = manifest.rows
        found["candidates"] = int(manifest.counts.get("candidates", 0))
    return found


def _quality(store: Store, day: date) -> Mapping[str, float]:
    told = judged.read(store, day, "events")
    with reading(judged.report(day, "events"), judged.again(day.isoformat(), "events")):
        known = told["figures"] if told else []
        return {
            figure["name"].removeprefix("behaviors."): figure["value"]
            for figure in known
            if figure["name"].startswith("behaviors.")
        }


def _seconds(store: Store, stage: str, day: date) -> float | None:
    """Of the slowest partition of a stage and day; None if there is none."""
    root = store.partition(stage, day)
    places = [root, *(store.partition(stage, day, name) for name in root.names())]
    last = [store.partition(table, day, *names) for table, *names in AFTERWARDS.get(stage, ())]
    keys = {place.key for place in last}
    first = [_wall(place) for place in places if place.key not in keys and place.exists()]
    if not first:
        return None
    return max(first) + sum(_wall(place) for place in last if place.exists())


def _wall(place: Partition) -> float:
    return float(place.manifest().lineage.get("wall_s", 0.0))
