"""Raw rows of an arrival day to canonical events, in buckets of users.

Blocks of raw files are parsed whole, split by the bucket of their user, and each bucket is put in
its one order with repeated rows taken out. Every raw row is kept, duplicate, ignored or rejected
(`pipeline.accounting`), which is checked before anything is published. A pass reads all of raw and
keeps its own buckets only, so a day larger than memory takes more passes.
"""

import json
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import date
from typing import Any, NamedTuple

import apache_beam as beam
import pyarrow as pa

from features import buckets, canonical, events, tidy
from features.dataset import Dataset
from features.events import EventsConfig, Window
from features.raw_table import LOGS, REQUIRED
from features.rejects import lost_file
from infra.store import Attempt, FileEntry, Store
from pipeline import accounting, arrival, rawday, rawfiles
from pipeline.beam import BeamConfig, passes, pipeline
from pipeline.rawfiles import RawPart
from pipeline.threaded import Threaded
from pipeline.threads import Threads

REJECTS = "rejects"


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What every worker needs to know: the description, the window, and where tables go."""

    dataset: Dataset
    config: EventsConfig
    window: Window
    extra: Mapping[str, tuple[str, ...]]
    outs: Mapping[str, Attempt]
    buckets: int
    chosen: range
    threads: int = 1

    @property
    def is_first(self) -> bool:
        """Whether this pass is the one that counts and refuses."""
        return self.chosen.start == 0


class Split(NamedTuple):
    """A block's accepted rows by bucket key, its refused rows, its counts."""

    rows: Mapping[str, bytes]
    refused: pa.Table
    counts: Counter[str]


def split_block(block: pa.Table, name: str, plan: Plan) -> Split:
    """Parse a raw block and keep what falls into this pass's buckets."""
    parsed = events.parse(block, name, plan.dataset, plan.window, plan.extra[name])
    counts = Counter({f"{name}_read": parsed.read})
    counts.update(accounting.ignored(name, parsed.ignored))
    counts.update(accounting.rejected(name, parsed.rejected))
    rows = {
        f"{name}/{index:06d}": _to_bytes(part)
        for index, part in buckets.split(
            parsed.accepted, _bucket_hashes(parsed.accepted, name), plan.buckets
        )
        if index in plan.chosen
    }
    return Split(rows, parsed.rejected, counts)


def finish_bucket(name: str, tables: Sequence[pa.Table], plan: Plan) -> tidy.Tidied:
    """All rows of one bucket in order, each once."""
    schema = canonical.schema_of(name, plan.extra[name])
    if not tables:
        return tidy.Tidied(rows=schema.empty_table(), duplicates=0)
    whole = pa.concat_tables(tables)
    if name in LOGS:
        return tidy.tidy_log(whole, schema)
    return tidy.tidy_snapshot(whole, REQUIRED[name][0])


class ReadAndSplit(beam.DoFn):
    """Raw part -> (bucket key, (counts, rows)); refused rows are written at once, on `rejects`."""

    def __init__(self, plan: Plan) -> None:
        super().__init__()
        self.plan = plan

    def process(self, part: RawPart) -> Iterator[Any]:
        """Read the part block by block; what cannot be read is one refused row."""
        plan, name = self.plan, part.table
        counts, refused = accounting.nothing_read(name), []
        threads: Threads[pa.Table, Split] = Threads(
            lambda block: split_block(block, name, plan), plan.threads
        )
        try:
            for done in threads.map(self._blocks(part)):
                counts.update(done.counts)
                if done.refused.num_rows:
                    refused.append(done.refused)
                yield from ((key, ("", rows)) for key, rows in done.rows.items())
        except (pa.ArrowInvalid, OSError, EOFError) as error:
            lost = lost_file(name, part.source, counts[f"{name}_read"] + 1, str(error))
            refused.append(lost)
            counts.update(accounting.rejected(name, lost) + Counter({f"{name}_read": 1}))
        finally:
            threads.close()
        if plan.is_first:
            yield f"{name}/{0:06d}", (json.dumps(counts), b"")
            if refused:
                stem = f"{name}-{part.ordinal:06d}"
                entry = plan.outs[REJECTS].write_table(stem, pa.concat_tables(refused))
                yield beam.pvalue.TaggedOutput(REJECTS, (REJECTS, entry))

    def _blocks(self, part: RawPart) -> Iterator[pa.Table]:
        if part.damage:
            raise OSError(part.damage)
        table = self.plan.dataset.table(part.table)
        yield from rawfiles.blocks(part, table, self.plan.config.batch_rows)


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
                tables.append(_from_bytes(rows))
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
            | "Spread the parts" >> beam.Reshuffle()
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
            | "Gather the entries" >> beam.combiners.ToList()
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
        InputError: none of it can be read, or it holds no row.
    """
    start = time.monotonic()
    config, beam = config or EventsConfig(), beam or BeamConfig()
    raw = arrival.marks(store, day)  # before it is read: what arrives meanwhile is noticed later
    found = rawday.parts_of_day(store, day)
    dataset = rawday.described(store, day, dataset)
    lineage = {
        "day": day.isoformat(),
        "dataset": dataset.name,
        "settings": config.digest(),
        "raw": dict(raw),
    }
    with ExitStack() as stack:
        rejects = stack.enter_context(store.partition("rejects", day).publish(**lineage))
        outs = {
            name: stack.enter_context(store.partition("events", day, name).publish(**lineage))
            for name in reversed(list(found))  # left in reverse: behaviors are published last
        }
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
        _run_passes(plan, [part for parts in found.values() for part in parts], beam)
        counts = accounting.total(outs.values())
        accounting.check(counts, list(found), day)
    accounting.log(counts, list(found), day, time.monotonic() - start)
    return counts


def _run_passes(plan: Plan, parts: Sequence[RawPart], config: BeamConfig) -> None:
    for chosen in passes(config):
        with pipeline(config) as p:
            (
                p
                | "Parts of raw files" >> beam.Create(list(parts))
                | "Canonical events" >> Canonical(replace(plan, chosen=chosen))
            )


def _bucket_hashes(rows: pa.Table, name: str) -> Any:
    if "user_hash" in rows.column_names:
        return rows["user_hash"].to_numpy()
    return buckets.hash_ids(rows[REQUIRED[name][0]])


def _late(rows: pa.Table, window: Window) -> int:
    return int((rows["ts"].cast(pa.int64()).to_numpy() < window.start).sum())


def _to_bytes(rows: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, rows.schema) as writer:
        writer.write_table(rows)
    return bytes(sink.getvalue())


def _from_bytes(data: bytes) -> pa.Table:
    return pa.ipc.open_stream(data).read_all()
