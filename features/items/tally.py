"""What one day adds to an item's counts, batch by batch, and how it joins the days before.

Users are whole within a batch, so "bought by how many users today" is exact, and a click finds the
page that it names. A click counts for a display only where that display was counted: a shop may log
its pages in samples, and most clicks are then of pages that nobody counted.
"""

from collections.abc import Sequence
from datetime import date

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from features.buckets import hash_ids
from features.items.counts import COUNTED
from features.items.lr_sample import OF_DISPLAY
from features.items.statistics import ITEM
from features.schemas import BehaviorType

TALLY = pa.schema(
    [("item_hash", pa.uint64()), ("item_id", pa.string()), *[(n, pa.int64()) for n in COUNTED]]
)
"""Today's counts of one batch."""

_OF_PAGE = OF_DISPLAY[:2]
_SUMS = (pl.col("item_hash").first(), *(pl.col(name).sum() for name in COUNTED))
_KINDS = {
    "clicks": BehaviorType.CLICK,
    "bookmarks": BehaviorType.BOOKMARK,
    "carts": BehaviorType.CART,
    "purchases": BehaviorType.PURCHASE,
}


def behaviors(rows: pa.Table) -> pa.Table:
    """TALLY of behaviours of whole users.

    Args:
        rows: user_hash, item_id, type.
    """
    item = _coded(rows.column("item_id"))
    code = item.indices.to_numpy()
    kind = rows.column("type").to_numpy().astype(np.int64)
    size, kinds = len(item.dictionary), max(BehaviorType) + 1
    table = np.bincount(code * kinds + kind, minlength=size * kinds).reshape(size, kinds)
    counts = {name: table[:, value] for name, value in _KINDS.items()}
    bought = np.flatnonzero(kind == BehaviorType.PURCHASE)
    buyers = pl.DataFrame(
        {"user": rows.column("user_hash").to_numpy()[bought], "item": code[bought]}
    ).unique()
    counts["sales"] = np.bincount(buyers["item"].to_numpy(), minlength=size)
    return _tally(item.dictionary, counts)


def displays(item_ids: pa.ChunkedArray) -> pa.Table:
    """TALLY of pages that were shown.

    Args:
        item_ids: a list of ids per page.
    """
    flat = pa.chunked_array([part.flatten() for part in item_ids.chunks], item_ids.type.value_type)
    item = _coded(flat)
    return _tally(
        item.dictionary,
        {"impressions": np.bincount(item.indices.to_numpy(), minlength=len(item.dictionary))},
    )


def clicked(rows: pa.Table, pages: pa.Table) -> pl.DataFrame:
    """The clicks of items that stand on these pages: OF_DISPLAY, a row a click.

    Args:
        rows: user_hash, item_id, type, request_id of whole users.
        pages: user_hash, request_id, item_ids of the same users.
    """
    clicks = rows.filter(pc.equal(rows.column("type"), BehaviorType.CLICK)).select(OF_DISPLAY)
    requests = clicks.column("request_id").combine_chunks()
    named = pc.is_in(pages.column("request_id"), requests, skip_nulls=True)
    near = frame_of(pages.select([*_OF_PAGE, "item_ids"]).filter(named))  # the rest stay packed
    # By number: a user's request may stand on any number of pages, and pairs would be a square.
    request = near.select(_OF_PAGE).unique().with_row_index("request")
    named_there = frame_of(clicks).join(request, on=_OF_PAGE)
    shown = near.join(request, on=_OF_PAGE).select("request", item_id="item_ids").explode("item_id")
    each, listed = (one.cast({"item_id": pl.Categorical}) for one in (named_there, shown))
    found = each.join(listed, on=["request", "item_id"], how="semi")
    return found.select(OF_DISPLAY).cast({"item_id": pl.String})


def page_clicks(found: Sequence[pl.DataFrame]) -> pa.Table:
    """TALLY of clicked displays, each once, from what `clicked` finds in pages of several days."""
    item = _coded(pa.chunked_array([pl.concat(found).unique()["item_id"].to_arrow()]))
    clicks = np.bincount(item.indices.to_numpy(), minlength=len(item.dictionary))
    return _tally(item.dictionary, {"page_clicks": clicks})


def together(parts: Sequence[pa.Table]) -> list[pa.Table]:
    """TALLY tables -> one with a row an item."""
    if len(parts) < 2:
        return list(parts)
    sums = frame_of(pa.concat_tables(parts)).group_by("item_id").agg(*_SUMS)
    return [sums.to_arrow().select(TALLY.names).cast(TALLY)]


def merge(state: pa.Table, today: Sequence[pa.Table], day: date, decay: float) -> pa.Table:
    """Yesterday's ITEM, faded, and today's TALLY of one hash range -> ITEM in order.

    Args:
        state: ITEM rows of the range.
        today: partial tallies in any order.
        day: stands as `first_day` of items that have no row yet.
        decay: what a day leaves of a count.
    """
    known, new = frame_of(state), frame_of(pa.concat_tables([TALLY.empty_table(), *today]))
    sums = new.group_by("item_id").agg(*_SUMS)
    both = known.join(sums, on="item_id", how="full", coalesce=True, suffix="_today")
    faded = [
        (pl.col(name).cast(pl.Float64).fill_null(0) * decay + pl.col(f"{name}_today").fill_null(0))
        .cast(pl.Float32)
        .alias(name)
        for name in COUNTED
    ]
    whole = both.select(
        pl.coalesce("item_hash", "item_hash_today").alias("item_hash"),
        "item_id",
        pl.col("first_day").fill_null(day),
        *faded,
    )
    return whole.sort("item_hash", "item_id").to_arrow().select(ITEM.names).cast(ITEM)


def _tally(ids: pa.Array, counts: dict[str, NDArray[np.int64]]) -> pa.Table:
    met = np.flatnonzero(sum(counts.values()))
    distinct = ids.take(pa.array(met)).cast(pa.string())
    none = np.zeros(len(met), np.int64)
    return pa.table(
        {
            "item_hash": hash_ids(distinct),
            "item_id": distinct,
            **{name: counts[name][met] if name in counts else none for name in COUNTED},
        },
        schema=TALLY,
    )


def _coded(ids: pa.ChunkedArray) -> pa.DictionaryArray:
    whole = pc.drop_null(ids.combine_chunks())
    return whole if pa.types.is_dictionary(whole.type) else whole.dictionary_encode()


def frame_of(table: pa.Table) -> pl.DataFrame:
    """An Arrow table as Polars' own, and never a series."""
    frame = pl.from_arrow(table)
    assert isinstance(frame, pl.DataFrame)
    return frame
