"""Raw rows of an arrival day to canonical events, in buckets of users.

Blocks of raw files are parsed whole, split by the bucket of their user, and each bucket is put in
its one order with repeated rows taken out. Every raw row is kept, duplicate, ignored or rejected;
the counts stand in the manifests and are checked against each other before anything is published:
`<table>_read = _kept + _duplicate + _ignored + _rejected`, with `_ignored_<code>` and
`_rejected_<reason>` beside their sums, and `_late` for kept rows of earlier days.
"""

import json
import logging
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import date
from typing import Any

import apache_beam as beam
import numpy as np
import pyarrow as pa

from features import buckets, dataset as datasets, events, tidy
from features.dataset import LOGS, REQUIRED, TABLES, Dataset
from features.events import EventsConfig, Window
from features.rejects import lost_file
from infra.errors import InputError, PartitionMissing
from infra.store import Attempt, FileEntry, Partition, Store
from pipeline import rawfiles
from pipeline.beam import BeamConfig, Publish, passes, pipeline
from pipeline.rawfiles import RawPart

logger = logging.getLogger(__name__)

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

    @property
    def is_first(self) -> bool:
        """Whether this pass is the one that counts and refuses."""
        return self.chosen.start == 0

    def schema(self, name: str) -> pa.Schema:
        """Canonical schema of a table."""
        return events.schema_of(name, self.extra[name])


def split_block(
    block: pa.Table, name: str, plan: Plan
) -> tuple[dict[str, bytes], pa.Table, Counter[str]]:
    """A raw block's accepted rows by bucket key, its refused rows, and its counts."""
    parsed = events.parse(block, name, plan.dataset, plan.window, plan.extra[name])
    counts = Counter({f"{name}_read": parsed.read})
    for code, rows in parsed.ignored.items():
        counts[f"{name}_ignored"] += rows
        counts[f"{name}_ignored_{code}"] += rows
    _count_rejected(counts, name, parsed.rejected)
    hashes = _bucket_hashes(parsed.accepted, name)
    found = {
        f"{name}/{index:06d}": _to_bytes(rows)
        for index, rows in buckets.split(parsed.accepted, hashes, plan.buckets)
        if index in plan.chosen
    }
    return found, parsed.rejected, counts


def finish_bucket(name: str, tables: Sequence[pa.Table], plan: Plan) -> tidy.Tidied:
    """All rows of one bucket in order, each once."""
    schema = plan.schema(name)
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
        """Read the part block by block."""
        plan, name = self.plan, part.table
        refused: list[pa.Table] = []
        counts: Counter[str] = Counter()
        try:
            if part.damage:
                raise OSError(part.damage)
            for block in rawfiles.blocks(part, plan.dataset.table(name), plan.config.batch_rows):
                found, rejected, counted = split_block(block, name, plan)
                counts.update(counted)
                if rejected.num_rows:
                    refused.append(rejected)
                for key, rows in found.items():
                    yield key, ("", rows)
        except (pa.ArrowInvalid, OSError, EOFError) as error:
            lost = lost_file(name, part.source, counts[f"{name}_read"] + 1, str(error))
            refused.append(lost)
            counts[f"{name}_read"] += 1
            _count_rejected(counts, name, lost)
        if plan.is_first:
            yield f"{name}/{0:06d}", (json.dumps(counts), b"")
            if refused:
                stem = f"{name}-{part.ordinal:06d}"
                entry = plan.outs[REJECTS].write_table(stem, pa.concat_tables(refused))
                yield beam.pvalue.TaggedOutput(REJECTS, entry)


class FinishBucket(beam.DoFn):
    """(bucket key, parts) -> (table, entry of the file written)."""

    def __init__(self, plan: Plan) -> None:
        super().__init__()
        self.plan = plan

    def process(
        self, item: tuple[str, Iterable[tuple[str, bytes]]]
    ) -> Iterator[tuple[str, FileEntry]]:
        """Put the bucket in order and write it."""
        key, values = item
        name, _, index = key.partition("/")
        counts: Counter[str] = Counter()
        tables = []
        for text, rows in values:
            if text:
                counts.update(json.loads(text))
            else:
                tables.append(_from_bytes(rows))
        done = finish_bucket(name, tables, self.plan)
        if not done.rows.num_rows and not counts and not done.duplicates:
            return
        counts[f"{name}_kept"] = done.rows.num_rows
        counts[f"{name}_duplicate"] = done.duplicates
        if name in LOGS:
            counts[f"{name}_late"] = _late(done.rows, self.plan.window)
        bucket = buckets.buckets(self.plan.buckets)[int(index)]
        yield (
            name,
            self.plan.outs[name].write_table(
                bucket.name, done.rows, low=bucket.low, high=bucket.high, counts=counts
            ),
        )


class Canonical(beam.PTransform):
    """Raw parts -> published-to-be files of every table and of the rejects."""

    def __init__(self, plan: Plan) -> None:
        super().__init__()
        self.plan = plan

    def expand(self, parts: Any) -> Any:
        """Read, split by bucket, gather, finish, note the files."""
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
        for name, out in self.plan.outs.items():
            if name == REJECTS:
                split[REJECTS] | "Note the rejects" >> Publish(out)
                continue
            (
                files
                | f"Files of {name}" >> beam.Filter(_is_of, name)
                | f"Entries of {name}" >> beam.Values()
                | f"Note the {name}" >> Publish(out)
            )
        return files


def run(
    store: Store,
    day: date,
    *,
    dataset: Dataset | None = None,
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
    found = {name: rawfiles.parts(store, day, name) for name in TABLES}
    found = {name: parts for name, parts in found.items() if parts}
    _require_behaviors(store, day, found)
    dataset = _described(store, day, dataset)
    extra = {name: _extra(name, parts, dataset) for name, parts in found.items()}
    lineage = {"day": day.isoformat(), "dataset": dataset.name, "settings": config.digest()}
    with ExitStack() as stack:
        rejects_out = stack.enter_context(store.partition("rejects", day).publish(**lineage))
        outs = {
            name: stack.enter_context(store.partition("events", day, name).publish(**lineage))
            for name in reversed(list(found))
        }
        plan = Plan(
            dataset=dataset,
            config=config,
            window=Window.of(day, dataset, config),
            extra=extra,
            outs={**outs, REJECTS: rejects_out},
            buckets=beam.buckets,
            chosen=range(beam.buckets),
        )
        _run_passes(plan, [part for parts in found.values() for part in parts], beam)
        counts = _counted(outs.values())
        _check(counts, list(found), day)
    _log(day, counts, list(found), time.monotonic() - start)
    return counts


def _run_passes(plan: Plan, parts: Sequence[RawPart], config: BeamConfig) -> None:
    from dataclasses import replace

    for chosen in passes(config):
        with pipeline(config) as p:
            (
                p
                | "Parts of raw files" >> beam.Create(list(parts))
                | "Canonical events" >> Canonical(replace(plan, chosen=chosen))
            )


def _counted(outs: Iterable[Attempt]) -> dict[str, int]:
    counts: Counter[str] = Counter()
    for out in outs:
        for entry in out.recorded():
            counts.update(entry.counts)
    return dict(sorted(counts.items()))


def _check(counts: Mapping[str, int], names: Sequence[str], day: date) -> None:
    for name in names:
        parts = [
            counts.get(f"{name}_{what}", 0) for what in ("kept", "duplicate", "ignored", "rejected")
        ]
        read = counts.get(f"{name}_read", 0)
        assert read == sum(parts), f"{name} of {day}: read {read}, accounted for {parts}"
    if not counts.get("behaviors_read"):
        raise InputError(
            f"raw/dt={day}/behaviors holds no row. Put the day's log there, or leave the day out."
        )


def _require_behaviors(store: Store, day: date, found: Mapping[str, list[RawPart]]) -> None:
    key = store.partition("raw", day, "behaviors").key
    if "behaviors" not in found:
        raise PartitionMissing(
            f"{key} has no files under {store.root}. Run `dupn import` or `dupn simulate` for "
            "that day, or put .parquet, .jsonl or .csv files there."
        )
    rawfiles.require_some(found["behaviors"], key)


def _described(store: Store, day: date, given: Dataset | None) -> Dataset:
    partition = store.partition("raw", day, "behaviors")
    lineage = partition.manifest().lineage if partition.exists() else {}
    name = lineage.get("dataset")
    if given is None:
        text = lineage.get("description")
        if text:
            return datasets.parse_description(text, f"the description kept in {partition.key}")
        return datasets.load(str(name) if name else "marketplace")
    if name and name != given.name:
        raise InputError(
            f"{partition.key} was written as data set {name}, not {given.name}. Set dataset={name}, "
            "or import the day again."
        )
    return given


def _extra(name: str, parts: Sequence[RawPart], dataset: Dataset) -> tuple[str, ...]:
    sound = [part for part in parts if not part.damage]
    files = {part.file: part for part in reversed(sound)}.values()
    table = dataset.table(name)
    raw = sorted({column for part in files for column in rawfiles.column_names(part, table)})
    return events.extra_columns(name, table, raw)


def _count_rejected(counts: Counter[str], name: str, rejected: pa.Table) -> None:
    counts[f"{name}_rejected"] += rejected.num_rows
    for pair in rejected["reason"].value_counts().to_pylist():
        counts[f"{name}_rejected_{pair['values']}"] += pair["counts"]


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


def _is_of(pair: tuple[str, FileEntry], name: str) -> bool:
    return pair[0] == name


def _log(day: date, counts: Mapping[str, int], names: Sequence[str], seconds: float) -> None:
    for name in names:
        read, rejected = counts.get(f"{name}_read", 0), counts.get(f"{name}_rejected", 0)
        logger.info(
            "events %s: %s: %s kept, %s duplicate, %s ignored, %s rejected (%.2f %%)",
            *(day, name, f"{counts.get(f'{name}_kept', 0):,}"),
            *(f"{counts.get(f'{name}_duplicate', 0):,}", f"{counts.get(f'{name}_ignored', 0):,}"),
            *(f"{rejected:,}", 100 * rejected / max(read, 1)),
        )
    logger.info("events %s: done in %.1f s", day, seconds)
