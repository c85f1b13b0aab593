"""What is known of every user when a day has ended, as memory-mapped arrays by user hash.

Built from `sequences(D)/history` and the users' snapshot, file by file, so that memory is bounded
by one bucket and the vocabularies of the profile columns. A look-up is a binary search:
microseconds, whatever the number of users, and processes share the pages. Users are told apart by
their 64-bit hash, items too (as the catalog does). Profiles stand in the columns of the snapshot's
own day, which have names: the version that reads them may know other ones.
"""

import hashlib
import json
import shutil
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from features import held, vocabulary
from features.buckets import hash_ids
from features.profiles import Profiles
from features.schemas import UNKNOWN_ROW
from infra.errors import PartitionCorrupt, StoreError
from infra.files import writing
from infra.store import Store

COLUMNS = {"item": np.uint64, "ts": np.int64, "type": np.int8, "scenario": np.int8}
"""Of a behaviour: the hash of its item id, UTC milliseconds, codes."""
DESCRIPTION = "snapshot.json"


@dataclass(frozen=True)
class Past:
    """Behaviours of one user in time order; of equal times, what arrived first comes first."""

    item: NDArray[np.uint64]
    ts: NDArray[np.int64]
    type: NDArray[np.int8]
    scenario: NDArray[np.int8]

    @classmethod
    def empty(cls) -> "Past":
        """Of somebody who has done nothing yet."""
        return cls(**{name: np.empty(0, kind) for name, kind in COLUMNS.items()})


@dataclass(frozen=True)
class Snapshot:
    """Arrays of one day's end."""

    day: date
    users: NDArray[np.uint64]
    """Ascending hashes of the users with a history."""
    offsets: NDArray[np.int64]
    """The behaviours of user i are [offsets[i], offsets[i + 1])."""
    past: Past
    known: NDArray[np.uint64]
    """Ascending hashes of the users with a profile."""
    profiles: NDArray[np.int32]
    """[known users, profile columns]: vocabulary rows."""
    columns: tuple[str, ...] = ()
    """Feature of each profile column (`profile_age`, ...)."""
    stamp: str = ""
    """Of what it was built from (`stamp`); empty where that is nothing."""

    def of(self, user: int) -> Past:
        """Behaviours of a user hash."""
        place = int(np.searchsorted(self.users, np.uint64(user)))
        if place == len(self.users) or self.users[place] != user:
            return Past.empty()
        mine = slice(self.offsets[place], self.offsets[place + 1])
        return Past(*(np.asarray(getattr(self.past, name)[mine]) for name in COLUMNS))

    def profile(self, user: int, columns: Sequence[str]) -> NDArray[np.int32]:
        """A row a column, in the order asked; empty for a user without a profile.

        Args:
            user: the hash.
            columns: features of the version that reads them; one that is not here is unknown.
        """
        place = int(np.searchsorted(self.known, np.uint64(user)))
        if place == len(self.known) or self.known[place] != user:
            return np.empty(0, np.int32)
        mine = self.profiles[place]
        if columns == self.columns:  # nearly always
            return np.asarray(mine)
        rows = dict(zip(self.columns, mine.tolist(), strict=True))
        return np.array([rows.get(column, UNKNOWN_ROW) for column in columns], np.int32)


def stamp(store: Store, day: date) -> str:
    """Sixteen hex digits of all that `build` reads: others once some of it is published anew.

    Raises:
        PartitionMissing: `sequences` of the day are not published, or a vocabulary is lost.
    """
    read = [store.partition("sequences", day, "history")]
    users = held.newest(store, day, "users")
    if users is not None:
        names = vocabulary.published(store, day, "profile_")
        read += [users, *(store.partition("vocabulary", day, name) for name in names)]
    text = "\n".join(f"{one.key} {one.manifest().stamp}" for one in read)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def build(store: Store, day: date, folder: Path) -> None:
    """Write the snapshot of a day's end; what was in the folder is replaced whole.

    Raises:
        PartitionMissing: `sequences` of the day are not published.
        StoreError: they, or the profiles, were published anew meanwhile, or there is no room;
            nothing is written.
    """
    scratch = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(scratch, ignore_errors=True)
    try:
        with writing(str(folder)):
            scratch.mkdir(parents=True)
            _write(store, day, scratch)
            shutil.rmtree(folder, ignore_errors=True)
            scratch.rename(folder)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _write(store: Store, day: date, folder: Path) -> None:
    before = stamp(store, day)
    sizes = {"users": 0, "behaviors": 0, "known": 0}
    with _Files(folder) as out:
        for table in _tables(store, day):
            hashes = table["user_hash"].to_numpy()
            starts = np.flatnonzero(np.append(True, hashes[1:] != hashes[:-1])[: len(hashes)])
            out.add("users", hashes[starts])
            out.add("offsets", starts.astype(np.int64) + sizes["behaviors"])
            out.add("item", hash_ids(table["item_id"].combine_chunks()))
            for name in ("ts", "type", "scenario"):
                out.add(name, table[name].to_numpy().astype(COLUMNS[name]))
            sizes["users"] += len(starts)
            sizes["behaviors"] += table.num_rows
        out.add("offsets", np.array([sizes["behaviors"]], np.int64))
        columns: tuple[str, ...] = ()
        for profiles in Profiles.by_file(store, day):
            out.add("known", profiles.hashes)
            out.add("profiles", profiles.rows)
            sizes["known"] += len(profiles.hashes)
            columns = profiles.columns
    content = {
        "day": day.isoformat(),
        "stamp": before,
        **sizes,
        "columns": columns,
    }
    (folder / DESCRIPTION).write_text(json.dumps(content, indent=1))
    if stamp(store, day) != before:  # what was read may be some of both
        raise StoreError(
            f"sequences/dt={day}, or the profiles of that day, were published anew while a "
            "snapshot was built of them; it was dropped. Build it again."
        )


def load(folder: Path) -> Snapshot:
    """The snapshot in a folder, memory-mapped.

    Raises:
        PartitionCorrupt: there is none, one that does not name its profile columns, or one that is
            not as long as it says.
    """
    file = folder / DESCRIPTION
    if not file.exists():
        raise PartitionCorrupt(f"{folder} holds no snapshot: {DESCRIPTION} is absent.")
    try:
        content: dict[str, Any] = json.loads(file.read_text())
    except ValueError as error:
        raise PartitionCorrupt(f"{file} is no JSON ({error}). Remove {folder}.") from error
    if "columns" not in content:
        raise PartitionCorrupt(
            f"{file} does not name its profile columns: an earlier release wrote it. Remove "
            f"{folder}; a service builds its snapshots itself."
        )
    columns = tuple(content["columns"])
    users, rows = content["users"], content["behaviors"]
    arrays = {name: _map(folder, name, kind, rows) for name, kind in COLUMNS.items()}
    profiles = _map(folder, "profiles", np.int32, content["known"] * len(columns))
    return Snapshot(
        day=date.fromisoformat(content["day"]),
        users=_map(folder, "users", np.uint64, users),
        offsets=_map(folder, "offsets", np.int64, users + 1),
        past=Past(**arrays),
        known=_map(folder, "known", np.uint64, content["known"]),
        profiles=profiles.reshape(content["known"], len(columns)),
        columns=columns,
        stamp=content["stamp"],
    )


def empty(day: date) -> Snapshot:
    """Nobody is known."""
    none = np.empty(0, np.uint64)
    return Snapshot(
        day, none, np.zeros(1, np.int64), Past.empty(), none, np.empty((0, 0), np.int32)
    )


def _tables(store: Store, day: date) -> Iterator[pa.Table]:
    partition = store.partition("sequences", day, "history").require()
    columns = ["user_hash", "item_id", "ts", "type", "scenario"]
    for entry in partition.manifest().files:  # a bucket each, in the order of the hashes
        table = partition.table(columns, entries=[entry])
        if table.num_rows:
            yield table


class _Files(ExitStack):
    """Arrays that grow on disk."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        names = ("users", "offsets", "known", "profiles", *COLUMNS)
        self.open = {
            name: self.enter_context((folder / f"{name}.bin").open("wb")) for name in names
        }

    def add(self, name: str, values: NDArray[Any]) -> None:
        self.open[name].write(np.ascontiguousarray(values).tobytes())


def _map(folder: Path, name: str, kind: Any, length: int) -> NDArray[Any]:
    file = folder / f"{name}.bin"
    size = file.stat().st_size if file.exists() else 0
    told = length * np.dtype(kind).itemsize
    if size != told:
        raise PartitionCorrupt(
            f"{file} has {size:,} bytes, and {told:,} by {DESCRIPTION}: it was cut short. "
            f"Remove {folder}; a service builds its snapshots itself."
        )
    if length == 0:  # an empty file cannot be mapped
        return np.empty(0, kind)
    return np.memmap(file, dtype=kind, mode="r", shape=(length,))
