"""The tables that a bundle answers with: catalog and vocabulary of a day, statistics of the eve.

They lie in the bundle as they lie in the store, file by file, so that stamps tell whether those of
a day are still the same.
"""

from datetime import date

from features import vocabulary
from features.carry import ONE_DAY
from features.inputs import STATISTICS
from infra.store import Partition, Store

FOLDER = "store"
"""Of a bundle, in which they lie."""


def of_day(store: Store, day: date) -> list[Partition]:
    """Those of a day, as far as they are published.

    Raises:
        PartitionMissing: `vocabulary` has not run for that day.
    """
    wanted = [store.partition("catalog", day), store.partition("catalog", day, "items")]
    wanted += [store.partition("vocabulary", day, n) for n in vocabulary.published(store, day)]
    wanted += [store.partition("statistics", day - ONE_DAY, name) for name in STATISTICS]
    return [partition for partition in wanted if partition.exists()]


def made_again(bundle: Partition, store: Store) -> list[str]:
    """Keys of tables of its day that are others in the store by now than in a published bundle.

    What is not in the store any more says nothing.
    """
    manifest = bundle.manifest()
    day = date.fromisoformat(manifest.lineage["day"])
    names = [one.name.partition(f"/{FOLDER}/") for one in manifest.files]
    folders = {before for before, found, _ in names if found}
    if not folders or not store.partition("catalog", day).exists():
        return []
    own = Store(f"{bundle.path}/{min(folders)}/{FOLDER}")
    found = of_day(store, day)
    return [one.key for one in found if own.partition(one.key).stamp() != one.stamp()]
