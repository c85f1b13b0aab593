"""Raw days of a shop whose pages two lines answer, with an effect planted; and lines in a registry.

Users come back day after day with a level of their own. `effect` multiplies the click probability
of the challenger's pages from the experiment's first day on; purchases follow clicks.
"""

from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa

from evaluation.abtest.experiment import Experiment
from features.abtest.assignment import arms
from features.property import LocalClock
from pipeline import steps
from pipeline.release.incumbent import registry_of
from pipeline.settings import Settings, load

FIRST = date(2026, 3, 4)
"""Of the experiment; two days of the log lie before it."""
OLD, NEW = "old", "new"
SIZE = 6
"""Items on a page: all of one price level."""
ITEMS = 7 * SIZE


@dataclass(frozen=True, kw_only=True)
class Shop:
    """What is planted."""

    effect: float = 1.0
    """Of the challenger on clicks."""
    users: int = 600
    pages: int = 2
    """A user and day."""
    lost: float = 0.0
    """Share of the challenger's users who are never seen."""
    salt: str = ""
    """Of the split that was served; empty: the experiment's."""
    right: dict[str, float] = field(default_factory=lambda: {OLD: 0.3, NEW: 0.5})
    """Share of the predicted price levels that are right."""


def experiment(name: str = "new-for-old", **over) -> Experiment:
    return Experiment.model_validate(
        {
            "id": name,
            "first_day": FIRST,
            "planned_days": 4,
            "arms": {OLD: 0.5, NEW: 0.5},
            "before_days": 2,
            "rule": {"minimum_effect": 0.1, "guardrails": {"ctr": 0.1, "orders": 0.1}},
            **over,
        }
    )


def settings(home: Path, *pairs: str) -> Settings:
    return load("smoke", str(home), ["beam.buckets=2", *pairs])


def live(mine: Settings, trial: Experiment, shop: Shop, days: int, since: int = -2) -> None:
    """Raw rows, events and catalog of days `since` to `days - 1`; 0 is the experiment's first."""
    for number in range(since, days):
        day = FIRST + timedelta(days=number)
        write(Path(mine.home), day, trial, shop)
        steps.events(mine, day)
        steps.vocabulary(mine, day)
        steps.statistics(mine, day)


def write(home: Path, day: date, trial: Experiment, shop: Shop) -> None:
    rng = np.random.default_rng(day.toordinal())
    ids = np.array([f"u{n}" for n in range(shop.users)])
    level = np.random.default_rng(1).gamma(4, 0.05, shop.users)
    split = trial.traffic
    arm = arms(pa.array(ids), shop.salt or split.salt, split.shares)
    seen = (arm != NEW) | (np.random.default_rng(2).random(shop.users) >= shop.lost)
    user = np.repeat(np.flatnonzero(seen), shop.pages)
    runs = day >= FIRST
    chance = level[user] * np.where((arm[user] == NEW) & runs, shop.effect, 1.0)
    start = LocalClock("UTC").midnight_ms(day)
    ts = start + rng.integers(0, 22 * 3_600_000, len(user))
    level_of = rng.integers(0, 7, len(user))
    item = level_of[:, None] * SIZE + np.arange(SIZE)
    clicked = rng.random(item.shape) < np.minimum(chance, 0.9)[:, None]
    bought = clicked & (rng.random(item.shape) < 0.2)
    page = np.arange(len(user))
    request = np.array([f"{day}-{n}" for n in page])
    true = 1 + level_of
    right = rng.random(len(user)) < np.array([shop.right[one] for one in arm[user]])
    pages = {
        "request_id": request,
        "user_id": ids[user],
        "ts": ts,
        "scenario": np.full(len(user), "search"),
        "query": pl.Series([None] * len(user), dtype=pl.String),
        "item_ids": pl.Series([[f"i{n}" for n in row] for row in item.tolist()]),
    }
    if runs:
        pages |= {
            "variant": arm[user],
            "line": arm[user],
            "model_version": np.where(arm[user] == NEW, "2", "1"),
            "price_level": np.where(right, true, 1 + true % 7).astype(np.int64),
            "latency_ms": rng.gamma(4, 3.0, len(user)),
            "failed": rng.random(len(user)) < 0.001,
        }
    put(pl.DataFrame(pages), home, day, "impressions")
    tables = [
        _actions(kind, delay, chosen, ids[user], item, request, ts)
        for kind, delay, chosen in (("click", 30_000, clicked), ("purchase", 600_000, bought))
    ]
    put(pl.concat(tables), home, day, "behaviors")
    names = [f"i{n}" for n in range(ITEMS)]
    price = [10.0 + 10 * (n // SIZE) for n in range(ITEMS)]
    put(
        pl.DataFrame({"item_id": names, "category_id": ["c"] * ITEMS, "price": price}),
        home, day, "items",
    )  # fmt: skip


def _actions(kind, delay, chosen, who, item, request, ts) -> pl.DataFrame:
    page, place = np.nonzero(chosen)
    rows = item[page, place]
    return pl.DataFrame(
        {
            "user_id": who[page],
            "item_id": [f"i{n}" for n in rows.tolist()],
            "type": np.full(len(page), kind),
            "scenario": np.full(len(page), "search"),
            "ts": ts[page] + delay + place,
            "request_id": request[page],
            "price": 10.0 + 10.0 * (rows // SIZE),
        }
    )


def put(table: pl.DataFrame, home: Path, day: date, name: str) -> None:
    folder = home / "raw" / f"dt={day}" / name
    folder.mkdir(parents=True, exist_ok=True)
    table.write_parquet(folder / "part-0.parquet")


def lines(mine: Settings) -> None:
    """Two lines in the registry: OLD is champion, NEW stands as its challenger."""
    registry = registry_of(mine)
    for number, line in enumerate((OLD, NEW)):
        tags = {"run_key": f"{line}-2026-03-03", "line": line, "bundle": f"bundles/{line}"}
        registry.register(f"file:///models/{line}", "", tags)
        move = registry.challenge if number else registry.promote
        move(str(number + 1), f"{line} passed the gate")
