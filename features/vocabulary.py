"""Vocabularies: raw id -> row of an embedding table, append-only from day to day.

Row 0 is padding and row 1 unknown; an id is admitted when it has been counted often enough and
then keeps its row for ever, so that old samples and old checkpoints stay valid. New rows are given
in the order of (hash, id): however the ids were spread over workers, they get the same rows.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Annotated

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pydantic import Field, field_validator

from features.buckets import hash_ids
from features.catalog import FIRST_ROW, columns, lookup
from features.schemas import FEATURES, PRICE_LEVELS, UNKNOWN_ROW, VOCABULARY
from infra.config import BOUND, Config, named
from infra.errors import PartitionMissing
from infra.store import Partition, Store

PENDING = -1
"""Row of an id that was seen, but not yet often enough."""

TAG_STATISTICS = ("popularity", "ctr", "cvr")
STATISTIC_TAGS = tuple(f"stat:{name}:{k}" for name in TAG_STATISTICS for k in range(11))
"""Tags that stand for a decile (1..10) of the days before, or for no evidence (0).

They take the first rows of the tag vocabulary, so that a statistic is a constant row."""
PRICE_TAGS = tuple(f"price:{level}" for level in range(1, PRICE_LEVELS + 1))
"""Tags that stand for the price level within the category: the next rows."""
FIRST_PRICE_ROW = FIRST_ROW + len(STATISTIC_TAGS)

STATE = pa.schema([("hash", pa.uint64()), *VOCABULARY])
COUNTED = pa.schema([("hash", pa.uint64()), ("id", pa.string()), ("count", pa.int64())])


class VocabularyConfig(Config):
    """Which ids earn a row."""

    min_count: dict[str, Annotated[int, Field(ge=1)]] = Field(
        default_factory=lambda: {"item": 2, "token": 2}
    )
    """Sightings (behaviours, displays, snapshots) up to a day that admit an id; 1 for features not
    named. Two for items and words: an embedding met once is never read again, and in the real logs
    more than half of all items are met once; they keep their shop, brand, category and tags. An
    item is sighted by its displays on a day that has any, else by its behaviours."""

    min_prices: int = Field(20, ge=1)
    """Priced items that a category needs for price levels of its own on the first day, when the
    edges come from the snapshot; later days take the edges of the statistics."""

    rows_per_batch: Annotated[int, BOUND] = Field(1_000_000, ge=1)
    """Behaviours, items on pages and icons shown that one worker counts at a time (about 40 bytes
    each, 100 on pages that name an item twice); at least a bucket."""

    rows_per_range: Annotated[int, BOUND] = Field(500_000, ge=1)
    """Ids that one worker merges at a time (about 100 bytes each, an item with its title some 800);
    at least a `beam.buckets`th of all."""

    @field_validator("min_count")
    @classmethod
    def _features(cls, counts: dict[str, int]) -> dict[str, int]:
        """What a feature that there is not must show would never be asked."""
        ours = {name: count for name, count in counts.items() if not name.startswith("profile_")}
        named(ours, FEATURES, "a vocabulary (or profile_<column>)")
        return counts

    def needed(self, feature: str) -> int:
        """Sightings that `feature` asks for."""
        return self.min_count.get(feature, 1)


@dataclass(frozen=True, kw_only=True)
class Vocabulary:
    """The admitted ids of one feature."""

    feature: str
    hashes: NDArray[np.uint64]
    """Ascending; `rows` beside them."""
    rows: NDArray[np.int32]

    @property
    def num_rows(self) -> int:
        """Rows of the embedding table, padding and unknown included."""
        return FIRST_ROW + len(self.rows)

    def rows_of(self, ids: pa.Array | pa.ChunkedArray) -> NDArray[np.int32]:
        """The row of each id; 1 for null and for ids that were not admitted."""
        whole = ids.combine_chunks() if isinstance(ids, pa.ChunkedArray) else ids
        coded = whole if pa.types.is_dictionary(whole.type) else whole.dictionary_encode()
        found = lookup(hash_ids(coded.dictionary), self.hashes, self.rows)
        codes = coded.indices.fill_null(len(found)).to_numpy(zero_copy_only=False)
        return np.append(found, np.int32(UNKNOWN_ROW))[codes]


def of_table(feature: str, table: pa.Table) -> Vocabulary:
    """A vocabulary from published rows, in any order."""
    if not table.num_rows:
        none = np.empty(0, np.int32)
        return Vocabulary(feature=feature, hashes=none.astype(np.uint64), rows=none)
    rows = table.column("row").to_numpy()
    admitted = rows >= FIRST_ROW
    hashes = hash_ids(table.column("id").combine_chunks().filter(pa.array(admitted)))
    order = np.argsort(hashes, kind="stable")
    return Vocabulary(feature=feature, hashes=hashes[order], rows=rows[admitted][order])


def load(store: Store, day: date, feature: str) -> Vocabulary:
    """One feature's vocabulary of `day`; empty for a column that no snapshot had so far.

    Raises:
        PartitionMissing: `vocabulary` has not run for that day.
    """
    partition = store.partition("vocabulary", day, feature)
    if not partition.exists():
        store.partition("catalog", day).require()
        return of_table(feature, VOCABULARY.empty_table())
    return of_table(feature, partition.table(["id", "row"]))


def there(store: Store, day: date) -> list[str]:
    """Features of `day` that are published, sorted, whether or not that is all of them."""
    names = store.partition("vocabulary", day).names()
    return [name for name in names if store.partition("vocabulary", day, name).exists()]


def published(store: Store, day: date, prefix: str = "") -> list[str]:
    """Features of `day` whose name starts with `prefix` (`profile_`, `icon_`), sorted.

    Raises:
        PartitionMissing: `vocabulary` has not run for that day, or one that it made is lost.
    """
    found = [name for name in there(store, day) if name.startswith(prefix)]
    for name in columns(store, day):
        if name.startswith(prefix) and name not in found:
            store.partition("vocabulary", day, name).require()
    if not found and not store.partition("catalog", day).exists():
        raise PartitionMissing(
            f"vocabulary/dt={day} is not published. Run `dupn vocabulary --day {day}` first."
        )
    return found


def size(store: Store, day: date, feature: str) -> int:
    """Rows of the embedding table of `feature`, from the manifest alone."""
    partition = store.partition("vocabulary", day, feature)
    return first_free(partition) if partition.exists() else FIRST_ROW


def first_free(partition: Partition) -> int:
    """One past the last row that is given, or kept for an id that earns it on a later day."""
    manifest = partition.manifest()
    return int(manifest.lineage.get("size", FIRST_ROW + admitted(partition)))


def admitted(partition: Partition) -> int:
    """How many ids have a row, from the manifest alone."""
    return partition.manifest().counts.get("admitted", 0)


def not_given(store: Store, day: date, feature: str, size: int) -> NDArray[np.int64]:
    """Rows of a table of `size` that no id has by `day`; none if the feature is not published.

    There are some where the day was built again after a later one, whose ids keep their rows. The
    rows are read only then.
    """
    partition = store.partition("vocabulary", day, feature)
    if not partition.exists():
        return np.empty(0, np.int64)
    free = first_free(partition)
    if free == FIRST_ROW + admitted(partition):
        return np.arange(free, size)
    given = partition.table(["row"])["row"].to_numpy()
    is_free = np.ones(size, np.bool_)  # no sort: a table has millions of rows, and every epoch asks
    is_free[:FIRST_ROW] = False
    is_free[given[(given >= 0) & (given < size)]] = False
    return np.flatnonzero(is_free)


def counted(ids: pa.Array | pa.ChunkedArray) -> pa.Table:
    """How often each id stands in `ids` (nulls left out): a partial count, schema COUNTED."""
    whole = ids.combine_chunks() if isinstance(ids, pa.ChunkedArray) else ids
    coded = whole if pa.types.is_dictionary(whole.type) else whole.dictionary_encode()
    codes = coded.indices.drop_null().to_numpy(zero_copy_only=False)
    times = np.bincount(codes, minlength=len(coded.dictionary))
    met = np.flatnonzero(times)
    distinct = coded.dictionary.take(pa.array(met)).cast(pa.string())
    return pa.table(
        {"hash": hash_ids(distinct), "id": distinct, "count": times[met]}, schema=COUNTED
    )


def initial(feature: str) -> pa.Table:
    """The state before the first day: nothing, but for the tags that stand for figures."""
    if feature != "tag":
        return STATE.empty_table()
    ids = pa.array((*STATISTIC_TAGS, *PRICE_TAGS))
    rows = np.arange(FIRST_ROW, FIRST_ROW + len(ids), dtype=np.int32)
    table = pa.table(
        {"hash": hash_ids(ids), "id": ids, "row": rows, "count": np.zeros(len(ids), np.int64)},
        schema=STATE,
    )
    return table.sort_by([("hash", "ascending"), ("id", "ascending")])


def together(partials: Sequence[pa.Table]) -> pa.Table:
    """Partial counts -> one with a row an id."""
    whole = pl.from_arrow(pa.concat_tables(partials))
    assert isinstance(whole, pl.DataFrame)
    sums = whole.group_by("id").agg(pl.col("hash").first(), pl.col("count").sum())
    return sums.to_arrow().select(COUNTED.names).cast(COUNTED)


def merge(state: pa.Table, partials: Sequence[pa.Table]) -> pa.Table:
    """Yesterday's STATE and today's partial counts of one hash range, in (hash, id) order."""
    if not any(part.num_rows for part in partials):
        return state
    today = pa.concat_tables(partials)
    rows = pa.array(np.full(today.num_rows, PENDING, np.int32))
    both = pl.from_arrow(pa.concat_tables([state, today.add_column(2, "row", rows)]))
    assert isinstance(both, pl.DataFrame)
    whole = (
        both.group_by("id")
        .agg(pl.col("hash").first(), pl.col("row").max(), pl.col("count").sum())
        .sort("hash", "id")
    )
    return whole.to_arrow().select(STATE.names).cast(STATE)


def entrants(state: pa.Table, needed: int) -> NDArray[np.bool_]:
    """Which rows of a merged STATE are admitted today."""
    count = state.column("count").to_numpy()
    rows = state.column("row").to_numpy()
    return np.asarray((rows == PENDING) & (count >= needed))


def keep_rows(state: pa.Table, standing: pa.Table, needed: int) -> pa.Table:
    """STATE in which today's entrants have the rows that they were given before, if they were.

    Args:
        state: merged, in order.
        standing: VOCABULARY of the same day, or a later one, from the last time it was built.
        needed: sightings that the feature asks for.
    """
    if not standing.num_rows:
        return state
    place = pc.index_in(state.column("id"), standing.column("id").combine_chunks())
    then = standing.column("row").take(place).fill_null(PENDING).to_numpy()
    returning = entrants(state, needed) & (then >= FIRST_ROW)
    rows = np.where(returning, then, state.column("row").to_numpy())
    at = state.column_names.index("row")
    return state.set_column(at, "row", pa.array(rows.astype(np.int32)))


def admit(state: pa.Table, needed: int, next_row: int) -> pa.Table:
    """STATE with today's entrants in rows `next_row`, `next_row + 1`, ..."""
    new = entrants(state, needed)
    rows = np.where(new, next_row + np.cumsum(new) - 1, state.column("row").to_numpy())
    place = state.column_names.index("row")
    return state.set_column(place, "row", pa.array(rows.astype(np.int32)))


def next_rows(entrants_of: Mapping[int, int], first_free: int) -> dict[int, int]:
    """Per hash range the first row that its entrants get: ranges in order, densely."""
    rows, free = {}, first_free
    for index in sorted(entrants_of):
        rows[index] = free
        free += entrants_of[index]
    return rows


def with_hash(rows: pa.Table) -> pa.Table:
    """Published rows as STATE."""
    return pa.table([pa.array(hash_ids(rows.column("id"))), *rows.columns], schema=STATE)


def num_admitted(rows: pa.Table) -> int:
    """How many ids of a table have a row."""
    return int((rows.column("row").to_numpy() >= FIRST_ROW).sum())
