"""`experiments/<id>/before`: what was known of each user before the experiment's first day.

The same sums as in the read-out, over the days before, whatever was shown then and by whom: they
are covariates, and their quantiles over all users the caps, settled before the first exposure and
the same at every look. An element is a bucket of users, whose worker goes through the days.
"""

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from functools import lru_cache
from threading import Lock

import apache_beam as beam

from features import catalog as catalogs
from features.abtest import outcomes, readout
from features.abtest.outcomes import Arrived
from features.abtest.readout import BEFORE
from features.buckets import Bucket, buckets
from features.carry import ONE_DAY
from features.catalog import CatalogArrays
from features.property import LocalClock
from infra.store import Attempt, FileEntry, Partition, Store, stamps
from pipeline.beam.run import BeamConfig, Publish, Spread, pipeline
from pipeline.beam.threaded import Threaded, a_run
from pipeline.jobs.readout import Asked, Day, inputs, place, window_of

logger = logging.getLogger(__name__)
_LOADING = Lock()


@dataclass(frozen=True, kw_only=True)
class Task:
    """All that a worker needs to know; small and picklable."""

    store: Store
    days: tuple[date, ...]
    """Oldest first, without a gap."""
    read: tuple[Day, ...]
    """The day before the first one, and the days."""
    window_ms: int
    zone: str
    threads: int = 1
    """Buckets under way at a time."""
    run: str = field(default_factory=a_run)
    """Whose look-ups these are."""


class Remember(Threaded):
    """Bucket -> entry of its users."""

    def __init__(self, task: Task, attempt: Attempt) -> None:
        super().__init__(task.threads)
        self.task = task
        self.attempt = attempt

    def work(self, bucket: Bucket) -> Iterator[FileEntry]:
        """Day after day, rows of two days at a time."""
        task, clock, parts = self.task, LocalClock(self.task.zone), [BEFORE.empty_table()]
        with _LOADING:
            catalog = listed(task.store.root, task.days[-1], task.run)
        pages, actions = task.read[0].read(bucket)
        for day, source in zip(task.days, task.read[1:], strict=True):
            old, (pages, actions) = (pages, actions), source.read(bucket)
            arrived = Arrived((old[0], pages), (old[1], actions))
            window = window_of(day, None, task.window_ms, clock)
            parts.append(readout.by_user(outcomes.count(arrived, window, (catalog, catalog))))
        rows = readout.together(parts)
        yield self.attempt.write_table(bucket.name, rows, low=bucket.low, high=bucket.high)


@lru_cache(maxsize=1)
def listed(root: str, day: date, run: str) -> CatalogArrays:
    """The catalog of the last day, for purchases that were logged without a price."""
    store = Store(root)
    there = store.partition("catalog", day).exists()
    return catalogs.load(store, day) if there else catalogs.empty()


class Before(beam.PTransform):
    """Buckets -> recorded files of the pre-period."""

    def __init__(self, task: Task, attempt: Attempt) -> None:
        super().__init__()
        self.task = task
        self.attempt = attempt

    def expand(self, all_buckets: beam.PCollection) -> beam.PCollection:
        """Work through the buckets and gather the entries."""
        return (
            all_buckets
            | "Spread buckets over workers" >> Spread()
            | "Remember the bucket's users" >> beam.ParDo(Remember(self.task, self.attempt))
            | "Publish the pre-period" >> Publish(self.attempt)
        )


def run(
    store: Store, asked: Asked, days: int, window_ms: int, time_zone: str, beam: BeamConfig
) -> Mapping[str, int]:
    """Publish `experiments/<id>/before`; days that are not published count as empty.

    Args:
        store: where events are and the sums go.
        asked: the experiment.
        days: length of the pre-period, which ends the day before the first one; 0: there is none.
        window_ms: attribution window, that of `sequences`.
        time_zone: of the data set.
        beam: runner and buckets.
    """
    span = span_of(asked.first_day, days)
    target = place(store, asked.traffic.experiment, "before")
    read = rests_on(store, span)
    with target.publish(
        experiment=asked.digest, days=days, window_ms=window_ms, inputs=stamps(read)
    ) as attempt:
        if span:
            task = Task(
                store=store,
                days=span,
                read=tuple(Day.of(store, day) for day in (span[0] - ONE_DAY, *span)),
                window_ms=window_ms,
                zone=time_zone,
                threads=beam.threads,
            )
            _run(task, attempt, beam)
    listed.cache_clear()
    rows = target.manifest().rows
    logger.info("pre-period of %s: %d users in %d days", asked.traffic.experiment, rows, days)
    return {"users": rows, "days": days}


def span_of(first_day: date, days: int) -> tuple[date, ...]:
    """The days before the first one, oldest first."""
    return tuple(first_day - timedelta(days=back) for back in range(days, 0, -1))


def rests_on(store: Store, span: Sequence[date]) -> list[Partition]:
    """What is read of events and catalog, published or not."""
    return [one for day in span for one in inputs(store, day)]


def _run(task: Task, attempt: Attempt, config: BeamConfig) -> None:
    with pipeline(config) as p:
        p | "Name the buckets" >> beam.Create(buckets(config.buckets)) | Before(task, attempt)
