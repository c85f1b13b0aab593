"""A synthetic raw day, and the state of the day before it with every history at the cap."""

from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa

from features.buckets import buckets, hash_ids, split
from features.schemas import SEQUENCE_LENGTH, SEQUENCES
from infra.store import Store

DAY = date(2026, 3, 3)
BEFORE = DAY - timedelta(days=1)
MIDNIGHT_MS = 1_772_496_000_000  # of DAY, UTC
DAY_MS = 86_400_000
CANDIDATES = 10
TYPES = np.array(["click", "bookmark", "cart", "purchase"])


@dataclass(frozen=True)
class Size:
    """How large the day is. A user has 50 behaviours a day and 100 from the days before."""

    behaviors: int
    items: int = 100_000

    @property
    def moments(self) -> int:
        """0.1 pages a behaviour."""
        return self.behaviors // 10

    @property
    def users(self) -> int:
        """Active users."""
        return max(self.behaviors // 50, 10)


def write(home: Path, size: Size) -> None:
    """`raw/` of the day and of a small day before it (a tenth, for statistics)."""
    rng = np.random.default_rng(0)
    small = Size(size.behaviors // 10, size.items)
    write_day(home, BEFORE, small, size.users, rng)
    write_day(home, DAY, size, size.users, rng)
    write_items(home, BEFORE, size, rng)


def write_history(store: Store, size: Size) -> None:
    """Every user's last 100 behaviours as `sequences` of the day before, over what is there."""
    rng = np.random.default_rng(1)
    ids = pa.array([f"u{user:07d}" for user in range(size.users)])
    hashes = hash_ids(ids)
    order = np.argsort(hashes, kind="stable")
    number = np.repeat(order, SEQUENCE_LENGTH)
    rows = len(number)
    ts = MIDNIGHT_MS - 1 - rng.integers(0, 20 * DAY_MS, rows).reshape(-1, SEQUENCE_LENGTH)
    table = pa.table(
        [
            pa.array(hashes[number]),
            ids.take(pa.array(number)),
            pa.array(np.sort(ts, axis=1).ravel()),
            _item_names(size).take(pa.array(popular(rng, rows, size))),
            pa.array(_types(rng, rows).astype(np.int8) + np.int8(1)),
            pa.array(rng.integers(1, 5, rows).astype(np.int8)),
            pa.array(rng.integers(0, 2**63, rows).astype(np.uint64)),
            pa.nulls(rows, pa.string()),
        ],
        schema=SEQUENCES,
    )
    ranges = buckets(16)
    partition = store.partition("sequences", BEFORE, "history")
    lineage = partition.manifest().lineage
    with partition.publish(**lineage) as out:
        entries = [
            out.write_table(ranges[i].name, part, low=ranges[i].low, high=ranges[i].high)
            for i, part in split(table, hashes[number], 16)
        ]
        out.record(entries)


def write_day(home: Path, day: date, size: Size, users: int, rng: np.random.Generator) -> None:
    """Behaviours and impressions of one raw day."""
    start = MIDNIGHT_MS + (day - DAY).days * DAY_MS
    pages = size.moments
    owner = rng.integers(0, users, pages)
    shown_at = start + rng.integers(0, DAY_MS - 3_600_000, pages)
    shown = popular(rng, pages * CANDIDATES, size).reshape(pages, CANDIDATES)
    items = _item_names(size)
    impressions = pa.table(
        {
            "request_id": names("r", np.arange(pages), 9),
            "user_id": names("u", owner, 7),
            "ts": shown_at,
            "scenario": pa.array(["search"] * pages),
            "query": pa.nulls(pages, pa.string()),
            "item_ids": pa.ListArray.from_arrays(
                np.arange(pages + 1, dtype=np.int32) * np.int32(CANDIDATES),
                items.take(pa.array(shown.ravel())),
            ),
        }
    )
    put(pl.DataFrame(impressions), home, day, "impressions")
    rows = size.behaviors
    about = rng.integers(0, pages, rows)
    named = rng.random(rows) < 0.3  # the rest happened away from pages
    item = np.where(
        named, shown[about, rng.integers(0, CANDIDATES, rows)], popular(rng, rows, size)
    )
    user = np.where(named, owner[about], rng.integers(0, users, rows))
    later = rng.integers(1_000, 3_600_000, rows)
    ts = np.where(named, shown_at[about] + later, start + rng.integers(0, DAY_MS, rows))
    behaviors = pa.table(
        {
            "user_id": names("u", user, 7),
            "item_id": items.take(pa.array(item)),
            "type": pa.array(TYPES).take(pa.array(_types(rng, rows))),
            "scenario": pa.array(["search", "recommend"]).take(pa.array(rng.integers(0, 2, rows))),
            "ts": ts,
            "request_id": pa.array(names("r", about, 9).to_numpy(False), mask=~named),
            "price": pa.array(rng.gamma(2, 30, rows), pa.float32()),
        }
    )
    put(pl.DataFrame(behaviors), home, day, "behaviors")


def write_items(home: Path, day: date, size: Size, rng: np.random.Generator) -> None:
    """The catalog snapshot of a day."""
    put(_items(size, rng), home, day, "items")


def _items(size: Size, rng: np.random.Generator) -> pl.DataFrame:
    count = size.items
    return pl.DataFrame(
        {
            "item_id": _item_names(size),
            "shop_id": names("s", rng.integers(0, count // 20, count), 6),
            "brand_id": names("b", rng.integers(0, count // 100, count), 6),
            "category_id": names("c", rng.integers(0, 400, count), 4),
            "price": rng.gamma(2, 30, count),
        }
    )


def popular(rng: np.random.Generator, rows: int, size: Size) -> np.ndarray:
    """Item numbers, heavy-tailed: the log of the rank is uniform for half of them."""
    rank = np.exp(rng.random(rows) * np.log(size.items)).astype(np.int64) - 1
    even = rng.integers(0, size.items, rows)
    return np.where(rng.random(rows) < 0.5, rank, even) % size.items


def _types(rng: np.random.Generator, rows: int) -> np.ndarray:
    return np.searchsorted([0.88, 0.92, 0.97], rng.random(rows))


def _item_names(size: Size) -> pa.Array:
    return names("i", np.arange(size.items), 8)


def names(letter: str, numbers: np.ndarray, digits: int) -> pa.Array:
    """Ids of one letter and so many digits."""
    text = pl.Series(numbers).cast(pl.String).str.zfill(digits)
    named = pl.select(pl.lit(letter) + text).to_series()
    return named.to_arrow().cast(pa.string())


def put(table: pl.DataFrame, home: Path, day: date, name: str) -> None:
    """A table as a shop would leave it under `raw/`."""
    folder = home / "raw" / f"dt={day}" / name
    folder.mkdir(parents=True, exist_ok=True)
    table.write_parquet(folder / "part-0.parquet", row_group_size=200_000)
