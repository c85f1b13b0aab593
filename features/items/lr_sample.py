"""What LR-CTR learns from: a bounded draw of a day's displays, clicked or not.

Pages are drawn whole, by a hash of user and time; a display is positive when a click of the day
names its page and item: one that comes after midnight, or a day late, is none here, since weights
are learnt at the end of the pages' day. A log without pages has no displays: there positives are
clicks (drawn by the hash of their key), and negatives are drawn uniformly from the items known the
day before. Both are of items known the day before, because being new is not a reason to be clicked
that a score could learn from such draws; and of items that anybody did something with of late,
because being no longer sold is no reason not to be. The draw depends on rows only, never on buckets
or workers.
"""

from dataclasses import dataclass

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from features.buckets import hash_ids
from features.catalog import CatalogArrays, lookup
from features.draws import mix
from features.schemas import UNKNOWN_ROW, BehaviorType

SAMPLE = pa.schema([("item_hash", pa.uint64()), ("key", pa.uint64()), ("clicked", pa.int8())])
"""`statistics/dt=D/lr_sample`, in the order of the users."""
OF_DISPLAY = ["user_hash", "request_id", "item_id"]
"""What tells a display: a request id need be unique for its user only."""


@dataclass(frozen=True)
class Labels:
    """How often each of `rows` (catalog rows, ascending) was shown, and clicked."""

    rows: NDArray[np.int32]
    shown: NDArray[np.float64]
    clicked: NDArray[np.float64]


def from_pages(pages: pa.Table, behaviors: pa.Table, rate: float) -> pa.Table:
    """Displays of the pages that are drawn at `rate`: schema SAMPLE.

    Args:
        pages: user_hash, ts, request_id, item_ids of whole users.
        behaviors: user_hash, item_id, type, request_id of the same users.
        rate: share of the pages, 0..1.
    """
    when = pages.column("ts").cast(pa.int64()).to_numpy().astype(np.uint64)
    key = mix(pages.column("user_hash").to_numpy() ^ mix(when))
    drawn = pages.filter(pa.array(_within(key, rate)))
    lists = drawn.column("item_ids").combine_chunks()
    lengths = lists.value_lengths().fill_null(0).to_numpy()
    owner = np.repeat(np.arange(drawn.num_rows), lengths)
    ids = lists.flatten().cast(pa.string())  # plain: the dictionary is that of all pages
    kind = behaviors.column("type").to_numpy()
    requests = drawn.column("request_id").combine_chunks()
    named = pc.is_in(behaviors.column("request_id"), requests, skip_nulls=True).to_numpy()
    near = np.flatnonzero(named & (kind == BehaviorType.CLICK))
    users = behaviors.column("user_hash").to_numpy().take(near)
    clicked = near[np.isin(users, drawn.column("user_hash").to_numpy())]
    shown = pl.DataFrame(
        {
            "user_hash": pl.Series(drawn.column("user_hash").to_numpy()[owner]),
            "request_id": pl.Series(requests.take(pa.array(owner))).cast(pl.String),
            "item_id": pl.Series(ids),
        }
    )
    clicks = pl.from_arrow(behaviors.select(OF_DISPLAY).take(pa.array(clicked)))
    assert isinstance(clicks, pl.DataFrame)
    texts = clicks.drop_nulls().with_columns(pl.col("request_id", "item_id").cast(pl.String))
    hits = texts.unique().with_columns(clicked=pl.lit(1, pl.Int8))
    label = shown.join(hits, on=OF_DISPLAY, how="left", maintain_order="left")
    return pa.table(
        {
            "item_hash": hash_ids(ids),
            "key": key[_within(key, rate)][owner],
            "clicked": label["clicked"].fill_null(0).to_arrow(),
        },
        schema=SAMPLE,
    )


def from_clicks(behaviors: pa.Table, rate: float) -> pa.Table:
    """Clicks that are drawn at `rate`: SAMPLE with positives only.

    Args:
        behaviors: item_id, type, key.
        rate: share of the clicks, 0..1.
    """
    key = mix(behaviors.column("key").to_numpy())
    is_click = behaviors.column("type").to_numpy() == BehaviorType.CLICK
    drawn = is_click & _within(key, rate)
    hashes = hash_ids(behaviors.column("item_id").filter(pa.array(drawn)))
    return pa.table(
        {"item_hash": hashes, "key": key[drawn], "clicked": np.ones(len(hashes), np.int8)},
        schema=SAMPLE,
    )


def with_negatives(
    sample: pa.Table, known: NDArray[np.uint64], per_click: int, seed: int
) -> pa.Table:
    """`per_click` drawn items beside every click; clicks of items that are not known fall away.

    Args:
        sample: positives of a log without pages.
        known: hashes of the items that may be drawn, ascending.
        per_click: negatives a positive.
        seed: other seeds, other draws.
    """
    hashes = sample.column("item_hash").to_numpy()
    kept = np.isin(hashes, known)
    if not kept.any():
        return SAMPLE.empty_table()
    hashes, key = hashes[kept], sample.column("key").to_numpy()[kept]
    salt = np.arange(1, per_click + 1, dtype=np.uint64) + np.uint64(seed * 1000)
    draw = mix(key[:, None] ^ mix(salt)[None, :]).ravel() % np.uint64(len(known))
    negatives = known[draw.astype(np.int64)]
    return pa.table(
        {
            "item_hash": np.concatenate([hashes, negatives]),
            "key": np.concatenate([key, np.repeat(key, per_click)]),
            "clicked": np.repeat([1, 0], [len(hashes), len(negatives)]).astype(np.int8),
        },
        schema=SAMPLE,
    )


def labels(sample: pa.Table, catalog: CatalogArrays) -> Labels:
    """The sample by catalog row; items outside the catalog are left out."""
    if not sample.num_rows:
        none = np.empty(0)
        return Labels(none.astype(np.int32), none, none)
    rows = lookup(sample.column("item_hash").to_numpy(), catalog.hashes, catalog.rows)
    known = rows > UNKNOWN_ROW
    clicked = sample.column("clicked").to_numpy()[known].astype(np.float64)
    shown = np.bincount(rows[known], minlength=catalog.num_rows)
    met = np.flatnonzero(shown)
    positive = np.bincount(rows[known], clicked, catalog.num_rows)
    return Labels(
        met.astype(np.int32), shown[met].astype(np.float64), positive[met].astype(np.float64)
    )


def _within(key: NDArray[np.uint64], rate: float) -> NDArray[np.bool_]:
    if rate >= 1:
        return np.ones(len(key), bool)
    return np.asarray(key < np.uint64(rate * 2.0**64))
