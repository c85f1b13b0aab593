"""A small store of random samples that has something to learn: one's last category is the next."""

from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from features.buckets import hash_ids
from features.ranking import NAMES
from features.schemas import CATALOG, FEATURES, SAMPLES, TAGS_PER_ITEM, VOCABULARY
from infra.store import Store
from tests.training.small import TINY
from training.config import ModelConfig, TrainConfig

FIRST = date(2026, 3, 2)
PROFILE = ("profile_age", "profile_gender")
ITEMS, CATEGORIES = 300, 6


@pytest.fixture(scope="session")
def make_store():
    """Writes a store below a folder: `make_store(folder, days=2, moments=300)`."""
    return write_store


@pytest.fixture(scope="session")
def store(tmp_path_factory) -> Store:
    """Two days of 300 moments each; read only."""
    return write_store(tmp_path_factory.mktemp("store"))


@pytest.fixture
def days() -> list[date]:
    return [FIRST, FIRST + timedelta(days=1)]


@pytest.fixture(scope="session")
def tiny() -> ModelConfig:
    return TINY.model_copy(update={"hidden_dim": 8, "ctr_hidden": (8,), "dropout": 0.1})


@pytest.fixture(scope="session")
def quick() -> TrainConfig:
    return TrainConfig(batch_size=64, shuffle_buffer=200, learning_rate=0.1, threads=1)


def write_store(folder: Path, days: int = 2, moments: int = 300, seed: int = 3) -> Store:
    store = Store(folder)
    rng = np.random.default_rng(seed)
    world = _World(category=rng.integers(0, CATEGORIES, ITEMS))
    for k in range(days):
        day = FIRST + timedelta(days=k)
        _vocabulary(store, day)
        _catalog(store, day, world, k)
        with store.partition("samples", day).publish(price_offers=True) as out:
            halves = [samples(rng, world, n, f"{k}{h}") for h, n in enumerate(halve(moments))]
            out.record(
                [
                    out.write_table(f"part-{h}", half, row_group_size=64)
                    for h, half in enumerate(halves)
                    if half.num_rows
                ]
            )
    return store


def halve(moments: int) -> tuple[int, int]:
    return moments // 2, moments - moments // 2


@dataclass
class _World:
    category: np.ndarray


def samples(rng, world: _World, n: int, tag: str) -> pa.Table:
    """`n` moments; every block is asked of some, and some histories are empty."""
    lengths = np.where(rng.random(n) < 0.1, 0, rng.integers(1, 30, n))
    total = int(lengths.sum())
    wanted = rng.integers(0, CATEGORIES, n)
    owner = np.repeat(np.arange(n), lengths)
    items = _items_of(rng, world, np.where(rng.random(total) < 0.8, wanted[owner], -1))
    cands = np.where(rng.random(n) < 0.8, 5, -1)  # -1: null
    cand_owner = np.repeat(np.arange(n), np.maximum(cands, 0))
    match = rng.random(len(cand_owner)) < 0.4
    cand = _items_of(rng, world, np.where(match, wanted[cand_owner], -1))
    same = world.category[cand - 2] == wanted[cand_owner]
    clicked = (rng.random(len(cand)) < np.where(same, 0.8, 0.1)).astype(np.int8)
    features = rng.normal(size=(len(cand), len(NAMES))).astype(np.float32)
    label = np.where(features[:, 0] > 0, 1, -1).astype(np.int8)
    icons = np.where(rng.random(n) < 0.3, 2, -1)
    icon_total = int(np.maximum(icons, 0).sum())
    shops = np.where(rng.random(n) < 0.3, 3, -1)
    shop_total = int(np.maximum(shops, 0).sum())
    price = (wanted % 7 + 1).astype(np.int8)
    seq = {
        name: rng.integers(1, 3, total).astype(np.int8)
        for name in ("type", "scenario", "gap", "daypart", "weekend")
    }
    users = pa.array([f"u{tag}-{i // 2}" for i in range(n)])
    columns = {
        "sample_id": pa.array([f"s{tag}-{i}" for i in range(n)]),
        "user_hash": pa.array(hash_ids(users)),
        "user_id": users,
        "ts": pa.array(rng.integers(0, 10**9, n)).cast(pa.timestamp("ms", "UTC")),
        "scenario": pa.array(rng.integers(1, 4, n).astype(np.int8)),
        "query": _lists(rng.integers(2, 20, 2 * n).astype(np.int32), np.full(n, 2)),
        "profile": _lists(rng.integers(1, 5, 2 * n).astype(np.int32), np.full(n, 2)),
        "seq_item": _lists(items.astype(np.int32), lengths),
        **{f"seq_{name}": _lists(values, lengths) for name, values in seq.items()},
        "cand_item": _lists(cand.astype(np.int32), cands),
        "cand_clicked": _lists(clicked, cands),
        "cand_label": _lists(label, cands),
        "cand_weight": _lists(rng.random(len(cand)).astype(np.float32), cands),
        "cand_features": _lists(pa.array(list(features), pa.list_(pa.float32())), cands),
        "cand_purchased": _lists((clicked * (rng.random(len(cand)) < 0.5)).astype(np.int8), cands),
        "cand_origin": _lists(np.ones(len(cand), np.int8), cands),
        "price_level": pa.array(price, mask=rng.random(n) < 0.5),
        "price_offer": _offers(n),
        "icon": _lists(rng.integers(2, 10, icon_total).astype(np.int32), icons),
        "icon_followed": _lists(rng.integers(0, 2, icon_total).astype(np.int8), icons),
        "shop": _lists(rng.integers(2, 10, shop_total).astype(np.int32), shops),
        "shop_preferred": _lists(rng.integers(0, 2, shop_total).astype(np.int8), shops),
    }
    return pa.table([columns[field.name] for field in SAMPLES], schema=SAMPLES)


def _items_of(rng, world: _World, category: np.ndarray) -> np.ndarray:
    """A random catalog row of each category; of any where it is -1."""
    order = np.argsort(world.category, kind="stable")
    bounds = np.searchsorted(world.category[order], np.arange(CATEGORIES + 1))
    low = np.where(category < 0, 0, bounds[np.maximum(category, 0)])
    high = np.where(category < 0, ITEMS, bounds[np.maximum(category, 0) + 1])
    return order[low + (rng.random(len(category)) * (high - low)).astype(np.int64)] + 2


def _offers(n: int) -> pa.Array:
    """Shares of the levels, null where nothing was typed."""
    rng = np.random.default_rng(n)
    shares = rng.dirichlet(np.ones(7), n).astype(np.float32).tolist()
    typed = rng.random(n) < 0.7
    rows = [row if known else None for row, known in zip(shares, typed, strict=True)]
    return pa.array(rows, pa.list_(pa.float32()))


def _lists(values, lengths: np.ndarray) -> pa.Array:
    """A list column; length -1 is null."""
    null = lengths < 0
    offsets = np.concatenate([[0], np.cumsum(np.maximum(lengths, 0))]).astype(np.int32)
    return pa.ListArray.from_arrays(
        pa.array(offsets), pa.array(values), mask=pa.array(null) if null.any() else None
    )


def _vocabulary(store: Store, day: date) -> None:
    rows = {"item": ITEMS, "brand": 20, "shop": 30, "category": CATEGORIES, "tag": 12}
    for name in (*FEATURES, *PROFILE):
        count = rows.get(name, 20)
        table = pa.table(
            {
                "id": [f"{name}{i}" for i in range(count)],
                "row": pa.array(np.arange(2, count + 2), pa.int32()),
                "count": pa.array(np.ones(count, np.int64)),
            },
            schema=VOCABULARY,
        )
        with store.partition("vocabulary", day, name).publish() as out:
            out.record([out.write_table("part", table, counts={"admitted": count})])


def _catalog(store: Store, day: date, world: _World, k: int) -> None:
    """Tags are statistics of the day before: they differ from day to day."""
    row = np.arange(ITEMS)
    tags = np.zeros((ITEMS, TAGS_PER_ITEM), np.int32)
    tags[:, 0] = 2 + (row + k) % 12
    ids = pa.array([f"i{r}" for r in row])
    table = pa.table(
        {
            "item_id": ids,
            "row": pa.array(row + 2, pa.int32()),
            "item": pa.array(row + 2, pa.int32()),
            "brand": pa.array(2 + row % 20, pa.int32()),
            "shop": pa.array(2 + row % 30, pa.int32()),
            "category": pa.array(2 + world.category, pa.int32()),
            "tags": pa.FixedSizeListArray.from_arrays(pa.array(tags.ravel()), TAGS_PER_ITEM),
            "price": pa.array(np.ones(ITEMS), pa.float32()),
            "price_level": pa.array(1 + row % 7, pa.int8()),
            "title": ids,
        },
        schema=CATALOG,
    )
    hashes = hash_ids(ids)
    order = np.argsort(hashes)
    index = pa.table({"item_hash": hashes[order], "row": pa.array(row[order] + 2, pa.int32())})
    with store.partition("catalog", day).publish() as out:
        out.record([out.write_table("part", table)])
    with store.partition("catalog", day, "items").publish() as out:
        out.record([out.write_table("part", index)])
