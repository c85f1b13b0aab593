"""What has been decided about a night that was learnt before.

A night may be run again whatever happened since: what is registered is not trained over, and what a
person or the gate decided about it stands.
"""

from datetime import date

from infra import run_key
from infra.registry import Registry
from infra.store import Partition, Store
from infra.succession import dethroned
from pipeline.learn.learning import of_run, versions_of
from pipeline.release.incumbent import by_version, is_rival
from training import checkpoint as checkpoints
from training.ancestry import Ancestry


def overtaken(registry: Registry, key: str, parent: Partition, day: date) -> str:
    """Why a night is not learnt whose candidate is registered, if another parent is promoted since.

    Somebody has decided while it was released. Neither is that undone by a child of whom was
    champion then, nor is a registered model trained over.
    """
    now = checkpoints.run_of(parent)
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
    if of_the_key == same or mine.parent != checkpoints.run_of(parent):
        return ""
    is_now = f"is version {same[-1]}" if same else "is no version yet"
    return f"{key} was trained anew by force, and {is_now}"
