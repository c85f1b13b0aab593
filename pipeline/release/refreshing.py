"""`dupn refresh`: what answers in production gets the tables of the day.

A bundle answers with the tables of the day that it was evaluated on. While the champion is kept,
those would age by a day a night, and items that came since would be unknown to the service. So at
the end of every night champion and challenger are published anew, in their places: the same
weights, with the catalog and the vocabulary of the day and the statistics of the day before, which
are those that the day's samples were made with. The network, whole, answers moments of those
samples; the disassembled one must answer the same, here and in every service that takes it over.

Costs what a bundle costs (it grows with the catalog), and a few hundred moments.
"""

import json
import logging
from collections.abc import Mapping
from datetime import date
from typing import Any

import numpy as np

from evaluation import sampled
from features.carry import ONE_DAY
from features.raw.dataset import load as load_dataset
from infra.errors import RegistryError
from infra.registry import Version
from infra.scratch import scratch_folder
from infra.store import Partition
from pipeline.release import bundling, recording
from pipeline.release.incumbent import registry_of, vacancy
from pipeline.settings import Settings
from serving import bundle as bundles
from serving import published, tables
from training.model.dupn import Dupn

logger = logging.getLogger(__name__)

ALIASES = ("champion", "challenger")
MOMENTS = 500
"""Of the day, from which those that are recorded are drawn."""
NOBODY = np.empty(0, np.uint64)


def run(settings: Settings, day: date) -> Mapping[str, Any]:
    """Publish the bundles of champion and challenger with the tables of a day.

    One that has them, as they are now, or newer ones is left alone, so a release that has just
    promoted has nothing to do.

    Raises:
        RegistryError: nobody of dupn's own is champion; or a bundle answers otherwise than its
            network, and the one before stays.
        PartitionMissing: the day has no samples, catalog or vocabulary, or the day before no
            statistics.
    """
    registry = registry_of(settings)
    found: dict[str, str] = {}
    entries = registry.look()
    for alias in ALIASES:
        number = entries[-1].aliases.get(alias, "") if entries else ""
        version = registry.version(number) if number else None
        if version is None or not version.tags.get("run_key"):
            continue
        bundling.ensure(settings, registry, version.number)
        found[alias] = _refreshed(settings, version, day)
    if "champion" not in found:
        raise RegistryError(
            "no version of dupn's own is champion, so there is no bundle to refresh. "
            f"{vacancy(entries, registry) or 'Run `dupn promote` first, or see `dupn log`.'}"
        )
    return {"day": day.isoformat(), **found}


def _refreshed(settings: Settings, version: Version, day: date) -> str:
    """The day whose tables the version answers with from now on."""
    store = settings.store
    place = published.place(store, version.tags["run_key"], version.number)
    before = str(place.manifest().lineage["day"])
    if before > day.isoformat():
        return before
    if before == day.isoformat():
        others = tables.made_again(place, store.resolved())
        if not others:
            return before
        logger.info("%s was made again since version %s took it", others[0], version.number)
    zone = load_dataset(settings.dataset).time_zone
    model = published.network(place)
    for partition in _wanted(settings, day):
        partition.require()
    recorded = _recorded(settings, day, zone, model)
    if not recorded:  # nothing could be compared
        logger.warning("%s has no moment with candidates: version %s keeps the tables of %s",
                       day, version.number, before)  # fmt: skip
        return before
    with scratch_folder() as scratch:
        folder = scratch / "bundle"
        bundles.write(folder, model, store, day, key=version.tags["run_key"], zone=zone)
        (folder / bundles.RECORDED).write_text(json.dumps(recorded))
        name, uri = published.name_of(version), version.tags.get("model_uri", "")
        published.publish(place, folder, name, uri, settings.serve.tolerance)
    logger.info(
        "version %s answers with the tables of %s (before: %s)", version.number, day, before
    )
    return day.isoformat()


def _recorded(settings: Settings, day: date, zone: str, model: Dupn) -> list[dict[str, Any]]:
    """Questions of the day with the network's answers, drawn once more if none has candidates."""
    store = settings.store
    drawn = sampled.read(store, day, MOMENTS, settings.seed)
    count = settings.canary.requests
    if found := recording.record(store, day, zone, drawn.ask(model), count):
        return found
    among = np.concatenate([NOBODY, *recording.askers(store, day, zone)])
    if not len(among):
        return []
    drawn = sampled.read(store, day, MOMENTS, settings.seed, among)
    return recording.record(store, day, zone, drawn.ask(model), count)


def _wanted(settings: Settings, day: date) -> list[Partition]:
    """What the tables come from, by what names them."""
    store = settings.store
    return [
        store.partition("samples", day),
        store.partition("catalog", day),
        store.partition("statistics", day - ONE_DAY, "item"),
    ]
