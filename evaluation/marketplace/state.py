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
POLICY = "the logging policy"
"""Who ranked the pages of a day whose state does not say so."""


def lineage(market: Marketplace) -> dict[str, Any]:
    """Which marketplace a partition belongs to."""
    place = market.world
    return {"dataset": DATASET, "seed": place.seed, "config": place.config.digest()}


def saved(store: Store, day: date) -> bool:
    """Whether a day was lived to its end: it has its state, and the behaviours that come last."""
    ended = store.partition("truth", day, "state").exists()
    return ended and store.partition("raw", day, "behaviors").exists()


def require_place(
    store: Store, days: Sequence[date], market: Marketplace, ranked: str | None = None
) -> None:
    """Refuse days that could not go on from the day before, or into the day after them.

    Two worlds side by side repeat each other's page ids; with a gap between them they do not meet.
    The same days of the same world may be lived again, ranked as they were.

    Args:
        store: where they are lived.
        days: in order, without a gap.
        market: of which they are.
        ranked: who ranks their pages; None: to be asked of each day (`require_ranked`).

    Raises:
        ConfigError: the day before or after is of another world, or another day of this one, or
            went on from days that somebody else ranked.
        PartitionMissing: the day before was cut off.
    """
    number = _number(store, days[0], market) + len(days)
    last = days[-1]
    if not goes_on(store, last):
        return
    after = store.partition("truth", last + ONE_DAY, "state")
    theirs = after.manifest().lineage
    if _is_of(theirs, market) and theirs["day"] == number:
        if ranked is not None:
            require_ranked(store, days, last, ranked)
        return
    what = (
        f"is day number {theirs['day']} of its marketplace, and would follow number {number - 1}"
        if _is_of(theirs, market)
        else f"belongs to a marketplace with another seed or other settings than {last} asks for"
    )
    raise ConfigError(
        f"{after.key} {what}. Simulate the days up to {_end(store, last)} with it "
        f"({_all_from(store, days[0], last)}), or into another --home."
    )


def goes_on(store: Store, last: date) -> bool:
    """Whether there is a day that may have gone on from `last`."""
    return store.partition("truth", last + ONE_DAY, "state").exists()


def require_ranked(store: Store, days: Sequence[date], last: date, ranked: str) -> None:
    """Refuse to have days ranked by others than before, where a day after `last` went on from them.

    What people do hangs on what they are shown: that day's late rows, tastes and counters would
    rest on pages that there are no more.

    Args:
        store: where they are lived.
        days: lived again.
        last: of all days that are lived in one go.
        ranked: who ranks now.

    Raises:
        ConfigError: naming the first such day, and who ranked it.
    """
    for day in days if goes_on(store, last) else ():
        partition = store.partition("truth", day, "state")
        theirs = _ranked(partition.manifest().lineage) if partition.exists() else ranked
        if theirs != ranked:
            raise ConfigError(
                f"{partition.key} was left by a day that was ranked by {theirs}, and "
                f"{last + ONE_DAY} goes on from there: ranked by {ranked}, {day} would be of "
                "another world. Have it ranked as it was, or simulate the days up to "
                f"{_end(store, last)} anew ({_all_from(store, day, last)}), or into another --home."
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


def save(
    store: Store, today: date, market: Marketplace, carried: Carried, ranked: str = POLICY
) -> None:
    """Publish how `today` ended, and who ranked its pages."""
    counters, pending = io.BytesIO(), io.BytesIO()
    np.savez(counters, clicks=carried.clicks)
    carried.pending.write_parquet(pending)
    partition = store.partition("truth", today, "state")
    who = {} if ranked == POLICY else {"ranked": ranked}
    with partition.publish(**lineage(market), day=carried.day, **who) as out:
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


def _ranked(theirs: Mapping[str, Any]) -> str:
    return str(theirs.get("ranked", POLICY))


def _end(store: Store, last: date) -> date:
    """The newest day that is there without a gap after `last`."""
    while goes_on(store, last):
        last += ONE_DAY
    return last


def _all_from(store: Store, first: date, last: date) -> str:
    return f"--first {first} --days {(_end(store, last) - first).days + 1}"


def _is_of(theirs: Mapping[str, Any], market: Marketplace) -> bool:
    return all(theirs.get(key) == value for key, value in lineage(market).items())
