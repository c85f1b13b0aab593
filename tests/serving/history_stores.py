"""What is told of users' behaviours, in `sequences` and live; and the stores that must know it."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np
import pyarrow as pa

from features.buckets import hash_ids
from features.schemas import SEQUENCES
from infra.store import Store
from serving import snapshots
from serving.histories import Histories, LiveBehavior, LocalHistories
from tests.serving.histories_in_memory import Heard, HistoriesInMemory

DAY = date(2026, 3, 3)
MIDNIGHT = 1_772_582_400_000  # of the day after
NEXT = MIDNIGHT + 1_000

Make = Callable[[str], Histories]
"""The histories of one more process, in a time zone."""


@contextmanager
def in_sqlite(store: Store, work: Path) -> Iterator[Make]:
    """What a service has by itself."""
    yield lambda zone: LocalHistories(work / "live.db", snapshots.newest(store, work), zone)


@contextmanager
def in_memory(store: Store, work: Path) -> Iterator[Make]:
    """The example of another kind."""
    heard = Heard()
    yield lambda zone: HistoriesInMemory(heard, store, work, zone)


Kind = Callable[[Store, Path], AbstractContextManager[Make]]
"""By a home and a local folder, what makes the histories of each process of one service.

It has heard of nothing when it is entered, and leaves nothing behind when it is left.
"""
KINDS: Mapping[str, Kind] = {"sqlite": in_sqlite, "memory": in_memory}
"""Stores that keep what `serving.histories.Histories` says: a line here tests another one."""


@dataclass(frozen=True)
class Service:
    """Processes that share a store, and the nights of their home."""

    folder: Path
    store: Store
    make: Make

    @classmethod
    @contextmanager
    def at(cls, kind: str, folder: Path) -> Iterator["Service"]:
        """One that begins at the end of DAY, when nobody had done anything."""
        store = Store(folder / "home")
        publish(store, DAY, history())
        with KINDS[kind](store, folder / "serving") as make:
            yield cls(folder, store, make)

    def process(self, zone: str = "UTC") -> Histories:
        """One more process, which begins with the newest night."""
        return self.make(zone)

    def night(self, day: date, *rows: tuple[str, int, str]) -> None:
        """Publish the `sequences` of a day: (user, ts, item)."""
        publish(self.store, day, history(*rows))


def behavior(ts, item="i1", user="u1", event="", **more):
    given = {"type": 1, "scenario": 1} | more
    return LiveBehavior(user_id=user, item_id=item, ts=ts, event_id=event, **given)


def items(past):
    return past.item.tolist()


def hashes(*ids):
    return hash_ids(pa.array(ids)).tolist()


def history(*rows):
    """`sequences` rows of (user, ts, item)."""
    users = pa.array([row[0] for row in rows], pa.string())
    table = pa.table(
        [
            pa.array(hash_ids(users), pa.uint64()),
            users,
            pa.array([row[1] for row in rows], pa.int64()),
            pa.array([row[2] for row in rows], pa.string()),
            pa.array(np.ones(len(rows), np.int8)),
            pa.array(np.ones(len(rows), np.int8)),
            pa.array(np.arange(len(rows), dtype=np.uint64)),
            pa.nulls(len(rows), pa.string()),
        ],
        schema=SEQUENCES,
    )
    return table.sort_by([("user_hash", "ascending"), ("ts", "ascending")])


def publish(store, day, table):
    with store.partition("sequences", day, "history").publish() as out:
        out.record([out.write_table("all", table)])
