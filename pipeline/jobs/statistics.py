"""Events of a day -> `statistics/dt=D/*`: yesterday's counts, faded, and today's.

Users are counted bucket by bucket; the partial counts meet yesterday's items in ranges of the
item's hash. Then the day is closed with arrays over the catalog: sums by shop, brand and category,
price quantiles, and the night's LR-CTR weights (labels of today, features of yesterday).

A click may come after midnight, or a day late: it is looked for on the pages of the day before,
too. One that comes before its page, or two days after, finds none; a display that is clicked on
both days counts on both. LR-CTR alone learns from the day's own clicks: it does not wait a day.
"""

import logging
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import date
from typing import Any

import apache_beam as beam
import pyarrow as pa

from features import carry, hash_range, inputs
from features.buckets import Bucket, buckets, split
from features.items import lr_sample, tally
from features.items import statistics as known
from features.items.statistics import StatisticsConfig
from features.pages import united, users_of
from features.quality.page_log import is_paged
from features.schemas import BEHAVIORS, IMPRESSIONS
from features.sequence import MomentsMode
from infra.store import Attempt, FileEntry, Partition, Store
from pipeline.beam.merging import Together
from pipeline.beam.run import BeamConfig, Publish, Spread, pipeline
from pipeline.beam.threaded import Threaded
from pipeline.jobs import closing

logger = logging.getLogger(__name__)

SAMPLES = "samples"
PAGED = "paged"
"""In the lineage of a day's items: pages were its moments."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a run reads and how it is divided; small and picklable."""

    day: date
    config: StatisticsConfig
    behaviors: Partition
    pages: Partition | None
    """The day's, if pages are its moments."""
    paged: bool
    """Whether they are; a day of such a log that lacks them has shown nothing."""
    before: Partition | None
    """Yesterday's items."""
    pages_before: Partition | None
    """Yesterday's pages, if they were counted."""
    batches: tuple[Bucket, ...]
    """Ranges of the user hash that are counted at a time."""
    ranges: int
    rate: float
    """Share of the pages (clicks, without pages) that LR-CTR learns from."""
    threads: int = 1
    """Batches under way at a time."""


def plan(
    store: Store,
    day: date,
    config: StatisticsConfig,
    beam_config: BeamConfig,
    moments: MomentsMode = "auto",
) -> Plan:
    """Look at manifests and footers, and divide the work.

    Raises:
        PartitionMissing: events of the day, or statistics of the day before, are not published.
    """
    behaviors = store.partition("events", day, "behaviors").resolved()
    pages = store.partition("events", day, "impressions")
    pages = pages.resolved() if pages.exists() else pages
    before = carry.yesterday(store, "statistics", day, "item")
    before = before.resolved() if before else None
    rows = behaviors.manifest().rows
    displays = hash_range.values(pages, "item_ids")
    at_most = rows + displays + (before.manifest().rows if before else 0)
    was = bool(before and before.manifest().lineage.get(PAGED))
    paged = is_paged(store, day, moments, before=was)
    earlier = store.partition("events", day - carry.ONE_DAY, "impressions")
    pages_before = earlier.resolved() if paged and was and earlier.exists() else None
    shown = hash_range.values(pages_before, "item_ids") if pages_before else 0
    wanted = config.lr_samples if paged else config.lr_samples / (1 + config.lr_negatives)
    offered = displays if paged else rows
    return Plan(
        day=day,
        config=config,
        behaviors=behaviors,
        pages=pages if paged and pages.exists() else None,
        paged=paged,
        before=before,
        pages_before=pages_before,
        batches=tuple(
            hash_range.batches(  # of two days' pages a batch holds one at a time
                rows + max(displays, shown), config.rows_per_batch, beam_config.buckets
            )
        ),
        ranges=max(1, min(beam_config.buckets, -(-at_most // config.rows_per_range))),
        rate=min(1.0, wanted / max(offered, 1)),
        threads=beam_config.threads,
    )


class CountBucket(Threaded):
    """A bucket of users -> counts per item by hash range, and its part of LR-CTR's sample."""

    def __init__(self, plan: Plan, sample: Attempt) -> None:
        super().__init__(plan.threads)
        self.plan = plan
        self.sample = sample

    def work(self, bucket: Bucket) -> Iterator[Any]:
        """Read the bucket once."""
        work = self.plan
        columns = ["user_hash", "item_id", "type", "request_id" if work.paged else "key"]
        behaviors = hash_range.read(
            work.behaviors, bucket, BEHAVIORS, "user_hash", columns, ["item_id"]
        )
        if behaviors.num_rows:
            yield from self._by_range(tally.behaviors(behaviors))
        if not work.paged:
            drawn = lr_sample.from_clicks(behaviors, work.rate)
        else:
            late = tally.clicked(
                behaviors, _pages(work.pages_before, bucket)
            )  # first: then it goes
            pages = _pages(work.pages, bucket)
            pages = united(pages, users_of(pages)).pages  # a display is one, whatever rows say it
            if pages.num_rows:
                yield from self._by_range(tally.displays(pages.column("item_ids")))
            yield from self._by_range(tally.page_clicks([late, tally.clicked(behaviors, pages)]))
            drawn = lr_sample.from_pages(pages, behaviors, work.rate)
        if drawn.num_rows:
            clicked = int(drawn.column("clicked").to_numpy().sum())
            entry = self.sample.write_table(bucket.name, drawn, counts={"clicked": clicked})
            yield beam.pvalue.TaggedOutput(SAMPLES, entry)

    def _by_range(self, counts: pa.Table) -> Iterator[tuple[int, pa.Table]]:
        yield from split(counts, counts.column("item_hash").to_numpy(), self.plan.ranges)


def _pages(part: Partition | None, bucket: Bucket) -> pa.Table:
    columns = ["user_hash", "ts", "request_id", "item_ids"]
    coded = ["item_ids.list.element"]
    return hash_range.read(part, bucket, IMPRESSIONS, "user_hash", columns, coded)


def merge_range(
    element: tuple[int, Iterable[list[pa.Table]]], work: Plan, attempt: Attempt
) -> Iterator[FileEntry]:
    """Today's counts of a hash range + yesterday's rows -> a file of items."""
    index, found = element
    bucket = buckets(work.ranges)[index]
    state = hash_range.read(work.before, bucket, known.ITEM, "item_hash")
    today = [part for parts in found for part in parts]
    rows = tally.merge(state, today, work.day, work.config.decay)
    if rows.num_rows:
        yield attempt.write_table(bucket.name, rows, low=bucket.low, high=bucket.high)


class CountItems(beam.PTransform):
    """Buckets of users -> statistics of items, and LR-CTR's sample."""

    def __init__(self, work: Plan, items: Attempt, sample: Attempt) -> None:
        super().__init__()
        self.work = work
        self.items = items
        self.sample = sample

    def expand(self, users: Any) -> Any:
        """Count, merge by hash range, write."""
        counted = users | "Count events of items" >> beam.ParDo(
            CountBucket(self.work, self.sample)
        ).with_outputs(SAMPLES, main="counts")
        every: list[tuple[int, list[pa.Table]]] = [(index, []) for index in range(self.work.ranges)]
        carried = users.pipeline | "Keep every range" >> beam.Create(every)
        _ = counted[SAMPLES] | "Publish the sample" >> Publish(self.sample)
        counts = counted["counts"] | "Put counts together" >> beam.CombinePerKey(
            Together(tally.together)
        )
        return (
            (counts, carried)
            | "With ranges that nothing was counted in" >> beam.Flatten()
            | "Gather by hash range" >> beam.GroupByKey()
            | "Merge with yesterday" >> beam.FlatMap(merge_range, self.work, self.items)
            | "Publish the items" >> Publish(self.items)
        )


def run(
    store: Store,
    day: date,
    *,
    config: StatisticsConfig,
    beam: BeamConfig,
    moments: MomentsMode = "auto",
) -> Mapping[str, int]:
    """Publish `statistics/dt=D/*`; the number of items, groups and displays learned from.

    Args:
        store: with the day's events and catalog.
        day: the day.
        config: how counts fade and LR-CTR learns.
        beam: how the work is divided.
        moments: `sequences.moments`: without pages, clicks are held against drawn negatives.

    Raises:
        PartitionMissing: events or vocabulary of the day, or statistics of the day before, are not
            published.
    """
    store.partition("catalog", day).require()
    stamps = inputs.stamps(store, "statistics", day)  # first: what comes meanwhile is noticed later
    work = plan(store, day, config, beam, moments)
    lineage = {**config.lineage(moments=moments), "inputs": stamps}
    with ExitStack() as stack:
        items, sample = (
            stack.enter_context(store.partition("statistics", day, name).publish(**facts))
            for name, facts in (("item", {**lineage, PAGED: work.paged}), ("lr_sample", lineage))
        )
        with pipeline(beam) as flow:
            _ = _count(flow, CountItems(work, items, sample))
    counts = closing.close(store, day, config, paged=work.paged, lineage=lineage)
    logger.info(
        "statistics %s: %s items with events; LR-CTR learned from %s displays, %s clicked",
        day,
        *(f"{counts[name]:,}" for name in ("items", "displays", "clicked")),
    )
    return counts


def _count(flow: Any, count_items: CountItems) -> Any:
    return (
        flow
        | "Name the buckets" >> beam.Create(count_items.work.batches)
        | "Spread the buckets" >> Spread()
        | "Count items" >> count_items
    )
