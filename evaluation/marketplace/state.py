"""The marketplace's memory between days: `truth/dt=D/state`.

With it, days 0..9 followed later by day 10 give the bytes of days 0..10 at once.
"""

import io
from datetime import date, timedelta
from typing import Any

import numpy as np
import polars as pl

from evaluation.marketplace.people import Minds
from evaluation.marketplace.play import Carried, Marketplace
from infra.errors import ConfigError
from infra.store import Store

DATASET = "marketplace"


def lineage(market: Marketplace) -> dict[str, Any]:
    """Which marketplace a partition belongs to."""
    place = market.world
    return {"dataset": DATASET, "seed": place.seed, "config": place.config.digest()}


def saved(store: Store, day: date) -> bool:
    """Whether a day was simulated to its end: its state is the last thing that it publishes."""
    return store.partition("truth", day, "state").exists()


def restore(store: Store, today: date, market: Marketplace) -> Carried:
    """How the day before `today` ended, or the eve of a new world if it was not simulated.

    Raises:
        ConfigError: the day before belongs to another seed or other settings.
    """
    partition = store.partition("truth", today - timedelta(days=1), "state")
    if not partition.exists():
        return market.eve()
    manifest = partition.manifest()
    if any(manifest.lineage.get(key) != value for key, value in lineage(market).items()):
        raise ConfigError(
            f"{partition.key} belongs to a marketplace with another seed or other settings than "
            f"{today} asks for. Simulate on with the old ones, or into another --home."
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


def save(store: Store, today: date, market: Marketplace, carried: Carried) -> None:
    """Publish how `today` ended."""
    counters, pending = io.BytesIO(), io.BytesIO()
    np.savez(counters, clicks=carried.clicks)
    carried.pending.write_parquet(pending)
    partition = store.partition("truth", today, "state")
    with partition.publish(**lineage(market), day=carried.day) as out:
        out.record(
            [
                out.write_bytes("minds.npz", carried.minds.saved()),
                out.write_bytes("counters.npz", counters.getvalue()),
                out.write_bytes("pending.parquet", pending.getvalue(), rows=len(carried.pending)),
            ]
        )
