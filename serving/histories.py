"""Live histories: the last 100 behaviours of a user, this moment's included from the next request.

The rules of `LocalHistories`, each with the method that keeps it:

- A history is a snapshot of `sequences` (memory-mapped, read-only) and, over it, what has happened
  since, in SQLite on disk: it survives a `kill -9`, and the worker processes of one machine share
  it (`before`).
- What a night has carried into a newer snapshot no longer counts for the process that takes that
  one over. It is forgotten one snapshot later, as others still look at the old one (`take_over`);
  also where the service was down meanwhile and starts from the later one.
- Under which day of the raw log a row will be delivered nobody knows near midnight: what is heard
  in the last minutes of a day with a time of its own counts for the next day, too (`add`).
- What the snapshot's history has already, the same item and type in the same second, is not counted
  beside it (`before`, by `_held`).
- The file says which snapshot is the newest that any process took over (`take_over`): what comes in
  after that counts beside it for all of them, whoever hears it (`add`).

The service knows only the `Histories` protocol; `serving.chosen_histories` says which kind it gets:
another one, which several machines could share, is named by a setting.
"""

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from features.buckets import hash_ids
from features.property import LocalClock, day_number
from features.schemas import SEQUENCE_LENGTH
from infra.errors import ServingUnavailable
from infra.files import alone, writing
from infra.store import Store
from serving import snapshots
from serving.live_file import LiveFile
from serving.snapshot import COLUMNS, Past, Snapshot

logger = logging.getLogger(__name__)

EDGE_MS = 15 * 60_000
"""Before midnight: what is heard then a collector may deliver under the day or the next one."""
KEPT = 4 * SEQUENCE_LENGTH
"""Live behaviours kept a user: late ones may still come in between."""
LAYOUT = 1
"""Of the file's tables, kept as its `user_version`; 0 stands in files of before it was."""
PATIENCE_S = 0.5
"""Seconds for which behaviours wait for others that write; those who ask wait with them."""
FORGOTTEN = 5_000
"""Rows that are forgotten in one go: requests that write wait for it."""


@dataclass(frozen=True)
class LiveBehavior:
    """One behaviour as it comes in."""

    user_id: str
    item_id: str
    type: int
    scenario: int
    ts: int
    """UTC milliseconds."""
    event_id: str = ""
    """The sender's id of the event: sent twice, it is taken once. Empty: every row counts."""
    dated: bool = True
    """Whether `ts` is the sender's own, which the raw log has too; else it is when we heard it."""


class Histories(Protocol):
    """What the service needs of a history store: histories up to a night, and what came in since.

    It begins with the newest `sequences`. What comes in belongs to a day and counts beside them
    until they are of that day or a later one; then they have it. What their history of the user has
    already, the same item and type in the same second, is not counted beside it.

    Processes that share a store share what comes in, and each goes on from newer `sequences` when
    it looks. One that has not looked yet still counts the days that another one took over: they
    are forgotten when the `sequences` after those are, and by a store of several machines some
    nights later (a week at most), for one of them may be unable to look. Requests call from several
    threads at once.

    Any method may raise `ServingUnavailable`, which is answered with 503 and tried again; what else
    a store's client raises is a 500, so turn its errors into that one, with what to do.
    A process answers one request at a time, so who waits for the store holds all others: `before`,
    `profile` and `add` end within the `patience_s` that their store is made with, or raise, tries
    anew of its client included. After one that waited in vain the next wait less, a tenth say.

    A service makes one more than its processes have, before them, to see whether it can; that one
    is dropped. So what makes them starts nothing that would have to be ended.

    `tests/serving/test_any_histories.py` holds every store in `KINDS` of
    `tests/serving/history_stores.py` to this; a small one in memory is among them.
    """

    @property
    def day(self) -> date:
        """The day up to whose end a night has carried the histories; 1970-01-01 before any."""
        ...

    def before(self, user_id: str, ts: int) -> Past:
        """The last 100 behaviours of a user strictly before a time, oldest first.

        Of equal times, what arrived first stands first.
        """
        ...

    def profile(self, user_id: str, columns: Sequence[str]) -> NDArray[np.int32]:
        """The user's row in each of these columns, 1 in one that nothing is known of.

        Empty where nothing is known of the user.
        """
        ...

    def add(self, behaviors: Sequence[LiveBehavior], arrived: int | None = None) -> int:
        """Take behaviours in, all or none; how many were new. They count from the next request on.

        They belong to the day on which they arrived, which ends at midnight of the data set's zone;
        `dated` ones of its last `EDGE_MS` to the day after. Of a user the `KEPT` that happened last
        stay, and their `event_id`s: one of these is not taken again.

        Args:
            behaviors: in the order of their arrival.
            arrived: UTC milliseconds, where a log is replayed. Now, if absent: then they belong at
                least to the day after the newest that any process took over, which holds none of
                them.
        """
        ...

    def follow(self, store: Store) -> None:
        """Go on from the newest `sequences`, where these are newer or were published anew.

        Every process calls it at each look, beside its requests. Where it raises, what is known
        answers on, and it is called again later.
        """
        ...


class LocalHistories:
    """A snapshot and, in SQLite, what came after it.

    Args:
        file: of the database; made when absent. Snapshots are built beside it.
        snapshot: what is known at the end of its day.
        zone: the data set's time zone: a day ends there at midnight.
        patience_s: for how long a request may wait for others that write.

    Raises:
        ServingUnavailable: the file is a later release's, or cannot be read or written.
    """

    def __init__(
        self, file: Path, snapshot: Snapshot, zone: str, patience_s: float = PATIENCE_S
    ) -> None:
        self.file = file
        self.snapshot = snapshot
        self.clock = LocalClock(zone)
        self.patience_s = patience_s
        self._live = LiveFile(file)
        # SQLite waits for no other that changes a new file's journal: it says `locked` at once.
        with alone(file.with_name(f"{file.name}.lock")):
            with writing(str(file)):
                if not file.exists():
                    file.touch(mode=0o600)  # SQLite gives the files beside it the same permissions
            with self._live.transaction() as database:
                found = database.execute("PRAGMA user_version").fetchone()[0]
                if found > LAYOUT:
                    raise ServingUnavailable(
                        f"{file} is of a later release of dupn (layout {found}, known here is "
                        f"{LAYOUT}). Start that release, or move {file.name}* away: what came in "
                        "since the newest `sequences` is unknown then."
                    )
                database.executescript(_SCHEMA)
                before = database.execute(_NEWEST).fetchone()
                database.execute(_TAKEN_OVER, (day_number(snapshot.day),))
        if before is not None and before[0] < day_number(snapshot.day):
            self._forget(before[0])

    @property
    def day(self) -> date:
        """See `Histories`."""
        return self.snapshot.day

    def before(self, user_id: str, ts: int) -> Past:
        """See `Histories`."""
        user = user_hash(user_id)
        snapshot = self.snapshot
        old = snapshot.of(user)
        wanted = (_signed(user), ts, day_number(snapshot.day), SEQUENCE_LENGTH)
        with self._live.transaction(self.patience_s) as database:
            live = database.execute(_BEFORE, wanted).fetchall()
        if not live:
            stop = int(np.searchsorted(old.ts, ts))
            return _rows(old, slice(max(0, stop - SEQUENCE_LENGTH), stop))
        new = np.array(live[::-1], np.int64)
        new = new[~_held(old, new)]
        both = Past(
            item=np.concatenate([old.item, new[:, 1].view(np.uint64)]),
            ts=np.concatenate([old.ts, new[:, 0]]),
            type=np.concatenate([old.type, new[:, 2].astype(np.int8)]),
            scenario=np.concatenate([old.scenario, new[:, 3].astype(np.int8)]),
        )
        order = np.argsort(both.ts, kind="stable")
        order = order[: int(np.searchsorted(both.ts[order], ts))]
        return _rows(both, order[-SEQUENCE_LENGTH:])

    def profile(self, user_id: str, columns: Sequence[str]) -> NDArray[np.int32]:
        """See `Histories`."""
        return self.snapshot.profile(user_hash(user_id), columns)

    def add(self, behaviors: Sequence[LiveBehavior], arrived: int | None = None) -> int:
        """See `Histories`."""
        if not behaviors:
            return 0
        users = hash_ids(pa.array([b.user_id for b in behaviors])).view(np.int64).tolist()
        items = hash_ids(pa.array([b.item_id for b in behaviors])).view(np.int64).tolist()
        events = [b.event_id for b in behaviors]
        now = time.time_ns() // 1_000_000 if arrived is None else arrived
        days = self.clock.parts(np.array([now, now + EDGE_MS])).day.tolist()
        number = time.time_ns()  # of arrival; unique enough within a user and a millisecond
        rows = [
            (user, b.ts, number + place, item, b.type, b.scenario, event or None)
            for place, (b, user, item, event) in enumerate(
                zip(behaviors, users, items, events, strict=True)
            )
        ]
        with self._live.transaction(self.patience_s) as database:
            database.execute("BEGIN IMMEDIATE")  # from here on nobody takes a snapshot over
            if arrived is None:
                least = database.execute(_NEWEST).fetchone()[0] + 1
                days = [max(day, least) for day in days]
            before = database.total_changes
            database.executemany(
                _INSERT, [(*row, days[b.dated]) for row, b in zip(rows, behaviors, strict=True)]
            )
            new = database.total_changes - before
            database.executemany(_TRIM, [(user, user, KEPT - 1) for user in set(users)])
        return new

    def follow(self, store: Store) -> None:
        """See `Histories`."""
        newer = snapshots.newer(store, self.file.parent, self.snapshot)
        if newer is not None:
            self.take_over(newer)
            logger.info("histories go on from the end of %s (%s)", newer.day, newer.stamp)

    def take_over(self, snapshot: Snapshot) -> None:
        """Go on from a newer day's end, or from the same one that was published anew.

        What it holds already no longer counts here. Other processes on the file may still go on
        from the one before, so only what that one held as well is forgotten.
        """
        held = day_number(min(self.day, snapshot.day - timedelta(days=1)))
        try:
            with self._live.transaction() as database:
                database.execute(_TAKEN_OVER, (day_number(snapshot.day),))
        finally:  # on a full disk, too; and not before others could read it
            self.snapshot = snapshot  # at once: every look-up takes live rows of later days only
        self._forget(held)

    def _forget(self, day: int) -> None:
        """Remove what belongs to that day and those before it."""
        gone = FORGOTTEN
        while gone == FORGOTTEN:
            begin = time.monotonic()
            with self._live.transaction() as database:
                gone = database.execute(_FORGET, (day, FORGOTTEN)).rowcount
            time.sleep(time.monotonic() - begin)  # it is the turn of requests that write
        self._live.empty_log()


@lru_cache(maxsize=1_024)
def user_hash(user_id: str) -> int:
    """The 64 bits by which a user is known everywhere; a request asks for its user's twice."""
    return int(hash_ids(pa.array([user_id]))[0])


def _signed(number: int) -> int:
    return number - (1 << 64) if number >= 1 << 63 else number


def _held(old: Past, new: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which live rows the snapshot's history has: one item and type, in one second.

    A log may cut what is finer than a second.

    Args:
        old: of the snapshot, in time order.
        new: ts, item, type, scenario of live rows, in time order.
    """
    first = new[0, 0] // 1000 * 1000
    if not len(old.ts) or first > old.ts[-1]:  # nearly always
        return np.zeros(len(new), bool)
    part = slice(int(np.searchsorted(old.ts, first)), None)
    known = _identity(old.ts[part], old.item[part], old.type[part])
    return np.isin(_identity(new[:, 0], new[:, 1].view(np.uint64), new[:, 2]), known)


def _identity(
    ts: NDArray[np.int64], item: NDArray[np.uint64], kind: NDArray[Any]
) -> NDArray[np.uint64]:
    """Of a behaviour of one user, in 64 bits: items are hashes, so a sum is as good as another."""
    return item + (ts // 1000 * 8 + kind).view(np.uint64) * _ODD


def _rows(past: Past, rows: slice | NDArray[np.int64]) -> Past:
    return Past(*(np.asarray(getattr(past, name)[rows]) for name in COLUMNS))


_ODD = np.uint64(0x9E3779B97F4A7C15)
"""Spreads small differences over 64 bits."""
_SCHEMA = f"""
PRAGMA user_version = {LAYOUT};
CREATE TABLE IF NOT EXISTS live (
    user INTEGER, ts INTEGER, number INTEGER, item INTEGER, type INTEGER, scenario INTEGER,
    day INTEGER, event TEXT, PRIMARY KEY (user, ts, number)
) WITHOUT ROWID;
CREATE UNIQUE INDEX IF NOT EXISTS once ON live (user, event) WHERE event IS NOT NULL;
CREATE INDEX IF NOT EXISTS days ON live (day);
CREATE TABLE IF NOT EXISTS newest (only INTEGER PRIMARY KEY CHECK (only = 1), day INTEGER);
"""
_TAKEN_OVER = (
    "INSERT INTO newest VALUES (1, ?) ON CONFLICT DO UPDATE SET day = max(day, excluded.day)"
)
_NEWEST = "SELECT day FROM newest"
_INSERT = (
    "INSERT OR IGNORE INTO live (user, ts, number, item, type, scenario, event, day) "
    "VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
)
_BEFORE = (
    "SELECT ts, item, type, scenario FROM live WHERE user = ? AND ts < ? AND day > ? "
    "ORDER BY ts DESC, number DESC LIMIT ?"
)
_FORGET = (
    "DELETE FROM live WHERE (user, ts, number) IN "
    "(SELECT user, ts, number FROM live WHERE day <= ? LIMIT ?)"
)
_TRIM = (
    "DELETE FROM live WHERE user = ? AND (ts, number) < (SELECT ts, number FROM live "
    "WHERE user = ? ORDER BY ts DESC, number DESC LIMIT 1 OFFSET ?)"
)
