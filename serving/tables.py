"""The tables that a bundle answers with: catalog and vocabulary of a day, statistics of the eve.

They lie in the bundle as they lie in the store, file by file, so that stamps tell whether those of
a day are still the same.
"""

from datetime import date

from features import carry, vocabulary
from features.carry import ONE_DAY
from features.inputs import STATISTICS
from features.schemas import FEATURES
from infra.errors import PartitionMissing
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


def require_statistics(store: Store, day: date) -> None:
    """Refuse to pack tables of a day without the statistics of its eve, unless its log begins then.

    They are swept long before the day's samples are. A bundle without them would load, and answer
    as if nothing were known of any item.

    Raises:
        PartitionMissing: they are gone; how they come back.
    """
    eve = day - ONE_DAY
    parts = [store.partition("statistics", eve, name) for name in STATISTICS]
    lost = [one.key for one in parts if not one.exists()]
    if lost and carry.oldest(store, day):
        raise PartitionMissing(
            f"{lost[0]} is not published (any more): a bundle of {day} would know no counts, "
            "conversion, recency or LR-CTR of any item, and answer otherwise than evaluation did. "
            f"Run `dupn rebuild --day {eve}` first, which builds it from events."
        )


def made_again(bundle: Partition, store: Store) -> list[str]:
    """Keys of tables of its day that are others in the store by now than in a published bundle.

    What is not in the store any more says nothing, but for a vocabulary whose column the day's
    catalog does not name any more: it was taken back.
    """
    manifest = bundle.manifest()
    day = date.fromisoformat(manifest.lineage["day"])
    names = [one.name.partition(f"/{FOLDER}/") for one in manifest.files]
    folders = {before for before, found, _ in names if found}
    if not folders or not store.partition("catalog", day).exists():
        return []
    own = Store(f"{bundle.path}/{min(folders)}/{FOLDER}")
    found = of_day(store, day)
    others = [one.key for one in found if own.partition(one.key).stamp() != one.stamp()]
    then = own.partition("vocabulary", day).names()
    back = sorted({*then} - {*FEATURES} - {*vocabulary.published(store, day)})
    return others + [store.partition("vocabulary", day, name).key for name in back]
