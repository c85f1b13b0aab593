"""What is known of every item ever seen: the carried state behind the catalog, in raw ids.

An attribute comes from the latest catalog snapshot; where no snapshot has it, from what behaviours
said inline: the latest by its own time, on whatever day it arrived. Raw ids are kept because a
brand may earn its vocabulary row long after its items were first seen.

An item earns its own row by being met often enough. On a day on which it was on a page only pages
count: if clicks did too, the row of an item met there for the first time would tell that day's
samples whether it was clicked.
"""

from collections.abc import Sequence
from itertools import chain

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from features import hash_range
from features.buckets import Bucket, hash_ids
from features.items.tally import frame_of
from features.schemas import VOCABULARY, conform
from features.timeline import codes_of, strings
from features.vocabulary import PENDING, counted
from infra.store import Partition

ATTRIBUTES = ("shop_id", "brand_id", "category_id")

SAID = (*ATTRIBUTES, "price")
"""What both snapshots and behaviours tell of an item."""

STATE = pa.schema(
    [
        ("item_hash", pa.uint64()),
        ("item_id", pa.string()),
        ("row", pa.int32()),  # catalog row, for ever; -1: not given yet
        ("item", pa.int32()),  # row in the item vocabulary; -1: pending
        ("count", pa.int64()),  # times met: of each day its displays, else its behaviours
        ("listed", pa.bool_()),  # a snapshot has named it
        ("said", pa.int8()),  # which of SAID a snapshot has told of it, a bit each
        *[(name, pa.string()) for name in ATTRIBUTES],
        ("tags", pa.list_(pa.string())),
        ("price", pa.float32()),
        ("title", pa.string()),
        *[(f"{name}_at", pa.int64()) for name in SAID],  # second at which a behaviour said it
    ]
)
"""`catalog/dt=D/items`, by (item_hash, item_id)."""

SEEN = pa.schema(
    [
        ("item_hash", pa.uint64()),
        ("item_id", pa.string()),
        ("count", pa.int64()),  # behaviours
        ("shown", pa.int64()),  # displays
        ("at", pa.int64()),  # second of the latest behaviour with these attributes
        *[(name, pa.string()) for name in ATTRIBUTES],
        ("last_price", pa.uint64()),  # second << 32 | bits of the price: the maximum is the latest
    ]
)
"""A partial count of one batch: one row per item and combination of inline attributes."""


def seen(behaviors: pa.Table) -> pa.Table:
    """Items of behaviours, with what they say inline: schema SEEN."""
    said = [name for name in ATTRIBUTES if _said(behaviors.column(name))]
    if not said and not _said(behaviors.column("price")):
        return _times(behaviors.column("item_id"), "count", "shown")
    second = behaviors.column("ts").cast(pa.int64()).to_numpy() // 1000
    ids = {name: codes_of(behaviors.column(name)) for name in ("item_id", *said)}
    columns = {name: pa.array(coded.codes) for name, coded in ids.items()}
    columns["at"] = pa.array(second)
    columns["last_price"] = _last_price(second, behaviors.column("price"))
    found = (
        frame_of(pa.table(columns))
        .group_by(*ids)
        .agg(pl.len().alias("count"), pl.col("at").max(), pl.col("last_price").max())
    )
    texts = {name: strings(coded.values, found[name].to_numpy()) for name, coded in ids.items()}
    figures = {name: found[name].to_arrow() for name in ("count", "at", "last_price")}
    figures["shown"] = pa.array(np.zeros(len(found), np.int64))
    return _conform(pa.table({**texts, **figures}), SEEN)


def displayed(ids: pa.Array | pa.ChunkedArray) -> pa.Table:
    """Items of pages, with nothing inline: schema SEEN."""
    return _times(ids, "shown", "count")


def together(sightings: Sequence[pa.Table]) -> pa.Table:
    """SEEN tables -> one with a row an item and combination of inline attributes."""
    whole = _combined(frame_of(pa.concat_tables(sightings)))
    return whole.to_arrow().select(SEEN.names).cast(SEEN)


def listed(snapshot: pa.Table) -> pa.Table:
    """Rows of a catalog snapshot as partial STATE: no row, no count."""
    size = snapshot.num_rows
    marks = {
        "row": np.full(size, PENDING, np.int32),
        "item": np.full(size, PENDING, np.int32),
        "count": np.zeros(size, np.int64),
        "listed": np.ones(size, bool),
        "said": _told(snapshot),
    }
    columns = dict(zip(snapshot.column_names, snapshot.columns, strict=True))
    return _conform(pa.table({**columns, **marks}), STATE)


def read(partition: Partition | None, bucket: Bucket) -> pa.Table:
    """STATE of a hash range; what was published without `said` has it of all that is known.

    Times of what behaviours said were not published once; what is said next then counts as later.
    """
    if partition is None or not partition.exists():
        return STATE.empty_table()
    there = _columns(partition)
    older = pa.schema([field for field in STATE if field.name in there])
    rows = hash_range.read(partition, bucket, older, "item_hash")
    if "said" not in there:
        said = np.where(rows.column("listed").to_numpy(), _told(rows), 0).astype(np.int8)
        rows = rows.append_column("said", pa.array(said))
    return conform(rows, STATE)


def _columns(partition: Partition) -> list[str]:
    files = partition.manifest().files
    if not files:
        return STATE.names
    with partition.open(files[0]) as source:
        return list(pq.read_schema(source).names)


def _told(rows: pa.Table) -> NDArray[np.int8]:
    """Bits of what rows tell."""
    known = (rows.column(name).is_valid().to_numpy() for name in SAID)
    bits = [one.astype(np.int8) << bit for bit, one in enumerate(known)]
    return np.sum(bits, axis=0, dtype=np.int8)


def merge(state: pa.Table, seen_today: Sequence[pa.Table], fresh: Sequence[pa.Table]) -> pa.Table:
    """Yesterday's STATE, today's SEEN and `listed` rows of one hash range -> STATE in order.

    A snapshot's values win; what it leaves out is filled from before. Inline values fill what no
    snapshot has said of the item, and replace inline values of the same time or an earlier one.
    """
    known = frame_of(state)
    snapshot = frame_of(pa.concat_tables([STATE.empty_table(), *fresh]))
    inline = _latest(frame_of(pa.concat_tables([SEEN.empty_table(), *seen_today])))
    if snapshot.is_empty() and inline.is_empty():
        return state
    key = ["item_hash", "item_id"]
    whole = (
        pl.concat([known.select(key), snapshot.select(key), inline.select(key)])
        .unique("item_id")
        .join(known.drop("item_hash"), on="item_id", how="left")
        .join(snapshot.drop("item_hash"), on="item_id", how="left", suffix="_listed")
        .join(inline.drop("item_hash"), on="item_id", how="left", suffix="_inline")
        .sort(key)
    )
    was_listed, said = pl.col("listed").fill_null(value=False), pl.col("said").fill_null(0)
    return _arrow(
        whole.with_columns(
            *chain(*(_settled(name, (said & (1 << bit)) > 0) for bit, name in enumerate(SAID))),
            *[pl.coalesce(f"{name}_listed", name).alias(name) for name in ("tags", "title")],
            *[pl.col(name).fill_null(PENDING) for name in ("row", "item")],
            pl.col("count").fill_null(0) + pl.col("met").fill_null(0),
            was_listed | pl.col("listed_listed").fill_null(value=False),
            said | pl.col("said_listed").fill_null(0),
        )
    )


def _settled(name: str, was_said: pl.Expr) -> tuple[pl.Expr, pl.Expr]:
    """The value of today, and when a behaviour said it (null if a snapshot did)."""
    listed, inline, known = pl.col(f"{name}_listed"), pl.col(f"{name}_inline"), pl.col(name)
    at, known_at = pl.col(f"{name}_at_inline"), pl.col(f"{name}_at")
    later = inline.is_not_null() & (known.is_null() | (at >= known_at.fill_null(at)))
    newer = pl.when(later & ~was_said)
    value = pl.coalesce(listed, newer.then(inline).otherwise(known))
    by_snapshot = was_said | listed.is_not_null()
    told = pl.when(~by_snapshot).then(newer.then(at).otherwise(known_at))
    return value.alias(name), told.alias(f"{name}_at")


def _latest(rows: pl.DataFrame) -> pl.DataFrame:
    """One row an item: sightings summed, and of each attribute the latest that was said."""
    at = [pl.when(pl.col(name).is_not_null()).then("at").alias(f"{name}_at") for name in ATTRIBUTES]
    combined = _combined(rows).with_columns(*at)
    doubtful = combined["item_id"].is_duplicated()  # few: most items say the same all day
    several = combined.filter(doubtful).sort("at", *ATTRIBUTES, nulls_last=False)
    settled = several.group_by("item_hash", "item_id").agg(
        *[pl.col(name, f"{name}_at").drop_nulls().last() for name in ATTRIBUTES],
        pl.col("count", "shown").sum(),
        pl.col("at").max(),
        pl.col("last_price").max(),
    )
    whole = pl.concat([combined.filter(~doubtful), settled.select(combined.columns)])
    bits = whole["last_price"].fill_null(0).to_numpy() & 0xFFFFFFFF
    price = pl.Series("price", bits.astype(np.uint32).view(np.float32))
    return whole.select(
        "item_hash",
        "item_id",
        pl.when(pl.col("shown") > 0).then("shown").otherwise("count").alias("met"),
        *ATTRIBUTES,
        *[f"{name}_at" for name in ATTRIBUTES],
        pl.when(pl.col("last_price").is_not_null()).then(price).alias("price"),
        (pl.col("last_price") // 2**32).cast(pl.Int64).alias("price_at"),
    )


def _combined(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.group_by("item_hash", "item_id", *ATTRIBUTES).agg(
        pl.col("count", "shown").sum(), pl.col("at").max(), pl.col("last_price").max()
    )


def _times(ids: pa.Array | pa.ChunkedArray, name: str, other: str) -> pa.Table:
    times = counted(ids).rename_columns(["item_hash", "item_id", name])
    zeros = pa.array(np.zeros(times.num_rows, np.int64))
    return _conform(times.append_column(other, zeros), SEEN)


def _said(column: pa.ChunkedArray) -> bool:
    return bool(column.null_count < len(column))


def _last_price(second: NDArray[np.int64], price: pa.ChunkedArray) -> pa.Array:
    bits = price.fill_null(0).to_numpy().astype(np.float32).view(np.uint32)
    absent = price.is_null().to_numpy()
    # unsigned: a signed number would end on 2038-01-19, long before `clock.PLAUSIBLE`
    return pa.array((second.astype(np.uint64) << 32) | bits, mask=absent)


def _conform(table: pa.Table, schema: pa.Schema) -> pa.Table:
    if "item_hash" not in table.column_names:
        hashes = pa.array(hash_ids(table.column("item_id")))
        table = table.append_column("item_hash", hashes)
    return conform(table, schema)


def _arrow(frame: pl.DataFrame) -> pa.Table:
    return frame.select(STATE.names).to_arrow().cast(STATE)


def keep_rows(state: pa.Table, standing: pa.Table, needed: int) -> pa.Table:
    """STATE in which today's entrants have the rows that they were given before, if they were.

    Args:
        state: merged, in order.
        standing: STATE of the same day, or a later one, from the last time it was built.
        needed: sightings that the item vocabulary asks for.
    """
    if not standing.num_rows:
        return state
    at = pc.index_in(state.column("item_id"), standing.column("item_id").combine_chunks())
    due = {"item": admitted_today(state, needed), "row": unplaced(state)}
    for name, wanted in due.items():
        then = standing.column(name).take(at).fill_null(PENDING).to_numpy()
        kept = np.where(wanted & (then != PENDING), then, _ints(state, name)).astype(np.int32)
        state = state.set_column(STATE.get_field_index(name), name, pa.array(kept))
    return state


def settle(state: pa.Table, needed: int, next_item: int, next_row: int) -> pa.Table:
    """STATE with rows for today's entrants: of the item vocabulary, and of the catalog.

    Args:
        state: merged, in order.
        needed: sightings that the item vocabulary asks for.
        next_item: first free row of the item vocabulary in this hash range.
        next_row: first free catalog row in this hash range.
    """
    admitted, new = admitted_today(state, needed), unplaced(state)
    item = np.where(admitted, next_item - 1 + np.cumsum(admitted), _ints(state, "item"))
    row = np.where(new, next_row - 1 + np.cumsum(new), _ints(state, "row"))
    place = {name: STATE.get_field_index(name) for name in ("item", "row")}
    placed = state.set_column(place["item"], "item", pa.array(item.astype(np.int32)))
    return placed.set_column(place["row"], "row", pa.array(row.astype(np.int32)))


def admitted_today(state: pa.Table, needed: int) -> NDArray[np.bool_]:
    """Which items enter the item vocabulary."""
    return np.asarray((_ints(state, "item") == PENDING) & (_ints(state, "count") >= needed))


def unplaced(state: pa.Table) -> NDArray[np.bool_]:
    """Which items have no catalog row yet."""
    return np.asarray(_ints(state, "row") == PENDING)


def _ints(state: pa.Table, name: str) -> NDArray[np.int64]:
    return np.asarray(state.column(name).to_numpy()).astype(np.int64)


def as_vocabulary(state: pa.Table) -> pa.Table:
    """The part of STATE that is the item vocabulary."""
    names = ("item_id", "item", "count")
    return pa.table([state.column(name) for name in names], schema=VOCABULARY)
