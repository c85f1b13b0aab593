"""The items behind the catalog -> `catalog/dt=D`, by row (second pass of `dupn vocabulary`).

Items lie in hash order; the catalog is read by row. So each hash range is turned into catalog rows
and handed over in chunks of rows, which are then written in order. Local runners hold what is
handed over in memory: a large catalog is listed some chunks at a time, and read as many times.
"""

from collections.abc import Iterable, Iterator, Mapping
from datetime import date
from typing import Any

import apache_beam as beam
import numpy as np
import pyarrow as pa

from features import carry, held
from features.buckets import Bucket, buckets
from features.catalog import FIRST_ROW, INDEX
from features.items import listing
from features.items import state as items
from features.items.listing import Legend
from features.schemas import CATALOG
from features.vocabulary import VocabularyConfig
from infra.store import Attempt, FileEntry, Partition, Store
from pipeline.beam.run import BeamConfig, Publish, Spread, pipeline

CHUNK = 1 << 18
"""Catalog rows a file; not a setting, because equal data should lie in equal files."""

AT_A_TIME = 4
"""Chunks that are handed over at a time: about a million rows, of some 600 bytes with a title."""


class ListItems(beam.DoFn):
    """A hash range of items -> those catalog rows that lie in `chunks`, by chunk."""

    def __init__(
        self, index: Partition, chunks: range, day: date, before: date | None, min_prices: int
    ) -> None:
        self.index = index
        self.chunks = chunks
        self.day = day
        self.before = before
        self.min_prices = min_prices
        self.legend: Legend | None = None

    def process(self, bucket: Bucket) -> Iterator[tuple[int, pa.Table]]:
        """Read one range; vocabularies are loaded once a worker."""
        store = Store(self.index.root)
        if self.legend is None:
            self.legend = listing.legend(store, self.day, self.before, self.min_prices)
        state = items.read(self.index, bucket)
        state = state.filter(pa.array(np.isin(state["row"].to_numpy() // CHUNK, self.chunks)))
        if not state.num_rows:
            return
        hashes = state.column("item_hash").to_numpy()
        counts = listing.known_counts(store, self.before, bucket, hashes)
        rows = listing.catalog_rows(state, counts, self.legend)
        chunk = rows.column("row").to_numpy() // CHUNK
        for index in np.unique(chunk):
            yield int(index), rows.filter(pa.array(chunk == index))


def write_chunk(element: tuple[int, Iterable[pa.Table]], attempt: Attempt, size: int) -> FileEntry:
    """Rows of one chunk, in order and without gaps below `size`, as a file."""
    index, parts = element
    found = pa.concat_tables(parts).combine_chunks()
    first, stop = max(index * CHUNK, FIRST_ROW), min((index + 1) * CHUNK, size)
    gaps = np.setdiff1d(np.arange(first, stop), found.column("row").to_numpy())
    rows = pa.concat_tables([found, listing.nobody(gaps)]) if len(gaps) else found
    order = np.argsort(rows.column("row").to_numpy())
    return attempt.write_table(f"rows-{index * CHUNK:010d}", rows.take(pa.array(order)))


class ListCatalog(beam.PTransform):
    """Hash ranges -> some chunks of the catalog."""

    def __init__(self, list_items: ListItems, attempt: Attempt, size: int) -> None:
        super().__init__()
        self.list_items = list_items
        self.attempt = attempt
        self.size = size

    def expand(self, ranges: Any) -> Any:
        """List, bring into row order, write."""
        every = [(index, CATALOG.empty_table()) for index in self.list_items.chunks]
        listed = ranges | "Look items up" >> beam.ParDo(self.list_items)
        return (
            (listed, ranges.pipeline | "Keep every chunk" >> beam.Create(every))
            | "Put rows together" >> beam.Flatten()
            | "Gather chunks of rows" >> beam.GroupByKey()
            | "Write in row order" >> beam.Map(write_chunk, self.attempt, self.size)
            | "Publish the catalog" >> Publish(self.attempt)
        )


def run(
    store: Store,
    day: date,
    *,
    config: VocabularyConfig,
    beam_config: BeamConfig,
    lineage: Mapping[str, Any],
) -> Mapping[str, int]:
    """Publish `catalog/dt=D` from `catalog/dt=D/items` and the vocabulary of the day.

    Args:
        store: where they are published.
        day: the day.
        config: its settings.
        beam_config: runner and buckets.
        lineage: what the day was made from, and by which settings.

    Raises:
        PartitionMissing: statistics of the day before are not published.
    """
    index = store.partition("catalog", day, INDEX).require()
    before = None
    if carry.yesterday(store, "catalog", day, INDEX):
        before = day - carry.ONE_DAY
        store.partition("statistics", before, "item").require()
    rows = index.manifest().rows
    count = max(1, min(beam_config.buckets, -(-rows // config.rows_per_range)))
    held_on = {held.NOTE: held.note(store, day)}
    with store.partition("catalog", day).publish(**lineage, **held_on) as attempt:
        size = _size(index)
        for chunks in _passes(size):
            list_items = ListItems(index, chunks, day, before, config.min_prices)
            with pipeline(beam_config) as flow:
                _ = (
                    flow
                    | "Name the ranges" >> beam.Create(buckets(count))
                    | "Spread the ranges" >> Spread()
                    | "List the catalog" >> ListCatalog(list_items, attempt, size)
                )
    return {"items": rows}


def _passes(size: int) -> list[range]:
    """Numbers of the chunks that are listed at a time; together all below row `size`."""
    every = range(FIRST_ROW // CHUNK, -(-size // CHUNK) if size > FIRST_ROW else 0)
    return [every[at : at + AT_A_TIME] for at in range(0, len(every), AT_A_TIME)] or [every]


def _size(index: Partition) -> int:
    """One past the last row of an item; on a day that was built again, there are gaps before it."""
    manifest = index.manifest()
    if manifest.lineage["size"] == FIRST_ROW + manifest.rows:
        return FIRST_ROW + manifest.rows
    tops = [index.table(["row"], [entry])["row"].to_numpy().max() for entry in manifest.files]
    return int(max(tops, default=FIRST_ROW - 1)) + 1
