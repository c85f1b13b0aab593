"""The catalog as arrays: what every step after `vocabulary` knows of an item, by catalog row.

Rows are dense and append-only, so arrays of day D also serve everything written on days before.
Row 0 is padding and row 1 the item that nobody knows; real items start at row 2.
"""

from dataclasses import dataclass
from datetime import date

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from features.buckets import hash_distinct
from features.schemas import TAGS_PER_ITEM, UNKNOWN_ROW
from infra.errors import PartitionCorrupt, PartitionMissing
from infra.store import Store

FIRST_ROW = 2

INDEX = "items"
"""`catalog/dt=D/items`: the carried state behind the catalog, by hash (features.items.state)."""

COLUMNS = "columns"
"""Key of a catalog's lineage: its day's vocabularies of columns, beside those of every day."""


def columns(store: Store, day: date) -> tuple[str, ...]:
    """Vocabularies of columns that a day has closed with; none where its catalog does not say."""
    try:
        return tuple(store.partition("catalog", day).manifest().lineage.get(COLUMNS, ()))
    except (PartitionMissing, PartitionCorrupt):
        return ()


@dataclass(frozen=True, kw_only=True)
class CatalogArrays:
    """One entry per catalog row in every array."""

    item: NDArray[np.int32]
    brand: NDArray[np.int32]
    shop: NDArray[np.int32]
    category: NDArray[np.int32]
    tags: NDArray[np.int32]
    """Rows of the tag vocabulary, [N, TAGS_PER_ITEM], 0 padded."""
    price: NDArray[np.float32]
    """NaN where unknown."""
    price_level: NDArray[np.int8]
    """1..7 within the category, 0 where unknown."""
    hashes: NDArray[np.uint64]
    """Hashes of the item ids, ascending; `rows` beside them."""
    rows: NDArray[np.int32]

    @property
    def num_rows(self) -> int:
        """Rows 0 and 1 included."""
        return len(self.item)

    def is_item(self) -> NDArray[np.bool_]:
        """Which rows have an item by now: all real rows, but for a day that was built again."""
        known = np.zeros(self.num_rows, bool)
        known[self.rows] = True
        return known

    def rows_of(self, ids: pa.Array | pa.ChunkedArray) -> NDArray[np.int32]:
        """The catalog row of each id; 1 for null and for items that nobody has seen.

        Dictionary arrays are looked up once per distinct id. Ids are told apart by their 64-bit
        hash: with ten million items the chance that any two share one is three in a million.
        """
        whole = ids.combine_chunks() if isinstance(ids, pa.ChunkedArray) else ids
        coded = whole if pa.types.is_dictionary(whole.type) else whole.dictionary_encode()
        found = self.rows_of_distinct(coded.dictionary)
        codes = coded.indices.fill_null(len(found)).to_numpy(zero_copy_only=False)
        return np.append(found, np.int32(UNKNOWN_ROW))[codes]

    def rows_of_distinct(self, ids: pa.Array) -> NDArray[np.int32]:
        """`rows_of` for plain ids of which none is null and each stands there once."""
        return lookup(hash_distinct(ids), self.hashes, self.rows)


def lookup(
    wanted: NDArray[np.uint64], hashes: NDArray[np.uint64], rows: NDArray[np.int32]
) -> NDArray[np.int32]:
    """`rows` at the places where `hashes` (ascending) equals `wanted`; 1 where it does not."""
    if not len(hashes):
        return np.full(len(wanted), UNKNOWN_ROW, np.int32)
    order = np.argsort(wanted)  # searching for ascending values walks instead of jumping
    ascending = wanted.take(order)
    place = np.minimum(np.searchsorted(hashes, ascending), len(hashes) - 1)
    found = np.empty(len(wanted), np.int32)
    found[order] = np.where(hashes.take(place) == ascending, rows.take(place), UNKNOWN_ROW)
    return found


def empty() -> CatalogArrays:
    """Padding and unknown only: the catalog before the first day."""
    return _with_first_rows({}, np.empty((0, TAGS_PER_ITEM), np.int32), _NO_INDEX)


def load(store: Store, day: date) -> CatalogArrays:
    """The catalog of `day`.

    Raises:
        PartitionMissing: `vocabulary` has not run for that day.
    """
    columns = ["item", "brand", "shop", "category", "tags", "price", "price_level"]
    table = store.partition("catalog", day).require().table(columns)
    index = store.partition("catalog", day, INDEX).table(["item_hash", "row"])
    if not table.num_rows:
        return empty()
    tags = table.column("tags").combine_chunks().flatten().to_numpy()
    plain = {
        name: table.column(name).to_numpy() for name in columns if name not in ("tags", "price")
    }
    plain["price"] = table.column("price").fill_null(float("nan")).to_numpy()
    keys = (index.column("item_hash").to_numpy(), index.column("row").to_numpy())
    return _with_first_rows(plain, tags.reshape(-1, TAGS_PER_ITEM), keys)


def load_titles(store: Store, day: date) -> pa.Array:
    """Titles by catalog row; null where unknown (and in rows 0 and 1)."""
    table = store.partition("catalog", day).require().table(["title"])
    head = pa.nulls(FIRST_ROW, pa.string())
    if not table.num_rows:
        return head
    return pa.concat_arrays([head, *table.column("title").chunks])


def load_listed(store: Store, day: date) -> NDArray[np.bool_]:
    """By catalog row, whether a snapshot has named the item by then."""
    index = store.partition("catalog", day, INDEX).require().table(["row", "listed"])
    rows = index.column("row").to_numpy()
    listed = np.zeros(max(int(rows.max(initial=0)), UNKNOWN_ROW) + 1, bool)
    listed[rows] = index.column("listed").to_numpy()
    return listed


_NO_INDEX = (np.empty(0, np.uint64), np.empty(0, np.int32))


def _with_first_rows(
    plain: dict[str, NDArray[np.generic]],
    tags: NDArray[np.int32],
    index: tuple[NDArray[np.uint64], NDArray[np.int32]],
) -> CatalogArrays:
    rows = {
        name: np.concatenate([[0, UNKNOWN_ROW], plain.get(name, [])]).astype(np.int32)
        for name in ("item", "brand", "shop", "category")
    }
    none = np.zeros((FIRST_ROW, TAGS_PER_ITEM), np.int32)
    return CatalogArrays(
        **rows,
        tags=np.concatenate([none, tags]).astype(np.int32),
        price=np.concatenate([[np.nan] * FIRST_ROW, plain.get("price", [])]).astype(np.float32),
        price_level=np.concatenate([[0, 0], plain.get("price_level", [])]).astype(np.int8),
        hashes=index[0],
        rows=index[1],
    )
