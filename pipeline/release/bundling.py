"""The bundle of a registered version, disassembled and published for those who serve it.

`register` publishes it; `promote` and `rollback` publish it again where it is not whole any more,
before the alias moves: whatever `champion` names can be served from the store alone.
`dupn bundle --version N` does it by hand. What is disassembled is the logged model that the canary
heard, so the bundle of a version never depends on what has been trained since.

MLflow may have visitors who enter versions, tags and aliases as they like, and to load a model is
to run its code: `require_known` holds a version against the store, which they cannot write.
"""

import logging
import shlex
from collections.abc import Mapping
from contextlib import suppress
from datetime import date
from typing import Any

from infra.errors import PartitionCorrupt, PartitionMissing, RegistryError
from infra.registry import MODEL, Registry, Version
from infra.scratch import scratch_folder
from infra.store import Partition, Store
from pipeline.release.incumbent import registry_of
from pipeline.settings import Settings
from pipeline.upkeep import retention
from serving import published
from serving.bundle import LOGGED

logger = logging.getLogger(__name__)


def ensure(settings: Settings, registry: Registry, number: str, model: str = "") -> None:
    """See to it that a version's bundle is published, whole; what is whole is left alone.

    A version that dupn did not register has none: whoever serves it takes it from MLflow.

    Args:
        settings: of the home.
        registry: of the version.
        number: of the version.
        model: address of a logged model that the caller knows to be the version's.

    Raises:
        RegistryError: its logged model is gone, is not one that the store knows (`require_known`),
            or answers otherwise than evaluation did.
    """
    version = registry.version(number) if number else None
    if version is None:  # the move itself says what to do
        return
    if not version.tags.get("run_key"):
        logger.warning(
            "version %s was not registered by dupn: it has no bundle in the store", number
        )
        return
    if whole(settings, version) is None:
        _publish(settings, registry, version, model)


def require_known(store: Store, version: Version, model: str = "") -> None:
    """Refuse a version whose logged model is none that the store has of its run.

    Args:
        store: its `bundles/<run key>` and `bundles/<run key>/v<number>` say what they were made of.
        version: with the tag `run_key`.
        model: another address that will do.

    Raises:
        RegistryError: somebody else entered it, or the store knows nothing of its run any more.
    """
    run = version.tags["run_key"]
    known = {model} - {""}
    own = published.place(store, run, version.number)
    for place in (own, store.partition(published.ROOT, None, run)):
        with suppress(PartitionMissing, PartitionCorrupt):
            known.add(str(place.manifest().lineage.get("model_uri")))
    if not known:
        raise RegistryError(_lost(version))
    if version.source not in known:
        raise RegistryError(
            f"version {version.number} of {MODEL} is {version.source} in MLflow, and what the "
            f"store has of its run key, bundles/{run}, was made of "
            f"{' and '.join(sorted(known))}. A model is code, and this one is not "
            "known to be dupn's: it was not loaded. See in MLflow who entered it. `dupn log` says "
            "who was champion before; `dupn promote --version N --why ...` makes that one champion "
            "again. One of dupn's own whose bundle was swept, and whose run was packed again "
            f"since, cannot be told from a stranger's: {_entered(version)}"
        )


def _lost(version: Version) -> str:
    """How a version is known again whose run the store has nothing of: its checkpoint is packed."""
    run, number = version.tags["run_key"], version.number
    day, key = _quoted(version)
    return (
        f"version {number} of {MODEL} is {version.source} in MLflow, and bundles/{run}, by which "
        "the store knows what was made of that run, is gone or cannot be read. A model is code, "
        f"so this one was not loaded. Run `dupn bundle --day {day} --run {key}`, which packs the "
        f"checkpoint once more, then `dupn bundle --version {number}`, and try again: one of "
        "dupn's own is known then if the same release packed it with the same tables, and what "
        f"somebody else entered is refused. Otherwise {_entered(version)}"
    )


def _entered(version: Version) -> str:
    """The way to the same weights where nobody can tell whose a version is.

    Its code would have to be compared, too, since whoever loads it runs that: a stranger may enter
    the very tables and weights beside code of his own.
    """
    day, key = _quoted(version)
    return (
        f"`dupn register --day {day} --run {key}` enters what the store has of that run, the same "
        "weights packed by this release, as a version of its own; promote that one by its number."
    )


def _quoted(version: Version) -> list[str]:
    """Day and run key for a shell: who enters tags may be a stranger, and a person copies them."""
    return [shlex.quote(version.tags.get(tag, "D")) for tag in ("evaluated_on", "run_key")]


def build(settings: Settings, number: str) -> Mapping[str, Any]:
    """Publish the bundle of a version (by number or alias), in place of one before.

    Raises:
        RegistryError: there is no such version of dupn's own, its logged model is gone, or it
            answers otherwise than evaluation did.
    """
    registry = registry_of(settings)
    version = registry.version(number)
    if version is None or not version.tags.get("run_key"):
        raise RegistryError(
            f"{number} is no version of {MODEL} that dupn registered. `dupn status` lists the "
            "aliases, `dupn log` the versions that were champion."
        )
    place = _publish(settings, registry, version)
    manifest = place.manifest()
    return {
        "version": version.number,
        "run": manifest.lineage["run"],
        "day": manifest.lineage["day"],
        "bundle": settings.store.address(*place.key.split("/")),
        "files": len(manifest.files),
        "bytes": sum(entry.bytes for entry in manifest.files),
    }


def whole(settings: Settings, version: Version) -> Partition | None:
    """The bundle of a version, every byte compared; None if it is absent, spoilt or of another."""
    place = published.place(settings.store, version.tags["run_key"], version.number)
    return place if published.is_whole(place, _address(version)) else None


def outdated(settings: Settings, day: date) -> list[Partition]:
    """Bundles that have outlived `retention.bundle_days` and that nobody may be serving."""
    store = settings.store
    samples = store.newest("samples")
    if samples is None:  # no day to count back from
        return []
    there = {one: one.manifest().lineage for one in published.everywhere(store)}
    days = {one: date.fromisoformat(facts["day"]) for one, facts in there.items()}
    newest = min(day, samples)
    old = retention.outdated(days.values(), newest, settings.retention.bundle_days)
    if not old:  # MLflow is asked only if there is something to remove
        return []
    named = _named(settings)
    return [one for one in there if days[one] in old and there[one]["version"] not in named]


def _named(settings: Settings) -> set[str]:
    """Versions that an alias or a share of the service names."""
    entries = registry_of(settings).look()
    aliases = entries[-1].aliases.values() if entries else ()
    return {*aliases, *settings.serve.shares}


def _publish(
    settings: Settings, registry: Registry, version: Version, model: str = ""
) -> Partition:
    require_known(settings.store, version, model)  # what is published is what the store knows
    name = published.name_of(version)
    place = published.place(settings.store, name.run, version.number)
    with scratch_folder() as scratch:
        bundle = registry.download(version.number, LOGGED, scratch)
        made = published.publish(place, bundle, name, _address(version), settings.serve.tolerance)
    size = sum(entry.bytes for entry in made.files)
    logger.info("bundle of version %s: %s, %s bytes", version.number, place.key, f"{size:,}")
    return place


def _address(version: Version) -> str:
    """Of the logged model."""
    return version.tags.get("model_uri", "")
