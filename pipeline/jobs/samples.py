"""`samples(D)`: the moments whose attribution window closes in D, with histories and labels.

An element is a bucket of users. Its worker reads its slices of yesterday's sequences and the
day's events, builds two groups, moments of the day before (open at midnight, or late) and
moments of the day itself, and writes one file. What does not depend on the user (catalog,
statistics, vocabularies, pool) is loaded once a worker. No row is shuffled: memory is a bucket
times the workers, beside what is shared, and more buckets need less.
"""

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from functools import lru_cache
from threading import Lock

import apache_beam as beam
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from features import catalog as catalogs
from features import held, ranking, vocabulary
from features import inputs as reads
from features import samples as sample
from features.buckets import Bucket, buckets
from features.carry import ONE_DAY, require_clock, yesterday
from features.property import LocalClock
from features.questions import groups
from features.questions import late as lates
from features.questions import moments as moment
from features.questions import world as worlds
from features.questions.moments import Calendar, Moments
from features.samples import Group, SamplesConfig, World
from features.schemas import MOMENTS, OPEN, PRICED_CLICKS, QUESTIONS, SAMPLES
from features.vocabulary import Vocabulary
from infra.store import Attempt, FileEntry, Store
from pipeline.beam.parquet import planes
from pipeline.beam.run import BeamConfig, Publish, Spread, pipeline
from pipeline.beam.threaded import Threaded, a_run
from pipeline.jobs.sequences import Inputs, Known, know
from pipeline.jobs.slices import Slices

logger = logging.getLogger(__name__)
_LOADING = Lock()  # threads of one worker share what they load

REPETITIVE = ["user_id", "cand_weight.list.element"]
"""Columns that a Parquet dictionary shrinks; on the others it only costs time."""
PLANES = planes(SAMPLES)


@dataclass(frozen=True)
class Task:
    """All that a worker needs to know; small and picklable."""

    store: Store
    day: date
    config: SamplesConfig
    zone: str
    seed: int
    window_ms: int
    click_share: float
    inputs: Inputs
    waiting: Slices
    """Yesterday's open moments."""
    has_yesterday: bool
    """Without one, moments of the day before stand before the log: they are left out."""
    users: dict[date, Slices]
    """Profile snapshot as of the day before and of the day."""
    threads: int = 1
    """Buckets under way at a time."""
    run: str = field(default_factory=a_run)
    """Whose look-ups these are."""


@lru_cache(maxsize=2)
def world(root: str, day: date, zone: str, run: str) -> World:
    """What moments of `day` may look up; loaded once a process and run."""
    store = Store(root)
    pool = store.partition("sequences", day, "pool").require().table()
    return worlds.load(store, day, zone, pool)


@lru_cache(maxsize=2)
def profile_words(root: str, day: date, run: str) -> Mapping[str, Vocabulary]:
    """Vocabularies of profile columns of `day`, by their names; loaded once a process and run."""
    store = Store(root)
    names = vocabulary.published(store, day, "profile_")
    return {name: vocabulary.load(store, day, name) for name in names}


@lru_cache(maxsize=2)
def listed(root: str, day: date, run: str) -> NDArray[np.bool_]:
    """What snapshots have named, by catalog row of `day`; loaded once a process and run."""
    return catalogs.load_listed(Store(root), day)


class Build(Threaded):
    """Bucket -> entry of its samples."""

    def __init__(self, task: Task, attempt: Attempt) -> None:
        super().__init__(task.threads)
        self.task = task
        self.attempt = attempt

    def work(self, bucket: Bucket) -> Iterator[FileEntry]:
        """Read, group, build, write."""
        made = build(self.task, bucket)
        if made.table.num_rows or any(made.counts.values()):
            yield self.attempt.write_table(
                bucket.name,
                made.table,
                low=bucket.low,
                high=bucket.high,
                counts=made.counts,
                use_dictionary=REPETITIVE,
                column_encoding=PLANES,
                write_statistics=False,
            )


@dataclass(frozen=True)
class Made:
    """A bucket's samples and what was left out."""

    table: pa.Table
    counts: Mapping[str, int]


def build(task: Task, bucket: Bucket) -> Made:
    """The samples of one bucket, sorted by user, time and sample id."""
    calendar = Calendar.of(task.day, LocalClock(task.zone), task.window_ms)
    waiting = task.waiting.bucket(bucket)
    profiles = {day: slices.bucket(bucket) for day, slices in task.users.items()}
    known = know(task.inputs, bucket, calendar, task.click_share, waiting, *profiles.values())
    arrived = known.arrived.without(Moments(waiting.select(MOMENTS.names), known.others[0]))
    known = replace(known, arrived=arrived)
    late = arrived.late if task.has_yesterday else moment.none()
    numbers = dict(zip(profiles, known.others[1:], strict=True))
    asked = _askable(task, late)
    tables, users, priced = [], [], 0
    for own_date, group in _groups(task, known, asked, waiting):
        there = _there(task, own_date)
        rows = _profile(task, own_date, profiles[own_date], numbers[own_date], known)
        full = replace(group, profile=rows[group.moments.user])
        tables.append(sample.build(full, there, task.config, task.window_ms, task.seed))
        users.append(group.moments.user)
        priced += sample.priced_clicks(tables[-1], there.catalog)
    left_out = {
        "too_late": arrived.too_late,
        "too_early": arrived.too_early,
        "before_first_day": len(arrived.late.user) - len(late.user),
        "late_new_items": len(late.user) - len(asked.user),
        "united_rows": arrived.united_rows,
        "repeated_pages": arrived.repeated_pages,
        "repeated_behaviors": known.duplicates,
        PRICED_CLICKS: priced,
    }
    return _finish(tables, users, left_out)


def _there(task: Task, day: date) -> World:
    """The world of a day, made once for all threads."""
    with _LOADING:
        there = world(task.store.root, day, task.zone, task.run)
        if task.config.price_offers:
            there.offers  # noqa: B018  # made here, too
    return there


def _askable(task: Task, late: Moments) -> Moments:
    """Late moments but for those whose items tell what was done about them."""
    if not len(late.user):
        return late
    eve = task.day - ONE_DAY

    def known() -> NDArray[np.bool_]:
        with _LOADING:
            return listed(task.store.root, eve, task.run)

    kept = lates.askable(late, _there(task, eve), known)
    return late if kept.all() else late.take(np.flatnonzero(kept))


def _groups(
    task: Task, known: Known, late: Moments, waiting: pa.Table
) -> Iterator[tuple[date, Group]]:
    """The moments by their own day and by where their histories come from; none is empty."""
    clock = LocalClock(task.zone)
    past, own = known.timeline, known.arrived.own
    calendar = Calendar.of(task.day, clock, task.window_ms)
    if waiting.num_rows or len(late.user):
        eve = Calendar.of(task.day - ONE_DAY, clock, task.window_ms)
        before = past.take(~past.today & eve.holds(past.ts))
        if waiting.num_rows:
            kept = Moments(waiting.select(MOMENTS.names), known.others[0])
            yield task.day - ONE_DAY, groups.opened(kept, waiting, past, before)
        if len(late.user):
            carried = past.take(~past.today)
            yield task.day - ONE_DAY, groups.cut(late, carried, past, before)
    closed = own.take(np.flatnonzero(~moment.open_rows(own, calendar)))
    if len(closed.user):
        yield task.day, groups.cut(closed, past, past, past.take(calendar.holds(past.ts)))


def _profile(
    task: Task, day: date, snapshot: pa.Table, number: NDArray[np.int32], known: Known
) -> NDArray[np.int32]:
    """[users, profile columns of the task's day]: vocabulary rows, 1 where nothing is known.

    A moment of the evening before has these columns, too, in the vocabulary of its own day.
    """
    with _LOADING:
        words = profile_words(task.store.root, day, task.run)
        names = profile_words(task.store.root, task.day, task.run)
    rows = np.ones((len(known.users), len(names)), np.int32)
    for index, name in enumerate(names):
        column = name.removeprefix("profile_")
        if name in words and column in snapshot.column_names:
            rows[number, index] = words[name].rows_of(snapshot.column(column))
    return rows


def _finish(
    tables: list[pa.Table], users: list[NDArray[np.int32]], left_out: Mapping[str, int]
) -> Made:
    counts = dict(left_out)
    if not tables:
        return Made(SAMPLES.empty_table(), counts)
    whole = Moments(pa.concat_tables(tables), np.concatenate(users))
    asked = np.zeros(len(whole.user), bool)
    for column, name in QUESTIONS.items():
        here = whole.table.column(column).is_valid().to_numpy()
        counts[name] = int(here.sum())
        asked |= here
    rows = moment.order(whole)
    rows = rows[asked[rows]]
    as_it_is = len(rows) == len(asked) and np.array_equal(rows, np.arange(len(rows)))
    table = whole.table if as_it_is else whole.table.take(pa.array(rows))
    counts["candidates"] = len(table.column("cand_item").combine_chunks().flatten())
    return Made(table, {**counts, "moments": table.num_rows})


class Samples(beam.PTransform):
    """Buckets -> recorded files of samples."""

    def __init__(self, task: Task, attempt: Attempt) -> None:
        super().__init__()
        self.task = task
        self.attempt = attempt

    def expand(self, all_buckets: beam.PCollection) -> beam.PCollection:
        """Work through the buckets and gather the entries."""
        return (
            all_buckets
            | "Spread buckets over workers" >> Spread()
            | "Build the bucket's samples" >> beam.ParDo(Build(self.task, self.attempt))
            | "Publish samples" >> Publish(self.attempt)
        )


def run(
    store: Store,
    day: date,
    config: SamplesConfig,
    time_zone: str,
    beam: BeamConfig,
    seed: int,
) -> Mapping[str, int]:
    """Publish `samples/dt=day`.

    Raises:
        PartitionMissing: a partition that the day reads is not published; the message names it.
        ConfigError: the day's sequences end at midnight of another clock.
    """
    pool = store.partition("sequences", day, "pool").require()
    require_clock(pool, day, time_zone)
    carried = pool.manifest().lineage
    stamps = reads.stamps(store, "samples", day)  # first: what comes meanwhile is noticed later
    before = yesterday(store, "sequences", day, "history")
    inputs = Inputs.of(store, day, before, "derived" if carried["derived"] else "pages")
    waiting = store.partition("sequences", day - ONE_DAY, "open") if before else None
    task = Task(
        store=store,
        day=day,
        config=config,
        zone=time_zone,
        seed=seed,
        window_ms=carried["window_ms"],
        click_share=carried["click_share"],
        inputs=inputs,
        has_yesterday=before is not None,
        waiting=Slices.of(waiting, OPEN, ["user_id"]),
        users={some: _snapshot(store, some) for some in (day - ONE_DAY, day)},
        threads=beam.threads,
    )
    store.partition("catalog", day).require()
    target = store.partition("samples", day)
    lineage = {
        "day": day.isoformat(),
        **config.lineage(seed=seed),
        "seed": seed,
        "derived": carried["derived"],
        "negatives": config.negatives if carried["derived"] else "shown",
        "window_ms": carried["window_ms"],
        "click_share": carried["click_share"],
        "begins_ms": LocalClock(time_zone).midnight_ms(day),
        "ranking_features": list(ranking.NAMES),
        "price_offers": config.price_offers,
        "profile": vocabulary.published(store, day, "profile_"),
        "inputs": stamps,
    }
    try:
        with target.publish(**lineage) as attempt, pipeline(beam) as p:
            p | "Name the buckets" >> _create(beam.buckets) | Samples(task, attempt)
    finally:  # nobody looks there again
        world.cache_clear()
        listed.cache_clear()
        profile_words.cache_clear()
    counts = dict(target.manifest().counts)
    logger.info(
        "samples %s: %d moments, %d candidates, %d rows united with the page of their request; "
        "left out: %d as too late, %d as late and of items that their day met first, %d repeated",
        day,
        *(counts.get(name, 0) for name in ("moments", "candidates", "united_rows")),
        *(counts.get(name, 0) for name in ("too_late", "late_new_items", "repeated_pages")),
    )
    return counts


def _snapshot(store: Store, day: date) -> Slices:
    partition = held.newest(store, day, "users")
    if partition is None:
        return Slices.of(None, pa.schema([("user_hash", pa.uint64()), ("user_id", pa.string())]))
    with partition.open(partition.manifest().files[0]) as source:
        schema = pa.parquet.read_schema(source)
    return Slices.of(partition, schema)


def _create(count: int) -> beam.PTransform:
    return beam.Create(buckets(count))
