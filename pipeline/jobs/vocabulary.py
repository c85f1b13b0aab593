"""Events of a day -> vocabularies and catalog, grown from yesterday's (`vocabulary`, `catalog`).

Every batch of users and every file of a snapshot is counted where it is read; the partial counts
meet yesterday's rows in ranges of the id's hash. New ids of a range are counted first, so that each
range knows its first free row, and then get their rows in hash order: buckets and workers do not
matter. A range is merged once for either: that is twice the merging, and no memory for the ids of
all days. What is held grows with the ids that the day names, a snapshot's included, and with the
largest range. The catalog is written by a second pass (pipeline.jobs.catalog): it needs the rows.
"""

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import date
from typing import Any

import apache_beam as beam
import pyarrow as pa

from features import hash_range, inputs, vocabulary
from features.buckets import Bucket, bucket_index, split
from features.catalog import COLUMNS
from features.items import sightings
from features.items import state as items
from features.schemas import FEATURES, VOCABULARY
from features.vocabulary import VocabularyConfig
from infra.store import Attempt, FileEntry, Store
from pipeline.beam.merging import Together
from pipeline.beam.run import BeamConfig, Gather, Spread, pipeline
from pipeline.beam.threaded import Threaded
from pipeline.jobs import catalog
from pipeline.jobs.growth import ITEM_INDEX, Key, Plan, Source, place, plan

logger = logging.getLogger(__name__)


class CountEvents(Threaded):
    """A bucket of users -> partial counts of every id they met, by hash range."""

    def __init__(self, plan: Plan) -> None:
        super().__init__(plan.threads)
        self.plan = plan

    def work(self, bucket: Bucket) -> Iterator[tuple[Key, pa.Table]]:
        """Read what the counts need, and nothing else."""
        for table in self.plan.events:
            rows = sightings.read(table, self.plan.events[table], bucket)
            for feature, counts in sightings.of_events(table, rows):
                yield from _by_range(self.plan, feature, counts)


class CountSnapshot(beam.DoFn):
    """A file of a snapshot -> partial counts of the ids in it, by hash range."""

    def __init__(self, work: Plan) -> None:
        self.work = work

    def process(self, source: Source) -> Iterator[tuple[Key, pa.Table]]:
        """Read one file."""
        table, partition, entry = source
        for feature, counts in sightings.of_snapshot(table, partition.table(entries=[entry])):
            yield from _by_range(self.work, feature, counts)


def _by_range(work: Plan, feature: str, counts: pa.Table) -> Iterator[tuple[Key, pa.Table]]:
    hashes = counts.column(0).to_numpy()
    for index, part in split(counts, hashes, work.ranges[feature]):
        yield (feature, index), part


@dataclass(frozen=True)
class Grown:
    """A range's state of today, its new ids without rows yet."""

    state: pa.Table
    """In (hash, id) order; without rows for ids that never had one."""
    new: Mapping[str, int]
    """Feature -> ids that yesterday did not have, whether or not an earlier build gave them rows:
    a day that is built again says the same."""


def grow(work: Plan, key: Key, found: Iterable[list[pa.Table]]) -> Grown:
    """Partial counts of a range + yesterday's rows of it -> today's state.

    The tables come in any order; the result does not depend on it.
    """
    parts = [part for tables in found for part in tables]
    feature, _ = key
    bucket = work.range_of(key)
    needed = work.config.needed(feature)
    if feature == "item":
        state = items.read(work.before[ITEM_INDEX], bucket)
        fresh = [part for part in parts if "listed" in part.column_names]
        seen = [part for part in parts if "listed" not in part.column_names]
        then = items.read(work.standing[ITEM_INDEX], bucket)
        merged = items.merge(state, seen, fresh)
        new = _new_items(merged, needed)
        return Grown(items.keep_rows(merged, then, needed), new)
    then = hash_range.read(work.standing[feature], bucket, VOCABULARY, "id")
    merged = vocabulary.merge(_state(work, feature, bucket), parts)
    new = {feature: int(vocabulary.entrants(merged, needed).sum())}
    return Grown(vocabulary.keep_rows(merged, then, needed), new)


def _state(work: Plan, feature: str, bucket: Bucket) -> pa.Table:
    before = work.before[feature]
    if before is None:
        count = work.ranges[feature]
        start = vocabulary.initial(feature)
        inside = bucket_index(start.column("hash").to_numpy(), count) == bucket.index
        return start.filter(pa.array(inside))
    return vocabulary.with_hash(hash_range.read(before, bucket, VOCABULARY, "id"))


def _new_items(state: pa.Table, needed: int) -> dict[str, int]:
    """Items of a merged state without a row: of the vocabulary, and of the catalog."""
    admitted = int(items.admitted_today(state, needed).sum())
    return {"item": admitted, ITEM_INDEX: int(items.unplaced(state).sum())}


def count_entrants(
    counted: tuple[Key, Iterable[list[pa.Table]]], work: Plan
) -> Iterator[tuple[Key, int]]:
    """How many rows a range will need.

    Today's state is made for that and let go, to be made again when it is written: all ranges are
    counted before the first is written, and the local runners hold in memory what waits there.
    """
    key, found = counted
    feature, index = key
    state = grow(work, key, found).state
    needed = work.config.needed(feature)
    if feature == "item":
        for name, count in _new_items(state, needed).items():
            yield (name, index), count
    else:
        yield key, int(vocabulary.entrants(state, needed).sum())


class Write(beam.DoFn):
    """Partial counts of a range, and everybody's entrants -> today's state of it as files."""

    def __init__(self, work: Plan, attempts: Mapping[str, Attempt]) -> None:
        self.work = work
        self.attempts = attempts

    def process(
        self, element: tuple[Key, Iterable[list[pa.Table]]], entrants: Mapping[Key, int]
    ) -> Iterator[tuple[str, FileEntry]]:
        """One file per range that holds anything."""
        key, found = element
        feature, index = key
        grown = grow(self.work, key, found)
        state = grown.state
        if not state.num_rows:
            return
        free = self._first_free(feature, index, entrants)
        needed = self.work.config.needed(feature)
        bucket = self.work.range_of(key)
        if feature == "item":
            row = self._first_free(ITEM_INDEX, index, entrants)
            state = items.settle(state, needed, free, row)
            counts = {"ids": state.num_rows, "admitted": state.num_rows}
            counts["new"] = grown.new[ITEM_INDEX]
            yield ITEM_INDEX, self._put(ITEM_INDEX, bucket, state, counts)
            state = items.as_vocabulary(state)
        else:
            state = vocabulary.admit(state, needed, free)
        rows = state.select(VOCABULARY.names)
        counts = {"ids": rows.num_rows, "admitted": vocabulary.num_admitted(rows)}
        counts["new"] = grown.new[feature]
        yield feature, self._put(feature, bucket, rows, counts)

    def _first_free(self, feature: str, index: int, entrants: Mapping[Key, int]) -> int:
        of_ranges = {i: entrants.get((feature, i), 0) for i in range(index + 1)}
        return vocabulary.next_rows(of_ranges, self.work.first_free[feature])[index]

    def _put(
        self, feature: str, bucket: Bucket, rows: pa.Table, counts: Mapping[str, int]
    ) -> FileEntry:
        return self.attempts[feature].write_table(
            bucket.name, rows, low=bucket.low, high=bucket.high, counts=counts
        )


class GrowVocabularies(beam.PTransform):
    """Buckets and snapshot files of a day -> vocabularies and the items behind the catalog."""

    def __init__(self, work: Plan, attempts: Mapping[str, Attempt]) -> None:
        super().__init__()
        self.work = work
        self.attempts = attempts

    def expand(self, start: Any) -> Any:
        """Count, merge by hash range, give rows, write."""
        work = self.work
        every = [(name, i) for name, count in work.ranges.items() for i in range(count)]
        events = (
            start
            | "Name the buckets" >> beam.Create(work.batches)
            | "Spread the buckets" >> Spread()
            | "Count ids in events" >> beam.ParDo(CountEvents(work))
        )
        snapshots = (
            start
            | "Name the snapshot files" >> beam.Create(work.snapshots)
            | "Spread the files" >> Spread()
            | "Count ids in snapshots" >> beam.ParDo(CountSnapshot(work))
        )
        carried = start | "Keep every range" >> beam.Create([(key, []) for key in every])
        together = Together(sightings.together)
        in_events = events | "Put counts together" >> beam.CombinePerKey(together)
        in_snapshots = snapshots | "Put snapshots together" >> beam.CombinePerKey(together)
        counted = (
            (in_events, in_snapshots, carried)
            | "With ranges that nothing was counted in" >> beam.Flatten()
            | "Gather by hash range" >> beam.GroupByKey()
        )
        entrants = counted | "Count new ids" >> beam.FlatMap(count_entrants, work)
        return (
            counted
            | "Merge, give rows and write"
            >> beam.ParDo(Write(work, self.attempts), beam.pvalue.AsDict(entrants))
            | "Gather file entries" >> Gather()
            | "Record them" >> beam.Map(_record, work, self.attempts, beam.pvalue.AsDict(entrants))
        )


def _record(
    entries: Sequence[tuple[str, FileEntry]],
    work: Plan,
    attempts: Mapping[str, Attempt],
    entrants: Mapping[Key, int],
) -> int:
    for feature, attempt in attempts.items():
        mine = [entry for name, entry in entries if name == feature]
        given = sum(count for (name, _), count in entrants.items() if name == feature)
        size, former = work.first_free[feature] + given, work.former.get(feature)
        if former is not None and former.is_again(mine):
            size = former.size  # as if later days had not been built: tables are as large as then
        attempt.record(mine, size=size)
    return len(entries)


def run(
    store: Store, day: date, *, config: VocabularyConfig, beam: BeamConfig
) -> Mapping[str, int]:
    """Publish `vocabulary/dt=D/*` and `catalog/dt=D`; the number of ids admitted per feature.

    Raises:
        PartitionMissing: events of the day, or vocabulary of the day before, are not published.
    """
    stamps = inputs.stamps(store, "vocabulary", day)  # first: what comes meanwhile is noticed later
    work = plan(store, day, config, beam)
    lineage = {**config.lineage(), "inputs": stamps}
    with ExitStack() as stack:
        attempts = {
            name: stack.enter_context(place(store, day, name).publish(**lineage))
            for name in work.before
        }
        with pipeline(beam) as flow:
            _ = flow | "Grow vocabularies" >> GrowVocabularies(work, attempts)
    _forget(store, day, work.before)
    counts = {name: vocabulary.admitted(place(store, day, name)) for name in work.ranges}
    closing = {**lineage, COLUMNS: sorted({*work.ranges} - {*FEATURES})}
    listed = catalog.run(store, day, config=config, beam_config=beam, lineage=closing)
    counts["catalog"] = listed["items"]
    logger.info(
        "vocabulary %s: %s items in the catalog, %s of them with an embedding row",
        day,
        f"{counts['catalog']:,}",
        f"{counts['item']:,}",
    )
    return counts


def _forget(store: Store, day: date, features: Iterable[str]) -> None:
    """Vocabularies of columns that were there when the day was built before, and are no more.

    After today's are published, so that a killed run loses none; before the catalog is, which
    closes the day: whoever finds the day closed finds the columns that it would have if built once.
    """
    for name in sorted({*vocabulary.there(store, day)} - {*features}):
        partition = store.partition("vocabulary", day, name)
        partition.remove()
        logger.warning("%s is gone: no snapshot has that column any more", partition.key)
