"""What the vocabulary job of a day reads, and how it is divided: manifests and footers, no rows."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import date

import pyarrow.parquet as pq

from features import carry, hash_range, vocabulary
from features.buckets import Bucket, buckets
from features.catalog import FIRST_ROW, INDEX
from features.items import sightings
from features.raw.raw_table import LOGS, SNAPSHOTS
from features.schemas import FEATURES
from features.vocabulary import VocabularyConfig
from infra.errors import PartitionCorrupt, PartitionMissing
from infra.manifest import mend
from infra.store import FileEntry, Partition, Store
from pipeline.beam.run import BeamConfig

Key = tuple[str, int]
"""A feature and the number of a hash range."""

ITEM_INDEX = "catalog"
"""The feature under which the items behind the catalog are kept and counted."""

Source = tuple[str, Partition, FileEntry]
"""A file of a snapshot: its table, its partition, its entry."""


@dataclass(frozen=True)
class Former:
    """A partition that was built before: its content, and one past its last row."""

    files: tuple[str, ...]
    """SHA-256 of each, sorted."""
    size: int

    @classmethod
    def of(cls, partition: Partition) -> "Former | None":
        """What is published now; None for nothing, or nothing that can be read."""
        with suppress(PartitionMissing, PartitionCorrupt):
            files = (entry.sha256 for entry in partition.manifest().files)
            return cls(tuple(sorted(files)), vocabulary.first_free(partition))
        return None

    def is_again(self, files: Sequence[FileEntry]) -> bool:
        """Whether these have the very same rows."""
        return self.files == tuple(sorted(entry.sha256 for entry in files))


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a run reads and how it is divided; small and picklable."""

    day: date
    config: VocabularyConfig
    events: Mapping[str, Partition]
    """The day's log, by table; a table may be absent."""
    batches: tuple[Bucket, ...]
    """Ranges of the user hash that are counted at a time."""
    snapshots: tuple[Source, ...]
    """Files of the snapshots that this day brings in."""
    before: Mapping[str, Partition | None]
    """Yesterday's partition of each feature; `catalog` for the items behind the catalog."""
    ranges: Mapping[str, int]
    """Hash ranges per feature."""
    standing: Mapping[str, Partition | None]
    """Of each feature the newest partition of this day or a later one, if the day was built before:
    its ids keep their rows, because samples and models may name them."""
    first_free: Mapping[str, int]
    """First row that is not taken, per feature."""
    former: Mapping[str, Former | None]
    """Of each feature what the day's own partition was, if the day was built before."""
    threads: int = 1
    """Batches under way at a time."""

    def range_of(self, key: Key) -> Bucket:
        """The hashes of one range."""
        feature, index = key
        return buckets(self.ranges[feature])[index]


def plan(store: Store, day: date, config: VocabularyConfig, beam: BeamConfig) -> Plan:
    """Look at manifests and footers, and divide the work.

    Raises:
        PartitionMissing: events of the day, or a vocabulary of the day before, are not published.
    """
    store.partition("events", day, "behaviors").require()
    events = {name: _resolved(store.partition("events", day, name)) for name in LOGS}
    displays = hash_range.values(events["impressions"], "item_ids")
    seen = events["behaviors"].manifest().rows + displays
    icons = events["follows"].manifest().rows if events["follows"].exists() else 0
    index = carry.yesterday(store, "catalog", day, INDEX)
    snapshots = _snapshots(store, day, first=index is None)
    known = _before(store, day, snapshots, index)
    before = {name: _resolved(part) if part else None for name, part in known.items()}
    standing = {name: _standing(store, day, name) for name in before}
    listed = sum(entry.rows for table, _, entry in snapshots if table == "items")
    carried = {name: part.manifest().rows if part else 0 for name, part in before.items()}
    return Plan(
        day=day,
        config=config,
        events=events,
        batches=tuple(hash_range.batches(seen + icons, config.rows_per_batch, beam.buckets)),
        snapshots=tuple(snapshots),
        before=before,
        ranges={
            name: _ranges(name, rows + seen + listed, config, beam.buckets)
            for name, rows in carried.items()
            if name != ITEM_INDEX
        },
        standing=standing,
        first_free={
            name: max(_first_free(name, part) for part in (before[name], standing[name]))
            for name in before
        },
        former={name: Former.of(place(store, day, name)) for name in before},
        threads=beam.threads,
    )


def _before(
    store: Store, day: date, snapshots: list[Source], index: Partition | None
) -> dict[str, Partition | None]:
    """Yesterday's partition per feature of today: the known ones and new columns of snapshots.

    Raises:
        PartitionMissing: yesterday lacks a vocabulary that every day has; it would begin again, and
            give new rows to ids that have some.
    """
    yesterday = day - carry.ONE_DAY
    for name in FEATURES if index else ():
        part = store.partition("vocabulary", yesterday, name)
        if not part.exists():
            raise PartitionMissing(
                f"{part.key} is not published, yet there is a catalog of {yesterday}: ids that "
                f"have rows would get others on {day}. {mend(part.key)}"
            )
    known = set(vocabulary.published(store, yesterday)) if index else set()
    new = {
        feature
        for table, partition, entry in snapshots
        for feature in sightings.column_features(table, _columns(partition, entry))
    }
    before: dict[str, Partition | None] = {
        name: store.partition("vocabulary", day - carry.ONE_DAY, name) if name in known else None
        for name in sorted({*FEATURES, *new, *known})
    }
    return {**before, ITEM_INDEX: index}


def _resolved(partition: Partition) -> Partition:
    return partition.resolved() if partition.exists() else partition


def _columns(partition: Partition, entry: FileEntry) -> list[str]:
    with partition.open(entry) as source:
        return list(pq.read_schema(source).names)


def _standing(store: Store, day: date, feature: str) -> Partition | None:
    for later in reversed(store.dates("catalog" if feature == ITEM_INDEX else "vocabulary")):
        found = place(store, later, feature)
        if later >= day and found.exists():
            return found.resolved()
    return None


def place(store: Store, day: date, feature: str) -> Partition:
    """Where the rows of a feature are on a day."""
    if feature == ITEM_INDEX:
        return store.partition("catalog", day, INDEX)
    return store.partition("vocabulary", day, feature)


def _first_free(feature: str, before: Partition | None) -> int:
    if before is None:
        return FIRST_ROW + vocabulary.initial(feature).num_rows
    return vocabulary.first_free(before)


def _ranges(feature: str, at_most: int, config: VocabularyConfig, limit: int) -> int:
    """Enough ranges for `at_most` ids; an attribute has at least ten items on average."""
    ids = at_most if feature == "item" else at_most // 10
    return max(1, min(limit, -(-ids // config.rows_per_range)))


def _snapshots(store: Store, day: date, *, first: bool) -> list[Source]:
    """Files of the snapshots of the day; on the first day, of the latest day so far."""
    found: list[Source] = []
    for table in SNAPSHOTS:
        partition = store.partition("events", day, table)
        if not partition.exists():
            earlier = store.latest("events", day, table) if first else None
            if earlier is None:
                continue
            partition = earlier
        found.extend((table, partition, entry) for entry in partition.manifest().files)
    return found
