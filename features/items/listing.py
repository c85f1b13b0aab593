"""Items in raw ids -> rows of the catalog: vocabulary rows, tags and price level."""

from dataclasses import dataclass
from datetime import date

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from features import hash_range, price, vocabulary
from features.buckets import Bucket
from features.catalog import INDEX, lookup
from features.items import deciles, sightings, statistics
from features.items.counts import Counts, Overall, of_table
from features.price import NO_EDGES, PriceEdges
from features.schemas import CATALOG, PADDING, TAGS_PER_ITEM, UNKNOWN_ROW
from features.vocabulary import FIRST_PRICE_ROW, TAG_STATISTICS, Vocabulary
from infra.store import Store

ATTRIBUTE_TAGS = TAGS_PER_ITEM - len(TAG_STATISTICS) - 1
"""Tags of its own that an item keeps; the rest of its places are for statistics."""


@dataclass(frozen=True, kw_only=True)
class Legend:
    """What turns raw ids and prices into rows: vocabulary of today, figures of yesterday."""

    vocabularies: dict[str, Vocabulary]
    overall: Overall
    prices: PriceEdges


def legend(store: Store, day: date, before: date | None, min_prices: int) -> Legend:
    """Today's vocabularies with price edges and deciles of the day before.

    Args:
        store: where they are published.
        day: of the vocabularies.
        before: of the statistics; None on the first day, when the edges come from the snapshot.
        min_prices: priced items that a category needs for edges of its own, on the first day.
    """
    names = (*sightings.ATTRIBUTES, "tag")
    vocabularies = {name: vocabulary.load(store, day, name) for name in names}
    if before is None:
        edges = _edges_of_snapshot(store, day, vocabularies["category"], min_prices)
        return Legend(vocabularies=vocabularies, overall=Overall(), prices=edges)
    published = store.partition("statistics", before, "price").table()
    overall = statistics.overall_of(store.partition("statistics", before, "overall").table())
    return Legend(vocabularies=vocabularies, overall=overall, prices=price.of_table(published))


def _edges_of_snapshot(
    store: Store, day: date, categories: Vocabulary, min_prices: int
) -> PriceEdges:
    """Prices that a snapshot states are known when the first day starts; inline prices are not."""
    columns = ["listed", "category_id", "price"]
    items = store.partition("catalog", day, INDEX).table(columns)
    if not items.num_rows:
        return NO_EDGES
    listed = items.filter(items.column("listed"))
    prices = listed.column("price").fill_null(float("nan")).to_numpy()
    rows = categories.rows_of(listed.column("category_id"))
    return price.of_table(price.quantile_edges(prices, rows, min_prices))


def known_counts(
    store: Store, before: date | None, bucket: Bucket, hashes: NDArray[np.uint64]
) -> Counts:
    """Statistics of the day before for the items of a hash range; zeros for new items."""
    partition = store.partition("statistics", before, "item") if before else None
    table = hash_range.read(partition, bucket, statistics.ITEM, "item_hash")
    known = table.column("item_hash").to_numpy()
    places = np.arange(len(known), dtype=np.int32) + UNKNOWN_ROW + 1
    at = lookup(hashes, known, places) - UNKNOWN_ROW - 1
    return of_table(table).take(np.where(at < 0, len(known), at))


def catalog_rows(items: pa.Table, counts: Counts, how: Legend) -> pa.Table:
    """Items (features.items.state.STATE, rows given) -> CATALOG, in the order of the items."""
    own = {
        feature: how.vocabularies[feature].rows_of(items.column(name))
        for feature, name in sightings.ATTRIBUTES.items()
    }
    prices = items.column("price").fill_null(float("nan")).to_numpy()
    level = how.prices.levels(prices, own["category"])
    tags = np.hstack(
        [
            attribute_tags(items.column("tags"), how.vocabularies["tag"]),
            deciles.tag_rows(counts, how.overall),
            np.where(level > 0, FIRST_PRICE_ROW + level.astype(np.int32) - 1, PADDING)[:, None],
        ]
    )
    vocabulary_row = np.maximum(items.column("item").to_numpy(), UNKNOWN_ROW)
    return (
        pa.table(
            {
                "item_id": items.column("item_id"),
                "row": items.column("row"),
                "item": pa.array(vocabulary_row, pa.int32()),
                **{name: pa.array(rows) for name, rows in own.items()},
                "tags": pa.FixedSizeListArray.from_arrays(pa.array(tags.ravel()), TAGS_PER_ITEM),
                "price": items.column("price"),
                "price_level": pa.array(level),
                "title": items.column("title"),
            }
        )
        .select(CATALOG.names)
        .cast(CATALOG)
    )


def nobody(rows: NDArray[np.int64]) -> pa.Table:
    """CATALOG for rows whose items nobody has seen by that day: unknown in everything.

    There are such rows only where a day is built again (`dupn backfill`) after later days: items
    of those days keep their rows, so the day's catalog has places for them.
    """
    unknown = np.full(len(rows), UNKNOWN_ROW, np.int32)
    none = np.full(len(rows) * TAGS_PER_ITEM, PADDING, np.int32)
    return (
        pa.table(
            {
                "item_id": pa.nulls(len(rows), pa.string()),
                "row": rows.astype(np.int32),
                **dict.fromkeys(("item", "brand", "shop", "category"), unknown),
                "tags": pa.FixedSizeListArray.from_arrays(pa.array(none), TAGS_PER_ITEM),
                "price": pa.nulls(len(rows), pa.float32()),
                "price_level": np.zeros(len(rows), np.int8),
                "title": pa.nulls(len(rows), pa.string()),
            }
        )
        .select(CATALOG.names)
        .cast(CATALOG)
    )


def attribute_tags(tags: pa.ChunkedArray, known: Vocabulary) -> NDArray[np.int32]:
    """The first tags of each item as vocabulary rows, [n, ATTRIBUTE_TAGS], 0 padded."""
    lists = tags.combine_chunks()
    rows = known.rows_of(lists.flatten())
    lengths = lists.value_lengths().fill_null(0).to_numpy()
    owner = np.repeat(np.arange(len(lengths)), lengths)
    place = np.arange(len(rows)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    kept = place < ATTRIBUTE_TAGS
    out = np.full((len(lengths), ATTRIBUTE_TAGS), PADDING, np.int32)
    out[owner[kept], place[kept]] = rows[kept]
    return out
