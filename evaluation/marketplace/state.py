"""The marketplace's memory between days: `truth/dt=D/state`.

With it, days 0..9 followed later by day 10 give the bytes of days 0..10 at once.
"""

import io
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from typing import Any

import numpy as np
import polars as pl

from evaluation.marketplace.people import Minds
from evaluation.marketplace.play import Carried, Marketplace
from infra.errors import ConfigError
from infra.store import Store

DATASET = "marketplace"
ONE_DAY = timedelta(days=1)


def lineage(market: Marketplace) -> dict[str, Any]:
    """Which marketplace a partition belongs to."""
    place = market.world
    return {"dataset": DATASET, "seed": place.seed, "config": place.config.digest()}


def saved(store: Store, day: date) -> bool:
    """Whether a day was lived to its end: it has its state, and the behaviours that come last."""
    ended = store.partition("truth", day, "state").exists()
    return ended and store.partition("raw", day, "behaviors").exists()


def require_place(store: Store, days: Sequence[date], market: Marketplace) -> None:
    """Refuse days that could not go on from the day before, or into the day after them.

    Two worlds side by side repeat each other's page ids; with a gap between them they do not meet.
    The same days of the same world may be lived again.

    Raises:
        ConfigError: the day before or after is of another world, or another day of this one.
        PartitionMissing: the day before was cut off.
    """
    number = _number(store, days[0], market) + len(days)
    end = last = days[-1]
    after = store.partition("truth", last + ONE_DAY, "state")
    if not after.exists():
        return
    theirs = after.manifest().lineage
    if _is_of(theirs, market) and theirs["day"] == number:
        return
    while store.partition("truth", end + ONE_DAY, "state").exists():
        end += ONE_DAY
    what = (
        f"is day number {theirs['day']} of its marketplace, and would follow number {number - 1}"
        if _is_of(theirs, market)
        else f"belongs to a marketplace with another seed or other settings than {last} asks for"
    )
    raise ConfigError(
        f"{after.key} {what}. Simulate the days up to {end} with it "
        f"(--first {days[0]} --days {(end - days[0]).days + 1}), or into another --home."
    )


def restore(store: Store, today: date, market: Marketplace) -> Carried:
    """How the day before `today` ended, or the eve of a new world if it was not simulated.

    Raises:
        ConfigError: the day before belongs to another seed or other settings.
        PartitionMissing: it was cut off.
    """
    number = _number(store, today, market)
    if not number:
        return market.eve()
    partition = store.partition("truth", today - ONE_DAY, "state")
    manifest = partition.manifest()
    content = {}
    for entry in manifest.files:
        with partition.open(entry) as source:
            content[entry.name.split("-")[0]] = source.read()
    with np.load(io.BytesIO(content["counters"])) as counters:
        clicks = counters["clicks"]
    return Carried(
        number - 1,
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


def _number(store: Store, today: date, market: Marketplace) -> int:
    """Which day of its world `today` is, from 0; errors as for `restore`."""
    partition = store.partition("truth", today - ONE_DAY, "state")
    if not partition.exists():
        if store.partition("truth", today - ONE_DAY, "pages").exists():
            partition.require()  # a new world would repeat the page ids of what was begun
        return 0
    theirs = partition.manifest().lineage
    if not _is_of(theirs, market):
        raise ConfigError(
            f"{partition.key} belongs to a marketplace with another seed or other settings than "
            f"{today} asks for. Simulate on with the old ones, or into another --home."
        )
    return int(theirs["day"]) + 1


def _is_of(theirs: Mapping[str, Any], market: Marketplace) -> bool:
    return all(theirs.get(key) == value for key, value in lineage(market).items())
