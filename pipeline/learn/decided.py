"""What has been decided about a night that was learnt before.

A night may be run again whatever happened since: what is registered is not trained over, and what a
person or the gate decided about it stands.
"""

import logging
from datetime import date

from infra import run_key
from infra.errors import TrainingError
from infra.registry import Registry, Version
from infra.store import Partition, Store
from infra.succession import before, dethroned, is_it
from pipeline.learn.learning import of_run, require_free, versions_of
from pipeline.release.incumbent import by_version, is_rival, replaced
from training import checkpoint as checkpoints
from training.ancestry import Ancestry
from training.run import Run

logger = logging.getLogger(__name__)


def overtaken(registry: Registry, key: str, parent: Partition, day: date) -> str:
    """Why a night is not learnt whose candidate is registered, if another parent is promoted since.

    Somebody has decided while it was released. Neither is that undone by a child of whom was
    champion then, nor is a registered model trained over.
    """
    now = run_key.of_checkpoint(parent.key)
    if Ancestry.of_lineage(parent.manifest().lineage).has(day):
        return ""
    for version in reversed(registry.versions()):  # one may have been trained over by force
        then = version.tags.get("parent", "")
        if version.tags.get("run_key") == key and then not in ("", now):
            again = by_version(version.number, rival=is_rival(registry, run_key.line(key)))
            return (
                f"{key} is version {version.number} of the registry already, trained on from "
                f"{then}, and now {now} is promoted, from which the next night learns {day} (to "
                f"promote the other all the same: {again})"
            )
    return ""


def withdrawn(store: Store, registry: Registry, key: str) -> bool:
    """Whether a candidate was champion and is it no more, which its gate says: its night ends so.

    The champion answers the day then, and is refreshed, represented and watched.
    """
    if not checkpoints.final(store, key).exists():
        return False
    known = versions_of(registry, of_run(store, key))
    return bool(known) and dethroned(registry.look(), known[-1].number, key) is not None


def trained_anew(store: Store, registry: Registry, parent: Partition, key: str) -> str:
    """Of a version's night that was trained anew by force, from who is promoted, that it was.

    Its gate is next, whether it has a version of its own by now or not. Empty of any other: without
    force nothing else is learnt under the key of a version.
    """
    if not checkpoints.final(store, key).exists():
        return ""
    mine = of_run(store, key)
    same = [one.number for one in versions_of(registry, mine)]
    of_the_key = [one.number for one in registry.versions() if one.tags.get("run_key") == key]
    if of_the_key == same or mine.parent != run_key.of_checkpoint(parent.key):
        return ""
    is_now = f"is version {same[-1]}" if same else "is no version yet"
    return f"{key} was trained anew by force, and {is_now}"


def require_place(store: Store, registry: Registry, run: Run, *, forced: str, again: bool) -> str:
    """What a night's update would take the place of; by force it may be a version's checkpoint.

    That of a version to which a rollback goes may not: it would be served, and no night could go
    on from it.

    Args:
        store: has the checkpoints.
        registry: knows whose they are.
        run: of the update, just made.
        forced: why it is learnt all the same.
        again: whether a finished run is left as it is.

    Returns:
        What is lost, in a sentence; empty: nothing is.

    Raises:
        TrainingError: it would replace a registered version, and nobody forces it; or one that is
            gone back to, or named.
    """
    if not forced:
        require_free(
            run,
            registry,
            "What it would learn now is not lost: the next night learns it. To replace it all the "
            "same, give a reason with --force --why.",
        )
        return ""
    if not run.final.exists() or (again and not run.differences()):
        return ""
    mine = [one for one in registry.versions() if one.tags.get("run_key") == run.name]
    own = [one for one in mine if not replaced(store, run.name, one.run_id)]
    if not own:
        return ""
    _require_expendable(registry, run.name, own)
    told = (
        f"{run.name} was version {own[-1].number} of the registry, whose checkpoint another model "
        "takes the place of by force: the version may be served as before, and no night can go on "
        "from it."
    )
    logger.warning("%s", told)
    return told


def _require_expendable(registry: Registry, key: str, own: list[Version]) -> None:
    """Neither an alias names one of the versions, nor does a rollback go to one."""
    places = _places(registry)
    for version in own:
        if place := places.get(version.number):
            raise TrainingError(
                f"{key} is version {version.number} of the registry, {place}: trained anew by "
                "force, its checkpoint would be another model's, from which no night could go on "
                "after that. Nothing was trained. What the promoted version has not learnt of the "
                "day, the next night learns. To train it anew all the same, let another version "
                "have that place first: the next promotion does, or a hand that moves the alias in "
                "MLflow."
            )


def _places(registry: Registry) -> dict[str, str]:
    """By number, what versions are from whose checkpoints nights go on, or may have to."""
    entries = registry.look()
    there = {one.number: one.tags.get("run_key", "") for one in registry.versions()}
    named = entries[-1].aliases if entries else {}
    places = {number: f"which is {alias}" for alias, number in named.items()}
    for number in before(entries):
        if number in there and is_it(entries, number, there[number]):
            return {**places, number: "to which `dupn rollback` goes (previous)"}
    return places
