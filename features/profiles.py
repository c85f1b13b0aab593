"""The newest profile of every user, as vocabulary rows: for representations and for serving.

Memory grows with all users of the newest snapshot: while it is read, by all text columns of it,
then by 8 bytes a user and 4 a column.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from features import held, vocabulary
from features.schemas import UNKNOWN_ROW
from infra.store import Store

Hashes = NDArray[np.uint64]
Int = TypeVar("Int", bound=np.integer[Any])


def by_name(rows: NDArray[Int], names: Sequence[str], wanted: Sequence[str]) -> NDArray[Int]:
    """Vocabulary rows [n, wanted]: columns that nobody wants left out, absent ones unknown.

    A shop gets columns, and loses them; what was learnt of one is never read as another.

    Args:
        rows: [n, names].
        names: of the columns of `rows`.
        wanted: of the columns of the answer.
    """
    if tuple(names) == tuple(wanted):
        return rows
    out = np.full((len(rows), len(wanted)), UNKNOWN_ROW, rows.dtype)
    for place, name in enumerate(wanted):
        if name in names:
            out[:, place] = rows[:, names.index(name)]
    return out


@dataclass(frozen=True)
class Profiles:
    """Vocabulary rows of the newest users' snapshot, in hash order."""

    hashes: Hashes
    rows: NDArray[np.int32]
    columns: tuple[str, ...]
    """Whose vocabulary each column of `rows` is in (`profile_age`, ...)."""

    @classmethod
    def of(cls, store: Store, day: date) -> "Profiles":
        """The newest snapshot at or before a day, in the vocabulary of the day."""
        snapshot = held.newest(store, day, "users")
        if snapshot is None:
            columns = _columns(store, day)
            return cls(np.empty(0, np.uint64), np.empty((0, len(columns)), np.int32), columns)
        names = vocabulary.published(store, day, "profile_")
        table = snapshot.table()
        rows = np.ones((table.num_rows, len(names)), np.int32)
        for index, name in enumerate(names):
            column = name.removeprefix("profile_")
            if column in table.column_names:
                rows[:, index] = vocabulary.load(store, day, name).rows_of(table[column])
        hashes = table["user_hash"].to_numpy()
        order = np.argsort(hashes, kind="stable")
        return cls(hashes[order], rows[order], tuple(names))

    def ordered(self, names: Sequence[str] | None) -> "Profiles":
        """With the columns of a network; as they are where it does not know their names."""
        if names is None:
            return self
        return Profiles(self.hashes, by_name(self.rows, self.columns, names), tuple(names))

    def of_users(self, hashes: Hashes) -> NDArray[np.int32]:
        """[users, profile columns]; 1 where nothing is known."""
        out = np.ones((len(hashes), self.rows.shape[1]), np.int32)
        if len(self.hashes):
            place = np.minimum(np.searchsorted(self.hashes, hashes), len(self.hashes) - 1)
            hit = self.hashes[place] == hashes
            out[hit] = self.rows[place[hit]]
        return out


def _columns(store: Store, day: date) -> tuple[str, ...]:
    """The profile columns where nobody has a profile."""
    known = store.partition("catalog", day).exists()
    return tuple(vocabulary.published(store, day, "profile_")) if known else ()
