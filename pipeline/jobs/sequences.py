"""`sequences(D)` = `sequences(D-1)` + `events(D)`: what is known of each user when the day ends.

Three tables: `history` (last 100 behaviours a user), `open` (moments whose window closes after
midnight, histories cut) and `pool` (a bounded sample of the day's clicks, for negatives). An
element is a bucket; its worker reads its slices of the inputs and writes one file a table.
"""

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

import apache_beam as beam
import numpy as np
import pyarrow as pa

from features import inputs as reads
from features import sequence, timeline
from features.buckets import Bucket, buckets
from features.carry import day_of, oldest, require_clock, yesterday
from features.distinct import distinct
from features.property import LocalClock
from features.quality.page_log import is_paged
from features.questions import moments as moment
from features.questions import negatives
from features.questions.moments import PAGE_COLUMNS, Arrived, Calendar, Moments
from features.schemas import BEHAVIORS, FOLLOWS, IMPRESSIONS, SEQUENCES
from features.sequence import CODED, MomentsMode, SequencesConfig
from features.timeline import Timeline, Users
from infra.errors import ConfigError
from infra.store import Attempt, FileEntry, Partition, Store
from pipeline.beam.parquet import planes
from pipeline.beam.run import BeamConfig, Publish, Spread, pipeline
from pipeline.beam.threaded import Threaded, timeless
from pipeline.jobs.draws import Drawn, SmallestDraws
from pipeline.jobs.slices import Slices, pick

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Inputs:
    """What a day reads, resolved once."""

    history: Slices
    behaviors: Slices
    impressions: Slices
    follows: Slices
    derived: bool
    """The log has no impressions: clicks are moments."""

    @classmethod
    def of(cls, store: Store, day: date, history: Partition | None, mode: MomentsMode) -> "Inputs":
        """Yesterday's history and the day's events."""
        pages = store.partition("events", day, "impressions")
        follows = store.partition("events", day, "follows")
        before = history is not None and not history.manifest().lineage["derived"]
        derived = not is_paged(store, day, mode, before=before)
        read_pages = pages if pages.exists() and not derived else None
        return cls(
            history=Slices.of(history, SEQUENCES, CODED),
            behaviors=Slices.of(
                store.partition("events", day, "behaviors").require(),
                pick(BEHAVIORS, SEQUENCES.names),
                CODED,
            ),
            impressions=Slices.of(read_pages, pick(IMPRESSIONS, PAGE_COLUMNS), ["user_id"]),
            follows=Slices.of(follows if follows.exists() else None, FOLLOWS, ["user_id"]),
            derived=derived,
        )


@dataclass(frozen=True)
class Known:
    """All that is known of a bucket's users when the day has ended."""

    users: Users
    timeline: Timeline
    arrived: Arrived
    behaviors: pa.Table
    duplicates: int
    others: tuple[np.ndarray, ...]
    """User numbers of the rows of further tables."""


def know(
    inputs: Inputs,
    bucket: Bucket,
    calendar: Calendar,
    click_share: float,
    *further: pa.Table,
) -> Known:
    """The bucket's timeline and the moments that arrived on the day.

    Args:
        inputs: what the day reads.
        bucket: which users.
        calendar: of the day.
        click_share: see SequencesConfig.
        further: tables in user order whose users are to be numbered as well.
    """
    tables = [
        part.bucket(bucket)
        for part in (inputs.history, inputs.behaviors, inputs.impressions, inputs.follows)
    ]
    users, numbers = timeline.rank_users([*tables, *further])
    merged = sequence.merge(tables[0], tables[1], numbers[0], numbers[1], users)
    clicks = moment.none()
    if inputs.derived:
        clicks = moment.derived(merged.timeline, users, click_share)
    pages, icons = moment.pages(tables[2], numbers[2]), moment.follows(tables[3], numbers[3])
    arrived = moment.sort_out(moment.of_day(pages, icons, clicks), calendar)
    return Known(users, merged.timeline, arrived, tables[1], merged.duplicates, tuple(numbers[4:]))


@dataclass(frozen=True)
class Outputs:
    """Where a day is written."""

    history: Attempt
    open: Attempt
    pool: Attempt


class Extend(Threaded):
    """Bucket -> entry of its history; entry of its open moments on "open", clicks on "pool".

    The clicks of a bundle are one pool: what leaves a bundle is copied from step to step.
    """

    def __init__(
        self,
        inputs: Inputs,
        outputs: Outputs,
        day: date,
        config: SequencesConfig,
        clock: LocalClock,
        threads: int = 1,
    ) -> None:
        super().__init__(threads)
        self.inputs = inputs
        self.outputs = outputs
        self.day = day
        self.config = config
        self.clock = clock

    def start_bundle(self) -> None:
        """Begin with no clicks."""
        self.drawn = Drawn(self.config.pool_size)

    def finish_bundle(self) -> Iterator[Any]:
        """What is under way, and the bundle's clicks."""
        yield from super().finish_bundle()
        yield beam.pvalue.TaggedOutput("pool", timeless(self.drawn.whole()))

    def work(self, bucket: Bucket) -> Iterator[Any]:
        """Read, merge, cut, write."""
        calendar = Calendar.of(self.day, self.clock, self.config.window_ms)
        known = know(self.inputs, bucket, calendar, self.config.click_share)
        history = sequence.carry(known.timeline, known.users, calendar.horizon_ms)
        if history.num_rows:
            counts = {
                "users": len(distinct(history.column("user_hash").to_numpy())),
                "behaviors": known.behaviors.num_rows,
                "duplicates": known.duplicates,
            }
            yield _write(self.outputs.history, bucket, history, counts)
        waiting = _open(known.arrived.own, known.timeline, calendar)
        if waiting.num_rows:
            entry = _write(self.outputs.open, bucket, waiting, {"open": waiting.num_rows})
            yield beam.pvalue.TaggedOutput("open", entry)
        self.drawn.add(negatives.pool_of(_of_the_day(known.behaviors, calendar), self.drawn.size))


def _of_the_day(behaviors: pa.Table, calendar: Calendar) -> pa.Table:
    ts = behaviors.column("ts").cast(pa.int64()).to_numpy()
    rows = behaviors.select(["user_hash", "item_id", "type", "key"])
    return rows.filter(pa.array(calendar.holds(ts)))


class Sequences(beam.PTransform):
    """Buckets -> recorded files of the three tables."""

    def __init__(self, extend: Extend) -> None:
        super().__init__()
        self.extend = extend

    def expand(self, all_buckets: Any) -> Any:
        """Work through the buckets, gather entries and the pool."""
        outputs, size = self.extend.outputs, self.extend.config.pool_size
        parts = (
            all_buckets
            | "Spread buckets over workers" >> Spread()
            | "Extend each user's sequence"
            >> beam.ParDo(self.extend).with_outputs("open", "pool", main="history")
        )
        entry = (
            parts.pool
            | "Keep the smallest draws"
            >> beam.CombineGlobally(SmallestDraws(size)).without_defaults()
            | "Write the pool" >> beam.Map(_write_pool, outputs.pool)
        )
        parts.history | "Publish history" >> Publish(outputs.history)
        parts.open | "Publish open moments" >> Publish(outputs.open)
        return entry | "Publish the pool" >> Publish(outputs.pool)


def run(
    store: Store, day: date, config: SequencesConfig, time_zone: str, beam: BeamConfig
) -> Mapping[str, int]:
    """Publish `sequences/dt=day/{history,open,pool}`.

    Raises:
        PartitionMissing: the day's events, or the sequences of the day before, are not there.
        ConfigError: the window is not the one that yesterday's open moments carry; or yesterday, or
            the day's events, end at midnight of another clock.
    """
    before = yesterday(store, "sequences", day, "history")
    if before:
        check_window(store, before, day, config.window_ms)
        require_clock(before, day, time_zone)
    require_clock(store.partition("events", day, "behaviors").require(), day, time_zone)
    stamps = reads.stamps(store, "sequences", day)  # first: what comes meanwhile is noticed later
    inputs = Inputs.of(store, day, before, config.moments)
    if inputs.derived and config.moments == "auto":
        _say_unused(store.partition("events", day, "impressions"))
    names = reads.CARRIED
    target = {name: store.partition("sequences", day, name) for name in names}
    lineage = {
        "day": day.isoformat(),
        **config.lineage(),
        "window_ms": config.window_ms,
        "time_zone": time_zone,
        "derived": inputs.derived,
        "click_share": config.click_share,
        "inputs": stamps,
    }
    with (
        target["history"].publish(**lineage) as history,
        target["open"].publish(**lineage) as waiting,
        target["pool"].publish(**lineage) as pool,
        pipeline(beam) as p,
    ):
        outputs = Outputs(history, waiting, pool)
        extend = Extend(inputs, outputs, day, config, LocalClock(time_zone), beam.threads)
        p | "Name the buckets" >> _create(beam.buckets) | Sequences(extend)
    manifests = {name: target[name].manifest() for name in names}
    counts = {key: value for m in manifests.values() for key, value in m.counts.items()}
    counts |= {name: manifests[name].rows for name in names}
    logger.info(
        "sequences %s: %d behaviours carried, %d moments open, %d repeated rows dropped",
        day,
        counts["history"],
        counts["open"],
        counts.get("duplicates", 0),
    )
    return counts


def check_window(store: Store, partition: Partition, day: date, window_ms: int) -> None:
    """Refuse to go on to `day` from one that was built with another attribution window."""
    then = partition.manifest().lineage["window_ms"]
    if then != window_ms:
        first = day_of(oldest(store, day) or partition)
        raise ConfigError(
            f"sequences.window_minutes is {window_ms / 60_000:g}, but {partition.key} was built "
            f"with {then / 60_000:g}. Set it back, or build sequences again from the first day of "
            f"the log: `dupn sequences --from {first} --to {day}`. Samples that are there keep the "
            "labels of their window until `dupn samples` is run for their days."
        )


def _say_unused(pages: Partition) -> None:
    """Moments stay derived although there is a table of pages."""
    if pages.exists():
        logger.warning(
            "%s has %d pages, none of which the log itself sent or its behaviours name by "
            "request_id: moments stay derived. Set sequences.moments=pages if they are its log.",
            pages.key,
            pages.manifest().rows,
        )


def _open(own: Moments, known: Timeline, calendar: Calendar) -> pa.Table:
    rows = np.flatnonzero(moment.open_rows(own, calendar))
    return moment.with_histories(own.take(rows), known)


def _write(
    attempt: Attempt, bucket: Bucket, table: pa.Table, counts: Mapping[str, int]
) -> FileEntry:
    return attempt.write_table(
        bucket.name,
        table,
        low=bucket.low,
        high=bucket.high,
        counts=counts,
        use_dictionary=["user_id", "item_id"],
        column_encoding=planes(table.schema),
        write_statistics=False,
    )


def _write_pool(pool: pa.Table, attempt: Attempt) -> FileEntry:
    return attempt.write_table("pool", pool)


def _create(count: int) -> Any:
    return beam.Create(buckets(count))
