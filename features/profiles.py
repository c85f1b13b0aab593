"""The newest profile of every user, as vocabulary rows: for representations and for serving.

A snapshot is read file by file: memory holds the texts of one bucket, and the vocabularies of the
columns. Where all users are wanted at once, they take 8 bytes each and 4 a column.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from features import held, vocabulary
from features.schemas import UNKNOWN_ROW
from features.vocabulary import Vocabulary
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
        parts = list(cls.by_file(store, day))
        hashes = np.concatenate([part.hashes for part in parts])
        return cls(hashes, np.concatenate([part.rows for part in parts]), parts[0].columns)

    @classmethod
    def by_file(cls, store: Store, day: date) -> Iterator["Profiles"]:
        """`of`, a file of the snapshot at a time; once, of nobody, where there is none.

        A file is a bucket of users: one after another they are in the order of the hashes.
        """
        snapshot = held.newest(store, day, "users")
        files = snapshot.manifest().files if snapshot else ()
        if snapshot is None or not files:
            columns = _columns(store, day)
            yield cls(np.empty(0, np.uint64), np.empty((0, len(columns)), np.int32), columns)
            return
        names = vocabulary.published(store, day, "profile_")
        words = {name: vocabulary.load(store, day, name) for name in names}
        for entry in files:
            yield _of_table(snapshot.table(entries=[entry]), words)

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


def _of_table(users: pa.Table, words: Mapping[str, Vocabulary]) -> Profiles:
    """Rows of a snapshot, in the order of their hashes."""
    rows = np.ones((users.num_rows, len(words)), np.int32)
    for index, (name, known) in enumerate(words.items()):
        column = name.removeprefix("profile_")
        if column in users.column_names:
            rows[:, index] = known.rows_of(users[column])
    hashes = users["user_hash"].to_numpy()
    order = np.argsort(hashes, kind="stable")
    return Profiles(hashes[order], rows[order], tuple(words))


def _columns(store: Store, day: date) -> tuple[str, ...]:
    """The profile columns where nobody has a profile."""
    known = store.partition("catalog", day).exists()
    return tuple(vocabulary.published(store, day, "profile_")) if known else ()
