"""A second history store, as short as `serving.histories.Histories` allows.

It shows what one has to do that several machines share: `Heard` would be the server, and a snapshot
of `sequences` stays each machine's own.
"""

import time
from bisect import insort
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, timedelta
from functools import lru_cache
from pathlib import Path
from threading import Lock

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from features.buckets import hash_ids
from features.property import LocalClock, day_number
from features.schemas import SEQUENCE_LENGTH
from infra.errors import ServingUnavailable
from infra.store import Store
from serving import snapshots
from serving.histories import EDGE_MS, KEPT, PATIENCE_S, LiveBehavior, user_hash
from serving.snapshot import COLUMNS, Past, Snapshot

NIGHTS = 3
"""For which a row stays once its day was taken over: a machine whose disk is full lags behind."""


@dataclass(frozen=True)
class Row:
    """A behaviour that came in, and the day that it belongs to."""

    day: int
    told: LiveBehavior


@dataclass
class Heard:
    """What came in, of all processes."""

    lock: Lock = field(default_factory=Lock)
    newest: int = 0
    """Day of the newest `sequences` that any process took over."""
    rows: dict[str, list[Row]] = field(default_factory=lambda: defaultdict(list))
    """By user, in time order; of equal times in that of arrival."""


class HistoriesInMemory:
    """The histories of a process."""

    def __init__(
        self, heard: Heard, store: Store, work: Path, zone: str, patience_s: float = PATIENCE_S
    ) -> None:
        self.heard, self.work, self.clock = heard, work, LocalClock(zone)
        self.patience_s, self.waited_in_vain = patience_s, False
        self.snapshot = snapshots.newest(store, work)
        self._tell(self.snapshot)

    @property
    def day(self) -> date:
        """See `Histories`."""
        return self.snapshot.day

    def before(self, user_id: str, ts: int) -> Past:
        """See `Histories`."""
        snapshot = self.snapshot
        with self._server():
            rows = list(self.heard.rows.get(user_id, ()))
        live = [row.told for row in rows if row.day > day_number(snapshot.day)]
        past = snapshot.of(user_hash(user_id))
        old = list(zip(*(getattr(past, name).tolist() for name in COLUMNS), strict=True))
        known = {(item, kind, at // 1000) for item, at, kind, _ in old}
        new = [(_hash(b.item_id), b.ts, b.type, b.scenario) for b in live]
        new = [one for one in new if (one[0], one[2], one[1] // 1000) not in known]
        both = sorted((one for one in old + new if one[1] < ts), key=lambda one: one[1])
        columns = zip(*both[-SEQUENCE_LENGTH:], strict=True) if both else [()] * len(COLUMNS)
        kinds = zip(columns, COLUMNS.values(), strict=True)
        return Past(*(np.array(column, kind) for column, kind in kinds))

    def profile(self, user_id: str, columns: Sequence[str]) -> NDArray[np.int32]:
        """See `Histories`."""
        return self.snapshot.profile(user_hash(user_id), columns)

    def add(self, behaviors: Sequence[LiveBehavior], arrived: int | None = None) -> int:
        """See `Histories`."""
        now, new = time.time_ns() // 1_000_000 if arrived is None else arrived, 0
        days = self.clock.parts(np.array([now, now + EDGE_MS])).day.tolist()
        with self._server():
            least = self.heard.newest + 1 if arrived is None else 0
            for one in behaviors:
                rows = self.heard.rows[one.user_id]
                if not one.event_id or all(row.told.event_id != one.event_id for row in rows):
                    insort(rows, Row(max(days[one.dated], least), one), key=lambda row: row.told.ts)
                    new += 1
            for user in {one.user_id for one in behaviors}:
                del self.heard.rows[user][:-KEPT]
        return new

    def follow(self, store: Store) -> None:
        """See `Histories`."""
        newer = snapshots.newer(store, self.work, self.snapshot)
        if newer is None:
            return
        held = day_number(min(self.day, newer.day - timedelta(days=1))) - NIGHTS
        self._tell(newer)
        with self._server():
            for user, rows in self.heard.rows.items():
                self.heard.rows[user] = [row for row in rows if row.day > held]
        self.snapshot = newer

    def _tell(self, snapshot: Snapshot) -> None:
        with self._server():
            self.heard.newest = max(self.heard.newest, day_number(snapshot.day))

    @contextmanager
    def _server(self) -> Iterator[None]:
        wait_s = self.patience_s / (10 if self.waited_in_vain else 1)
        self.waited_in_vain = not self.heard.lock.acquire(timeout=wait_s)
        if self.waited_in_vain:
            raise ServingUnavailable("what was heard is held by somebody else. Ask again.")
        try:
            yield
        finally:
            self.heard.lock.release()


@lru_cache(maxsize=10_000)
def _hash(item_id: str) -> int:
    return int(hash_ids(pa.array([item_id]))[0])
