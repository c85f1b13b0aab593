"""`dupn simulate`: days of the marketplace written into the store, one after another.

The minds at a day's end are published as `truth/dt=D/state`, so that simulating days 0..9 and
later day 10 gives the bytes of 0..10 at once. A day without a simulated day before it opens a new
world.
"""

import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
from numpy.typing import NDArray

from evaluation.marketplace import choice, logs, needs, people, policies, session, world
from evaluation.marketplace.config import MarketplaceConfig
from evaluation.marketplace.day import Block
from evaluation.marketplace.follows import FollowPages
from evaluation.marketplace.people import Minds, People
from evaluation.marketplace.policies import PopularityWithNoise
from evaluation.marketplace.seeds import Purpose, stream
from evaluation.marketplace.world import World
from infra.errors import ConfigError
from infra.store import Store

DATASET = "marketplace"
BLOCK = 8192
"""Users that advance together; a block has its own random stream, so this is part of the world."""
FORGET = 0.85
"""What the shop's click counters keep from one day to the next: about a week's memory."""


@dataclass
class Carried:
    """What one day leaves to the next."""

    day: int
    minds: Minds
    clicks: NDArray[np.float64]  # per item, decayed
    pending: pl.DataFrame  # behaviours that arrive tomorrow


def simulate(
    store: Store,
    first_day: date,
    days: int,
    config: MarketplaceConfig,
    seed: int,
    progress: Callable[[int, int], None] | None = None,
) -> Mapping[str, int]:
    """Write `raw/` and `truth/` of `days` days from `first_day`; the rows written, by table."""
    place = world.build(config, seed)
    everybody = people.people(place)
    carried = _carried(store, first_day - timedelta(days=1), place, everybody)
    totals: dict[str, int] = {}
    for offset in range(days):
        today = first_day + timedelta(days=offset)
        counts, carried = _day(store, today, place, everybody, carried)
        for name, count in counts.items():
            totals[name] = totals.get(name, 0) + count
        if progress:
            progress(offset + 1, days)
    return totals


def _day(
    store: Store, today: date, place: World, everybody: People, carried: Carried
) -> tuple[dict[str, int], Carried]:
    day = carried.day + 1
    items = place.items(day)
    clicks = np.zeros(len(items))
    clicks[: len(carried.clicks)] = FORGET * carried.clicks
    popularity = (items.fame + 0.5 * np.log1p(clicks)).astype(np.float32)
    minds = people.drift(carried.minds, place, everybody, day) if day else carried.minds
    recall = policies.recall(place, items, popularity, day)
    midnight = int(datetime.combine(today, datetime.min.time(), UTC).timestamp() * 1000)
    parts = []
    for low in range(0, place.config.users, BLOCK):
        rng = stream(place.seed, Purpose.DAY, day, low // BLOCK)
        users = slice(low, min(low + BLOCK, place.config.users))
        mine = minds.part(users.start, users.stop)
        liked = choice.interest(place, mine, midnight, weekend=today.weekday() >= 5)
        block = Block(
            reasons=choice.Reasons(place, items, everybody, low, liked),
            minds=mine,
            births=needs.Births(place, everybody, low),
            recall=recall,
            ranker=PopularityWithNoise(popularity),
            follows=FollowPages(place, everybody, low, day),
            midnight=midnight,
        )
        plan = session.schedule(rng, everybody, users, place.config.pages_per_day, day)
        parts.append(
            logs.tables(rng, place, items, block.run(rng, plan), f"r{day:04d}b{low // BLOCK:03d}n")
        )
    for part in parts:
        np.add.at(clicks, part.clicks, 1)
    counts, pending = _write(store, today, place, parts, carried.pending, midnight)
    counts |= _write_snapshots(store, today, logs.snapshots(place, items, everybody, day), place)
    after = Carried(day, minds, clicks, pending)
    _save(store, today, place, after)
    return counts, after


def _write(
    store: Store, today: date, place: World, parts: list[logs.BlockTables],
    pending: pl.DataFrame, midnight: int,
) -> tuple[dict[str, int], pl.DataFrame]:  # fmt: skip
    """Publish the day's log and truth; row counts, and the behaviours that arrive tomorrow."""
    config = place.config
    day_number = int(midnight // session.DAY_MS)
    rng = stream(place.seed, Purpose.DIRT, day_number)
    happened = pl.concat([part.behaviors for part in parts])
    late = rng.random(len(happened)) < config.late_share
    tomorrow = pl.Series(late) | (happened["ts"] >= midnight + session.DAY_MS)
    arrived = pl.concat([pending, happened.filter(~tomorrow)])
    broken = logs.dirt(rng, arrived, config.dirty_share)
    behaviors = pl.concat([arrived, broken]).sort("ts", "user_id", maintain_order=True)
    follows = pl.concat([part.follows for part in parts]).sort("ts", "user_id", maintain_order=True)
    impressions = pa.concat_tables([p.impressions for p in parts if p.impressions.num_columns])
    truth = pa.concat_tables([p.truth_pages for p in parts if p.truth_pages.num_columns])
    order = pa.array(np.argsort(impressions["ts"].to_numpy(), kind="stable"))
    raw = {
        "behaviors": _arrow(behaviors),
        "impressions": impressions.take(order),
        "follows": _arrow(follows.drop("p_follow")),
    }
    for name, table in raw.items():
        _publish(store, "raw", today, name, table, place)
    _publish(store, "truth", today, "pages", truth.take(order), place)
    _publish(store, "truth", today, "follows", _arrow(follows.drop("followed")), place)
    counts = {name: table.num_rows for name, table in raw.items()}
    counts["items_shown"] = len(impressions["item_ids"].combine_chunks().flatten())
    counts["pages"] = sum(part.pages for part in parts)
    counts["dirty"] = len(broken)
    counts["late"] = int(late.sum())
    return counts, happened.filter(tomorrow)


def _write_snapshots(
    store: Store, today: date, tables: Mapping[str, pl.DataFrame], place: World
) -> dict[str, int]:
    for name, table in tables.items():
        _publish(store, "raw", today, name, _arrow(table), place)
    return {name: len(table) for name, table in tables.items()}


def _publish(
    store: Store, stage: str, today: date, name: str, table: pa.Table, place: World
) -> None:
    """One table in several files, as collectors on several machines would write it."""
    edges = np.linspace(0, table.num_rows, place.config.parts + 1).astype(int)
    with store.partition(stage, today, name).publish(**_lineage(place)) as out:
        entries = [
            out.write_table(f"part-{index:03d}", table.slice(low, high - low))
            for index, (low, high) in enumerate(pairwise(edges))
            if high > low or index == 0
        ]
        out.record(entries)


def _lineage(place: World) -> dict[str, Any]:
    return {"dataset": DATASET, "seed": place.seed, "config": place.config.digest()}


def _arrow(frame: pl.DataFrame) -> pa.Table:
    table = frame.to_arrow(compat_level=pl.CompatLevel.oldest())
    fields = [
        pa.field(f.name, _small(f.type)) for f in table.schema
    ]  # fmt: skip
    return table.cast(pa.schema(fields))


def _small(kind: pa.DataType) -> pa.DataType:
    if pa.types.is_large_string(kind):
        return pa.string()
    if pa.types.is_large_list(kind) or pa.types.is_list(kind):
        return pa.list_(_small(kind.value_type))
    return kind


def _carried(store: Store, yesterday: date, place: World, everybody: People) -> Carried:
    """Yesterday's end, or the eve of a new world."""
    partition = store.partition("truth", yesterday, "state")
    if not partition.exists():
        return Carried(-1, people.first_minds(place, everybody), np.zeros(0), logs.no_behaviors())
    manifest = partition.manifest()
    if any(manifest.lineage.get(key) != value for key, value in _lineage(place).items()):
        raise ConfigError(
            f"{partition.key} belongs to a marketplace with another seed or other settings. "
            "Simulate with those, or into another --home."
        )
    content = {}
    for entry in manifest.files:
        with partition.open(entry) as source:
            content[entry.name.split("-")[0]] = source.read()
    with np.load(io.BytesIO(content["counters"])) as counters:
        clicks = counters["clicks"]
    return Carried(
        int(manifest.lineage["day"]),
        Minds.load(content["minds"]),
        clicks,
        pl.read_parquet(io.BytesIO(content["pending"])),
    )


def _save(store: Store, today: date, place: World, carried: Carried) -> None:
    counters, pending = io.BytesIO(), io.BytesIO()
    np.savez(counters, clicks=carried.clicks)
    carried.pending.write_parquet(pending)
    partition = store.partition("truth", today, "state")
    with partition.publish(**_lineage(place), day=carried.day) as out:
        out.record(
            [
                out.write_bytes("minds.npz", carried.minds.saved()),
                out.write_bytes("counters.npz", counters.getvalue()),
                out.write_bytes("pending.parquet", pending.getvalue(), rows=len(carried.pending)),
            ]
        )
