"""Raw rows of an arrival day to canonical events, in buckets of users.

Blocks of raw files are parsed whole, split by the bucket of their user, and each bucket is put in
its one order with repeated rows taken out. Every raw row is kept, duplicate, ignored or rejected
(`pipeline.raw.accounting`), which is checked before anything is published. A pass reads all of
raw and keeps its own buckets only, so a day larger than memory takes more passes.
"""

import json
import logging
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from datetime import date
from typing import Any

import apache_beam as beam
import pyarrow as pa

from features import buckets
from features.carry import ONE_DAY, require_clock
from features.events import EventsConfig, Window
from features.quality.page_log import ONLY_SERVED, SOME_SERVED
from features.raw import canonical, raw_names
from features.raw.dataset import Dataset
from features.raw.raw_table import LOGS, TABLES
from infra.reading import is_about_content
from infra.store import Attempt, FileEntry, Store
from pipeline.beam.parcels import Parcels
from pipeline.beam.parquet import planes
from pipeline.beam.run import BeamConfig, Gather, Spread, passes, pipeline
from pipeline.beam.threaded import Threaded
from pipeline.jobs.blocks import Block, Plan, finish_bucket, lost, refused_block, split_block
from pipeline.raw import accounting, arrival, rawday, rawfiles
from pipeline.raw.rawfiles import RawPart

logger = logging.getLogger(__name__)

REJECTS = "rejects"


class ReadAndSplit(Threaded):
    """Raw part -> (bucket key, (counts, parcel)); refused rows are written here, on `rejects`."""

    def __init__(self, plan: Plan) -> None:
        super().__init__(plan.threads)
        self.plan = plan

    def process(self, part: RawPart) -> Iterator[Any]:
        """Read the part block by block; blocks of several parts may be under way at once."""
        if self.plan.is_first:
            yield f"{part.table}/{0:06d}", (json.dumps(accounting.nothing_read(part.table)), b"")
        for block in self._numbered(part):
            yield from super().process(block)

    def work(self, block: Block) -> Iterator[Any]:
        """Parse the block and split it by bucket; what cannot be parsed is one refused row."""
        plan, name = self.plan, block.part.table
        try:
            if not block.lost:
                table = rawfiles.table_of(block.part, plan.dataset)
                done = split_block(block.rows, name, plan, table)
        except (pa.ArrowException, ValueError) as error:
            if not is_about_content(error):
                raise
            block = lost(block.part, block.number, block.before, error)
        if block.lost:
            done = refused_block(name, block.rows)
        yield from ((key, ("", plan.parcels.pack(rows))) for key, rows in done.rows.items())
        if plan.is_first:
            yield f"{name}/{0:06d}", (json.dumps(done.counts), b"")
            if done.refused.num_rows:
                stem = f"{name}-{block.part.ordinal:06d}-{block.number:06d}"
                entry = plan.outs[REJECTS].write_table(stem, done.refused)
                yield beam.pvalue.TaggedOutput(REJECTS, (REJECTS, entry))

    def _numbered(self, part: RawPart) -> Iterator[Block]:
        number = before = 0
        try:
            for rows in self._blocks(part):
                yield Block(part, number, before, rows)
                number, before = number + 1, before + rows.num_rows
        except (pa.ArrowException, OSError) as error:
            if not is_about_content(error):
                raise  # the task fails, and is tried again
            yield lost(part, number, before, error)

    def _blocks(self, part: RawPart) -> Iterator[pa.Table]:
        if part.damage:
            raise OSError(part.damage)
        table = rawfiles.table_of(part, self.plan.dataset)
        extra = self.plan.extra[part.table]
        for rows in rawfiles.blocks(part, table, self.plan.config.batch_rows):
            if twice := canonical.doubled(part.table, table, extra, rows.column_names):
                raise OSError(
                    f"it has the column {twice[0]!r} {rows.column_names.count(twice[0])} times: "
                    "give each a name of its own"
                )
            yield rows


class FinishBucket(Threaded):
    """(bucket key, parts) -> (table, entry of the file written)."""

    def __init__(self, plan: Plan) -> None:
        super().__init__(plan.threads)
        self.plan = plan

    def work(
        self, element: tuple[str, Iterable[tuple[str, bytes]]]
    ) -> Iterator[tuple[str, FileEntry]]:
        """Put the bucket in order and write it."""
        name, _, index = element[0].partition("/")
        counts: Counter[str] = Counter()
        tables = []
        for text, rows in element[1]:
            if text:
                counts.update(json.loads(text))
            else:
                tables.append(self.plan.parcels.unpack(rows))
        done = finish_bucket(name, tables, self.plan)
        counts.update({f"{name}_kept": done.rows.num_rows, f"{name}_duplicate": done.duplicates})
        if name in LOGS:
            counts[f"{name}_late"] += _late(done.rows, self.plan.window)
        bucket = buckets.buckets(self.plan.buckets)[int(index)]
        entry = self.plan.outs[name].write_table(
            bucket.name,
            done.rows,
            low=bucket.low,
            high=bucket.high,
            counts=counts,
            use_dictionary=canonical.dictionary_columns(name, done.rows.schema),
            column_encoding=planes(done.rows.schema),
            write_statistics=["ts"] if name in LOGS else True,
        )
        yield name, entry


class Canonical(beam.PTransform):
    """Raw parts -> files of every table and of the rejects, noted with their attempts."""

    def __init__(self, plan: Plan) -> None:
        super().__init__()
        self.plan = plan

    def expand(self, parts: Any) -> Any:
        """Read, split by bucket, gather, finish, note the files (entries are small)."""
        split = (
            parts
            | "Spread the parts" >> Spread()
            | "Parse and split by bucket"
            >> beam.ParDo(ReadAndSplit(self.plan)).with_outputs(REJECTS, main="rows")
        )
        files = (
            split.rows
            | "Gather each bucket" >> beam.GroupByKey()
            | "Order it and write it" >> beam.ParDo(FinishBucket(self.plan))
        )
        return (
            (files, split[REJECTS])
            | "Entries of all tables" >> beam.Flatten()
            | "Gather the entries" >> Gather()
            | "Note them by table" >> beam.Map(record, self.plan.outs)
        )


def record(found: Sequence[tuple[str, FileEntry]], outs: Mapping[str, Attempt]) -> int:
    """Note every table's entries with its attempt."""
    for name, out in outs.items():
        entries = [entry for table, entry in found if table == name]
        out.record(sorted(entries, key=lambda entry: entry.name))
    return len(found)


def run(
    store: Store,
    day: date,
    dataset: Dataset | None = None,
    *,
    config: EventsConfig | None = None,
    beam: BeamConfig | None = None,
) -> Mapping[str, int]:
    """Publish `events/dt=day/<table>` and `rejects/dt=day`; returns all counts.

    Args:
        store: where raw lies and events go.
        day: the arrival day.
        dataset: how to read raw; by default the description that `import` left in its lineage,
            else the marketplace's (canonical names).
        config: which rows are believed.
        beam: runner, buckets and passes.

    Raises:
        PartitionMissing: there is no raw behaviour of that day.
        InputError: none of it can be read, it holds no row, or its timestamps are of no zone.
        ConfigError: the day before ends at midnight of another clock.
    """
    start = time.monotonic()
    config, beam = config or EventsConfig(), beam or BeamConfig()
    raw = arrival.marks(store, day)  # before it is read: what arrives meanwhile is noticed later
    found = rawday.parts_of_day(store, day)
    dataset = rawday.described(store, day, dataset)
    rawday.require_zones(found, dataset)
    _require_clock(store, day, dataset.time_zone)
    lineage = {
        "day": day.isoformat(),
        "dataset": dataset.name,
        "time_zone": dataset.time_zone,
        "settings": config.digest(),
        "raw": dict(raw),
    }
    with ExitStack() as stack:
        outs = {  # left in reverse: behaviors, entered first, are published last and close the day
            name: stack.enter_context(
                store.partition("events", day, name).publish(**lineage, **_origin(parts))
            )
            for name, parts in found.items()
        }
        rejects = stack.enter_context(store.partition("rejects", day).publish(**lineage))
        plan = Plan(
            dataset=dataset,
            config=config,
            window=Window.of(day, dataset, config),
            extra={
                name: rawday.extra_columns(name, parts, dataset) for name, parts in found.items()
            },
            outs={**outs, REJECTS: rejects},
            buckets=beam.buckets,
            chosen=range(beam.buckets),
            threads=beam.threads,
        )
        # the logs of many blocks last, so that no thread is left with one long block at the end
        parts = [part for table in reversed(found.values()) for part in table]
        _run_passes(plan, parts, beam)
        counts = accounting.total(outs.values())
        accounting.check(counts, list(found), day)
        rawday.require_readable(counts, rejects, len({part.file for part in found["behaviors"]}))
    _forget(store, day, [name for name in TABLES if name not in found])
    accounting.log(counts, list(found), day, time.monotonic() - start)
    return counts


def _require_clock(store: Store, day: date, zone: str) -> None:
    """The day before ends where this one begins: its events say so, or its state without them."""
    before = day - ONE_DAY
    events = store.partition("events", before, "behaviors")
    told = events if events.exists() else store.partition("sequences", before, "history")
    if told.exists():
        require_clock(told, day, zone)


def _forget(store: Store, day: date, absent: Sequence[str]) -> None:
    """Tables that raw has no longer, since the day was read before, are no events of the day."""
    for name in absent:
        partition = store.partition("events", day, name)
        if partition.exists():
            partition.remove()
            logger.warning("%s is gone: raw/dt=%s has no %s any more", partition.key, day, name)


def _origin(parts: Sequence[RawPart]) -> Mapping[str, bool]:
    """What a table's lineage says of files that are the service's: all of them, or some."""
    served = [raw_names.is_served(part.file) for part in parts]
    if all(served):
        return {ONLY_SERVED: True}
    return {SOME_SERVED: True} if any(served) else {}


def _run_passes(plan: Plan, parts: Sequence[RawPart], config: BeamConfig) -> None:
    for chosen in passes(config):
        with Parcels.of(config) as parcels, pipeline(config) as p:
            canonical_events = Canonical(replace(plan, chosen=chosen, parcels=parcels))
            (
                p
                | "Parts of raw files" >> beam.Create(list(parts))
                | "Canonical events" >> canonical_events
            )


def _late(rows: pa.Table, window: Window) -> int:
    return int((rows["ts"].cast(pa.int64()).to_numpy() < window.start).sum())
