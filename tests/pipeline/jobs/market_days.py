"""Small seeded days of canonical events, written as the events job would write them."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

import numpy as np
import pyarrow as pa

from features.buckets import buckets, hash_ids, split
from features.schemas import BEHAVIORS, FOLLOWS, IMPRESSIONS, ITEMS, USER_KEY, conform
from infra.store import Store

FIRST = date(2026, 3, 2)


def days(count: int) -> list[date]:
    return [FIRST + timedelta(days=i) for i in range(count)]


@dataclass(frozen=True)
class Market:
    users: int = 60
    items: int = 120
    pages: int = 150
    behaviors: int = 400
    page_size: int = 5
    inline: bool = False
    has_pages: bool = True
    snapshot_every: int = 1  # 0: never
    seed: int = 7

    def day(self, day: date) -> dict[str, pa.Table]:
        """All tables of one day, canonical and sorted."""
        index = (day - FIRST).days
        rng = np.random.default_rng([self.seed, index])
        born = self.items // 2 + index * 10  # new items every day
        start = int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp() * 1000)
        tables: dict[str, pa.Table] = {}
        pages = self._pages(rng, start, born, index)
        tables["behaviors"] = self._behaviors(rng, start, born, pages)
        if self.has_pages:
            tables["impressions"] = _sorted(pages, IMPRESSIONS)
            tables["follows"] = self._follows(rng, start)
        if self.snapshot_every and index % self.snapshot_every == 0:
            tables |= self._snapshots(born)
        return tables

    def _pages(self, rng, start, born, index) -> pa.Table:
        n = self.pages
        user = _ids("u", rng.integers(0, self.users, n))
        shown = _skewed(rng, born, n * self.page_size)
        offsets = np.arange(n + 1) * self.page_size
        queries = np.array(["Red Shoes", "red dress 2024", "手机壳", None, "ipad"], object)
        table = pa.table(
            {
                **_user(user),
                "ts": pa.array(
                    start + rng.integers(0, 86_400_000, n), pa.timestamp("ms", tz="UTC")
                ),
                "request_id": _ids(f"r{index}-", np.arange(n)),
                "scenario": pa.array(rng.integers(1, 3, n), pa.int8()),
                "query": pa.array(queries[rng.integers(0, 5, n)], pa.string()),
                "item_ids": pa.ListArray.from_arrays(
                    pa.array(offsets, pa.int32()), _ids("i", shown)
                ),
            }
        )
        return conform(table, IMPRESSIONS)

    def _behaviors(self, rng, start, born, pages) -> pa.Table:
        n = self.behaviors
        kind = rng.choice([1, 1, 1, 1, 1, 2, 3, 4], n)
        item = _skewed(rng, born + 5, n)  # some items stand in no snapshot
        user = _ids("u", rng.integers(0, self.users, n)).to_pylist()
        request = [None] * n
        if self.has_pages:
            of = rng.integers(0, self.pages, n)
            shown = pages.column("item_ids").to_pylist()
            page_user = pages.column("user_id").to_pylist()
            name = pages.column("request_id").to_pylist()
            for i in range(n):
                if rng.random() < 0.7:
                    request[i], user[i] = name[of[i]], page_user[of[i]]
                    item[i] = int(shown[of[i]][rng.integers(0, self.page_size)][1:])
        price = np.where(rng.random(n) < 0.5, np.nan, 1 + item % 50 + rng.random(n))
        nothing = pa.nulls(n, pa.string())
        return _sorted(
            pa.table(
                {
                    **_user(pa.array(user)),
                    "ts": pa.array(
                        start + rng.integers(0, 86_400, n) * 1000, pa.timestamp("ms", tz="UTC")
                    ),
                    "item_id": _ids("i", item),
                    "type": pa.array(kind, pa.int8()),
                    "scenario": pa.array(rng.integers(1, 5, n), pa.int8()),
                    "request_id": pa.array(request, pa.string()),
                    "price": pa.array(price, pa.float32(), from_pandas=True),
                    "shop_id": _ids("s", item % 7) if self.inline else nothing,
                    "brand_id": _some(rng, _ids("b", item % 5)) if self.inline else nothing,
                    "category_id": _ids("c", rng.integers(0, 4, n)) if self.inline else nothing,
                    "key": pa.array(rng.integers(0, 2**63, n), pa.uint64()),
                },
                schema=BEHAVIORS,
            ),
            BEHAVIORS,
        )

    def _follows(self, rng, start) -> pa.Table:
        n = self.pages // 3
        return _sorted(
            pa.table(
                {
                    **_user(_ids("u", rng.integers(0, self.users, n))),
                    "ts": pa.array(
                        start + rng.integers(0, 86_400_000, n), pa.timestamp("ms", tz="UTC")
                    ),
                    "icon_id": _ids("icon", rng.integers(0, 9, n)),
                    "followed": pa.array(rng.random(n) < 0.3),
                },
                schema=FOLLOWS,
            ),
            FOLLOWS,
        )

    def _snapshots(self, born: int) -> dict[str, pa.Table]:
        rng = np.random.default_rng(self.seed)  # attributes do not change
        names = np.sort(_ids("i", np.arange(born)).to_numpy(zero_copy_only=False))
        number = np.array([int(name[1:]) for name in names])
        prices = np.random.default_rng(self.seed + 1).lognormal(3, 1, 10_000 + self.items)[number]
        items = pa.table(
            {
                "item_id": pa.array(names, pa.string()),
                "shop_id": _ids("s", number % 7),
                "brand_id": _ids("b", number % 5),
                "category_id": _ids("c", number % 4),
                "tags": pa.array([[f"t{n % 3}", f"t{n % 11}"] for n in number]),
                "price": pa.array(prices, pa.float32()),
                "title": pa.array([f"Red thing {n % 9}" for n in number]),
            },
            schema=ITEMS,
        )
        user = _ids("u", np.arange(self.users))
        users = pa.table(
            {
                **_user(user),
                "age": _ids("a", rng.integers(0, 5, self.users)),
                "city": _ids("x", rng.integers(0, 3, self.users)),
            },
            schema=pa.schema([*USER_KEY, ("age", pa.string()), ("city", pa.string())]),
        ).sort_by([("user_hash", "ascending")])
        icons = pa.table(
            {"icon_id": _ids("icon", np.arange(9)), "kind": _ids("k", np.arange(9) % 2)}
        )
        shops = pa.table({"shop_id": _ids("s", np.arange(7)), "tier": _ids("t", np.arange(7) % 2)})
        return {"items": items, "users": users, "icons": icons, "shops": shops}


def write(store: Store, day: date, tables: Mapping[str, pa.Table], count: int = 4) -> None:
    """Publish `events/dt=D/*`, user-keyed tables in `count` buckets."""
    for name, table in tables.items():
        with store.partition("events", day, name).publish() as out:
            if "user_hash" not in table.column_names:
                out.record([out.write_table("part", table)])
                continue
            entries = []
            for index, part in split(table, table.column("user_hash").to_numpy(), count):
                bucket = buckets(count)[index]
                entries.append(out.write_table(bucket.name, part, low=bucket.low, high=bucket.high))
            out.record(entries)


def _ids(prefix: str, numbers) -> pa.Array:
    return pa.array([f"{prefix}{int(n)}" for n in numbers], pa.string())


def _some(rng, ids: pa.Array) -> pa.Array:
    return pa.array([None if rng.random() < 0.3 else one for one in ids.to_pylist()], pa.string())


def _user(user: pa.Array) -> dict[str, pa.Array]:
    return {"user_hash": pa.array(hash_ids(user)), "user_id": user}


def _skewed(rng, top: int, size: int) -> np.ndarray:
    return (top * rng.random(size) ** 2).astype(np.int64)


def _sorted(table: pa.Table, schema: pa.Schema) -> pa.Table:
    order = [("user_hash", "ascending"), ("user_id", "ascending"), ("ts", "ascending")]
    rest = [
        (f.name, "ascending")
        for f in schema
        if f.name not in ("user_hash", "user_id", "ts", "item_ids")
    ]
    return table.sort_by([*order, *rest])
