"""Live histories of many people in memory: yesterday's snapshot and what they have done since.

`LocalHistories` answers one user from SQLite and survives a crash; this answers everybody at once
and lives as long as a simulated day. Both give the last 100 behaviours strictly before a moment;
of equal times what arrived first comes first. Behaviours count from the next page on.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from features.schemas import SEQUENCE_LENGTH, UNKNOWN_ROW
from features.timeline import Codes, Ints, Packing, Spans
from serving.snapshot import Snapshot

Int8s = NDArray[np.int8]


@dataclass(frozen=True, kw_only=True)
class Behaviors:
    """Entry i of every array is one behaviour."""

    user: Codes
    """The number of the person."""
    item: Codes
    """Catalog row."""
    ts: Ints
    """UTC milliseconds."""
    type: Int8s
    scenario: Int8s

    def take(self, rows: Ints) -> "Behaviors":
        """Some of them, in the order asked."""
        return Behaviors(**{name: values[rows] for name, values in vars(self).items()})

    @staticmethod
    def joined(parts: "list[Behaviors]") -> "Behaviors":
        """All of them, part after part."""
        columns = {name: [vars(part)[name] for part in parts] for name in vars(parts[0])}
        return Behaviors(**{name: np.concatenate(column) for name, column in columns.items()})


class Crowd:
    """Histories of a fixed list of people, who are numbers here.

    Args:
        snapshot: what is known at the end of the day before.
        people: hash of the user id of each number.
        rows_of: catalog rows of item hashes, in the version that will read the histories.
    """

    def __init__(
        self,
        snapshot: Snapshot,
        people: NDArray[np.uint64],
        rows_of: Callable[[NDArray[np.uint64]], Codes],
    ) -> None:
        self.profiles = _profiles(snapshot, people)
        """A row a person: vocabulary rows; nothing is known of somebody without a profile."""
        numbers = np.argsort(people, kind="stable").astype(np.int32)
        place = np.searchsorted(people[numbers], snapshot.users)
        place = np.minimum(place, max(len(people) - 1, 0))
        here = people[numbers][place] == snapshot.users if len(people) else place < 0
        length = np.diff(snapshot.offsets)
        user = np.repeat(numbers[place], length)
        past = Behaviors(
            user=user,
            item=rows_of(np.asarray(snapshot.past.item)),
            ts=np.asarray(snapshot.past.ts),
            type=np.asarray(snapshot.past.type),
            scenario=np.asarray(snapshot.past.scenario),
        )
        self._past = _Sorted(past.take(np.flatnonzero(np.repeat(here, length))), len(people))
        self._today: list[Behaviors] = []
        self._live = _Sorted(past.take(np.zeros(0, np.int64)), len(people))

    def add(self, behaviors: Behaviors) -> None:
        """Take behaviours in, in the order of their arrival."""
        self._today.append(behaviors)

    def before(self, user: Codes, ts: Ints) -> tuple[Ints, Behaviors]:
        """Length of the history of each moment, and all histories, one after the other.

        Args:
            user: whose moment it is.
            ts: when; what happened then or later does not count.
        """
        if self._today:
            heard = [self._live.rows, *self._today]
            self._live, self._today = _Sorted(Behaviors.joined(heard), self._past.people), []
        spans = [known.before(user, ts) for known in (self._past, self._live)]
        each = np.arange(len(user), dtype=np.int32)
        owner = np.concatenate([np.repeat(each, one.length) for one in spans])
        found = Behaviors.joined(
            [
                known.rows.take(one.rows())
                for known, one in zip((self._past, self._live), spans, strict=True)
            ]
        )
        pack = Packing.of(len(user), found.ts)
        order = np.argsort(pack(owner, found.ts), kind="stable")  # two sorted runs are merged
        total = spans[0].length + spans[1].length
        stop = np.cumsum(total)
        left = np.repeat(stop, total) - np.arange(len(owner))  # 1 for a history's newest
        return np.minimum(total, SEQUENCE_LENGTH), found.take(order[left <= SEQUENCE_LENGTH])


class _Sorted:
    """Behaviours by person and time."""

    def __init__(self, behaviors: Behaviors, people: int) -> None:
        self.people = people
        self.pack = Packing.of(people, behaviors.ts)
        order = np.argsort(self.pack(behaviors.user, behaviors.ts), kind="stable")
        self.rows = behaviors.take(order)
        self._key = self.pack(self.rows.user, self.rows.ts)
        self._first = np.searchsorted(self.rows.user, np.arange(people + 1))

    def before(self, user: Codes, ts: Ints) -> Spans:
        """The last 100 of each person strictly before a time."""
        start, end = self._first[user], self._first[user + 1]
        top = self.pack.base + (1 << self.pack.shift) - 1  # later than any behaviour here
        wanted = self.pack(user, np.clip(ts, self.pack.base, top))
        stop = np.clip(np.searchsorted(self._key, wanted), start, end)
        return Spans(np.maximum(stop - SEQUENCE_LENGTH, start), stop)


def _profiles(snapshot: Snapshot, people: NDArray[np.uint64]) -> Codes:
    if not len(snapshot.known):
        return np.full((len(people), snapshot.profiles.shape[1]), UNKNOWN_ROW, np.int32)
    place = np.minimum(np.searchsorted(snapshot.known, people), len(snapshot.known) - 1)
    here = np.asarray(snapshot.known)[place] == people
    return np.where(here[:, None], snapshot.profiles[place], UNKNOWN_ROW).astype(np.int32)
