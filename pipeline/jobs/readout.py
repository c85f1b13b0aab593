"""`experiments/<id>/readout(D)`: an experiment's sums per user and arm of a day, and its hours.

An element is a bucket of users. Its worker reads its slices of the day's pages and actions and of
those of the day before (pages that were open at midnight), joins them by request, adds what was
known of each user before the experiment (`pipeline.jobs.before`) and writes one file. Hours are a
few rows a bucket and are put together at the end. A day's rows rest on the events of two days, so
days may be read in any order, and one read again gives the same bytes.
"""

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import lru_cache
from threading import Lock
from typing import Any

import apache_beam as beam
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from features import catalog as catalogs
from features import hash_range
from features.abtest import outcomes, readout
from features.abtest.outcomes import ACTIONS, PAGES, Arrived, Counted, Window
from features.abtest.readout import BEFORE, LARGEST
from features.abtest.traffic import FOLDER, Traffic
from features.buckets import Bucket, buckets
from features.carry import ONE_DAY
from features.catalog import CatalogArrays
from features.property import LocalClock
from features.schemas import BehaviorType, conform
from infra.errors import PartitionMissing
from infra.store import Attempt, FileEntry, Partition, Store, stamps
from pipeline.beam.run import BeamConfig, Gather, Publish, Spread, pipeline
from pipeline.beam.threaded import Threaded, a_run
from pipeline.jobs.slices import Slices, pick

logger = logging.getLogger(__name__)
_LOADING = Lock()  # threads of one worker share what they load

CODED = {"impressions": ["user_id", "variant", "model_version", "line"], "behaviors": ["item_id"]}
SCHEMAS = {"impressions": PAGES, "behaviors": ACTIONS}
WITHOUT_PAGES = "without_pages"
"""In the lineage of a read-out."""
COUNTED = pa.array([BehaviorType.CLICK, BehaviorType.PURCHASE], pa.int8())


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What a read-out must know of an experiment."""

    traffic: Traffic
    digest: str
    """Of the declaration."""
    first_day: date
    budget_ms: float
    """A page that took longer is slow."""
    without_pages: bool = False
    """Somebody says that those of a day that has none are lost: it is read out all the same."""


@dataclass(frozen=True)
class Day:
    """The events of one day that matter here, resolved once."""

    pages: Slices
    actions: Slices

    @classmethod
    def of(cls, store: Store, day: date) -> "Day":
        """Of a day; what is not published reads as empty."""
        return cls(_slices(store, day, "impressions"), _slices(store, day, "behaviors"))

    def read(self, bucket: Bucket) -> tuple[pa.Table, pa.Table]:
        """A bucket's pages, and its clicks and purchases that name a request."""
        pages = _whole(self.pages.bucket(bucket), PAGES)
        actions = _whole(self.actions.bucket(bucket), ACTIONS)
        named = pc.and_(pc.is_valid(actions["request_id"]), pc.is_in(actions["type"], COUNTED))
        return pages, actions.filter(named)


@dataclass(frozen=True, kw_only=True)
class Task:
    """All that a worker needs to know; small and picklable."""

    store: Store
    day: date
    asked: Asked
    window: Window
    days: tuple[Day, Day]
    """The day before and the day."""
    before: Partition
    threads: int = 1
    """Buckets under way at a time."""
    run: str = field(default_factory=a_run)
    """Whose look-ups these are."""


def counted(task: Task, bucket: Bucket) -> Counted:
    """The pages of a bucket that count on the day, with what came of them."""
    (old_pages, old_actions), (pages, actions) = (day.read(bucket) for day in task.days)
    arrived = Arrived((old_pages, pages), (old_actions, actions))
    with _LOADING:
        known = prices(task.store.root, task.day, task.run)
    return outcomes.count(arrived, task.window, known)


@lru_cache(maxsize=4)
def prices(root: str, day: date, run: str) -> tuple[CatalogArrays, CatalogArrays]:
    """The catalogs of the day before (the day's own where there is none) and of the day."""
    store = Store(root)
    before = day - ONE_DAY
    today = catalogs.load(store, day)
    there = store.partition("catalog", before).exists()
    return (catalogs.load(store, before) if there else today), today


class Read(Threaded):
    """Bucket -> entry of its read-out; its hours on "hours"."""

    def __init__(self, task: Task, attempt: Attempt) -> None:
        super().__init__(task.threads)
        self.task = task
        self.attempt = attempt

    def work(self, bucket: Bucket) -> Iterator[Any]:
        """Read, join, add up, write."""
        task = self.task
        found = counted(task, bucket)
        known = hash_range.read(task.before, bucket, BEFORE, "user")
        rows = readout.by_arm(found, known, pa.scalar(task.day, pa.date32()))
        yield self.attempt.write_table(
            bucket.name,
            rows,
            low=bucket.low,
            high=bucket.high,
            counts=_counts(task, found, rows),
            use_dictionary=["arm"],
        )
        hours = readout.by_hour(found, task.asked.budget_ms)
        if hours.num_rows:
            yield beam.pvalue.TaggedOutput("hours", hours)


def _counts(task: Task, found: Counted, rows: pa.Table) -> Mapping[str, int]:
    traffic, pages = task.asked.traffic, found.pages
    summed = rows.group_by("arm", use_threads=False).aggregate([("pages", "sum")])
    arms = zip(summed["arm"].to_pylist(), summed["pages_sum"].to_pylist(), strict=True)
    return {
        **found.counts,
        "all_pages": pages.num_rows,
        "without_arm": pages["variant"].null_count,
        "without_line": pages.filter(pc.is_valid(pages["variant"]))["line"].null_count,
        **readout.armless(found, traffic.salt, traffic.shares),
        "misassigned": readout.misassigned(found, traffic.salt, traffic.shares),
        "other_line": readout.other_line(found, traffic.shares),
        **{f"pages_{arm}": count for arm, count in arms},
    }


class ReadOut(beam.PTransform):
    """Buckets -> recorded files of the read-out and of the hours."""

    def __init__(self, task: Task, rows: Attempt, hours: Attempt) -> None:
        super().__init__()
        self.task = task
        self.rows = rows
        self.hours = hours

    def expand(self, all_buckets: Any) -> Any:
        """Work through the buckets, gather the entries, put the hours together."""
        parts = (
            all_buckets
            | "Spread buckets over workers" >> Spread()
            | "Read the bucket out"
            >> beam.ParDo(Read(self.task, self.rows)).with_outputs("hours", main="rows")
        )
        entry = (
            parts.hours
            | "Gather the hours" >> Gather()
            | "Write the hours" >> beam.Map(_write_hours, self.hours)
        )
        parts.rows | "Publish the read-out" >> Publish(self.rows)
        return entry | "Publish the hours" >> Publish(self.hours)


def _write_hours(parts: Sequence[pa.Table], attempt: Attempt) -> FileEntry:
    return attempt.write_table("hours", readout.hours_together(parts))


def place(store: Store, experiment: str, name: str, day: date | None = None) -> Partition:
    """A table of an experiment: `before`, or `readout` and `hours` of a day."""
    return store.partition(f"{FOLDER}/{experiment}/{name}", day)


def run(
    store: Store, day: date, asked: Asked, window_ms: int, time_zone: str, beam: BeamConfig
) -> Mapping[str, int]:
    """Publish `experiments/<id>/{readout,hours}/dt=day`.

    Args:
        store: where events are and the read-out goes.
        day: whose pages close.
        asked: the experiment.
        window_ms: attribution window, that of `sequences`.
        time_zone: of the data set.
        beam: runner and buckets.

    Raises:
        PartitionMissing: events or catalog of the day, or the pre-period, are not published.
    """
    lost = _require(store, day, asked)
    before = place(store, asked.traffic.experiment, "before").require()
    task = Task(
        store=store,
        day=day,
        asked=asked,
        window=window_of(day, asked.first_day, window_ms, LocalClock(time_zone)),
        days=(Day.of(store, day - ONE_DAY), Day.of(store, day)),
        before=before,
        threads=beam.threads,
    )
    target = {
        name: place(store, asked.traffic.experiment, name, day) for name in ("readout", "hours")
    }
    lineage = {
        "experiment": asked.digest,
        "window_ms": window_ms,
        "inputs": stamps([*inputs(store, day), before]),
        **({WITHOUT_PAGES: True} if lost else {}),
    }
    with (
        target["readout"].publish(**lineage) as rows,
        target["hours"].publish(**lineage) as hours,
        pipeline(beam) as p,
    ):
        p | "Name the buckets" >> _create(beam.buckets) | ReadOut(task, rows, hours)
    prices.cache_clear()
    read = target["readout"]
    counts = {"rows": read.manifest().rows, **read.manifest().counts, **largest(read)}
    logger.info(
        "read-out %s %s: %d rows, %d pages, %d of them without an arm",
        asked.traffic.experiment,
        day,
        *(counts.get(name, 0) for name in ("rows", "all_pages", "without_arm")),
    )
    return counts


def window_of(day: date, first_day: date | None, window_ms: int, clock: LocalClock) -> Window:
    """Which pages count on a day; those before `first_day` never do."""
    since = {} if first_day is None else {"since_ms": clock.midnight_ms(first_day)}
    return Window(
        start_ms=clock.midnight_ms(day),
        end_ms=clock.end_ms(day),
        window_ms=window_ms,
        before_ms=clock.midnight_ms(day - ONE_DAY),
        **since,
    )


def inputs(store: Store, day: date) -> list[Partition]:
    """What a day's read-out reads of events and catalog, published or not."""
    days = (day - ONE_DAY, day)
    events = [store.partition("events", one, name) for one in days for name in SCHEMAS]
    return [*events, *(store.partition("catalog", one) for one in days)]


def largest(read: Partition) -> Mapping[str, int]:
    """`armless_largest_<arm>` of a day: the most of any file, since a user lies in one alone.

    A manifest adds up what its files count.
    """
    found: dict[str, int] = {}
    for entry in read.manifest().files:
        for name, count in entry.counts.items():
            if name.startswith(LARGEST):
                found[name] = max(found.get(name, 0), count)
    return found


def is_without_pages(read: Partition) -> bool:
    """Whether a day was read out whose own pages are lost, those of all arms alike.

    What of the evening before closes on it is there.
    """
    return bool(read.manifest().lineage.get(WITHOUT_PAGES))


def _require(store: Store, day: date, asked: Asked) -> bool:
    """What the day rests on is published; whether its pages are lost, which somebody has to say."""
    store.partition("events", day, "behaviors").require()
    store.partition("catalog", day).require()
    lost = not store.partition("events", day, "impressions").exists()
    if lost and not asked.without_pages:
        raise PartitionMissing(
            f"events/dt={day}/impressions is not published: without pages there is nothing to "
            f"read out. Log what was shown (docs/abtest.md). If it comes, `dupn backfill --day "
            f"{day}` takes it in. If it is lost, say by the setting that lets the night begin "
            "without it that the day is read out without its pages: `dupn --set "
            f"'nightly.tables=[\"behaviors\"]' abtest readout --id {asked.traffic.experiment} "
            f"--day {day}`."
        )
    return lost


def _slices(store: Store, day: date, name: str) -> Slices:
    """A table of events; columns that it was written without are left out."""
    partition, schema = store.partition("events", day, name), SCHEMAS[name]
    if not partition.exists():
        return Slices.of(None, schema)
    there = schema.names
    for entry in partition.manifest().files[:1]:
        with partition.open(entry) as source:
            there = [one for one in there if one in pq.read_schema(source).names]
    return Slices.of(partition, pick(schema, there), [one for one in CODED[name] if one in there])


def _whole(table: pa.Table, schema: pa.Schema) -> pa.Table:
    return table if table.column_names == schema.names else conform(table, schema)


def _create(count: int) -> Any:
    return beam.Create(buckets(count))
