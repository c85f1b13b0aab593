"""What is known of a bucket's users as flat arrays, sorted by user and then time.

Ids are dictionary codes and a moment's history is a span of rows, so that cutting, joining and
counting are integer arithmetic over whole buckets and never a loop over users.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from features.schemas import SEQUENCE_LENGTH
from infra.errors import ConfigError

Ints = NDArray[np.int64]
Codes = NDArray[np.int32]


@dataclass(frozen=True)
class Users:
    """The distinct users of a bucket in hash order; other arrays hold positions in here."""

    hashes: NDArray[np.uint64]
    ids: pa.Array

    def __len__(self) -> int:
        return len(self.hashes)


@dataclass(frozen=True)
class Spans:
    """Per moment, the rows [start, stop) of a timeline."""

    start: Ints
    stop: Ints

    @property
    def length(self) -> Ints:
        """Rows in each span."""
        return self.stop - self.start

    def rows(self) -> Ints:
        """All rows of all spans, one after the other."""
        length = self.length
        offsets = np.cumsum(length) - length
        return np.arange(int(length.sum())) + np.repeat(self.start - offsets, length)


@dataclass(frozen=True, kw_only=True)
class Timeline:
    """One entry a behaviour in every array."""

    user: Codes
    ts: Ints
    item: Codes
    type: NDArray[np.int8]
    scenario: NDArray[np.int8]
    key: NDArray[np.uint64]
    request: Codes
    """Code of the request it names; -1 where it names none."""
    today: NDArray[np.bool_]
    """Arrived on the day itself; the rest was carried over from yesterday."""
    offsets: Ints
    """Rows of user u are [offsets[u], offsets[u + 1])."""
    items: pa.Array
    """Id by item code."""
    requests: pa.Array
    """Id by request code."""

    @classmethod
    def of_histories(
        cls, user: Codes, item: "Coded", values: Mapping[str, NDArray[np.generic]], users: int
    ) -> "Timeline":
        """Histories by themselves, in user and time order, of which no request or key is known.

        Args:
            user: ascending number of each row's user.
            item: of each row.
            values: `ts`, `type` and `scenario` of each row.
            users: how many there are; some may have no row.
        """
        rows = len(user)
        return cls(
            user=user,
            item=item.codes,
            items=item.values,
            ts=values["ts"].astype(np.int64),
            type=values["type"].astype(np.int8),
            scenario=values["scenario"].astype(np.int8),
            key=np.zeros(rows, np.uint64),
            request=np.full(rows, -1, np.int32),
            today=np.zeros(rows, bool),
            offsets=np.searchsorted(user, np.arange(users + 1)),
            requests=pa.array([], pa.string()),
        )

    def take(self, keep: Ints | NDArray[np.bool_]) -> "Timeline":
        """Some of the rows, in their order."""
        rows = np.flatnonzero(keep) if keep.dtype == bool else keep
        user = self.user.take(rows)
        return Timeline(
            user=user,
            ts=self.ts.take(rows),
            item=self.item.take(rows),
            type=self.type.take(rows),
            scenario=self.scenario.take(rows),
            key=self.key.take(rows),
            request=self.request.take(rows),
            today=self.today.take(rows),
            offsets=np.searchsorted(user, np.arange(len(self.offsets))),
            items=self.items,
            requests=self.requests,
        )

    def before(self, user: Codes, ts: Ints) -> Spans:
        """Per moment, its user's last 100 rows that lie strictly before it.

        Strictly: the click a sample predicts must not be part of its own history.
        """
        stop = self.first_at(user, ts)
        return Spans(np.maximum(stop - SEQUENCE_LENGTH, self.offsets[user]), stop)

    def first_at(self, user: Codes, ts: Ints) -> Ints:
        """The first row of the user at or after `ts` (or one past the user's last row)."""
        pack = Packing.of(len(self.offsets), self.ts, ts)
        return np.searchsorted(pack(self.user, self.ts), pack(user, ts), side="left")


@dataclass(frozen=True)
class Packing:
    """(user, ts) as one integer that sorts like the pair."""

    base: int
    shift: int

    @classmethod
    def of(cls, users: int, *times: Ints) -> "Packing":
        """A packing wide enough for all `times`."""
        some = [part for part in times if len(part)]
        base = min((int(part.min()) for part in some), default=0)
        top = max((int(part.max()) for part in some), default=0)
        shift = (top - base + 1).bit_length()
        if shift + users.bit_length() >= 63:
            raise ConfigError(
                f"a bucket of {users:,} users is too wide over {(top - base) // 86_400_000} days. "
                "Set beam.buckets higher."
            )
        return cls(base, shift)

    def __call__(self, user: Codes, ts: Ints) -> Ints:
        """The packed pairs."""
        return (user.astype(np.int64) << self.shift) + (ts - self.base)


def rank_users(tables: Sequence[pa.Table]) -> tuple[Users, list[Codes]]:
    """The distinct users of all tables in (hash, id) order, and their numbers per table row.

    Each table must hold its users in runs (sorted by user), as all tables keyed by user are.
    """
    runs = [_runs(table) for table in tables]
    frames = [run.users for run in runs]
    distinct = (
        pl.concat(frames).unique().sort("user_hash", "user_id").with_row_index("number")
        if frames
        else pl.DataFrame(
            schema={"user_hash": pl.UInt64, "user_id": pl.String, "number": pl.UInt32}
        )
    )
    numbers = []
    for run in runs:
        found = run.users.join(
            distinct, on=["user_hash", "user_id"], how="left", maintain_order="left"
        )["number"]
        numbers.append(np.repeat(found.to_numpy().astype(np.int32), run.length))
    ids = distinct["user_id"].to_arrow().cast(pa.string())
    return Users(distinct["user_hash"].to_numpy(), ids), numbers


@dataclass(frozen=True)
class _Runs:
    users: pl.DataFrame
    length: Ints


def _runs(table: pa.Table) -> _Runs:
    hashes = table.column("user_hash").to_numpy()
    ids = codes_of(table.column("user_id"))
    changes = (hashes[1:] != hashes[:-1]) | (ids.codes[1:] != ids.codes[:-1])
    starts = np.concatenate([[0], np.flatnonzero(changes) + 1])[: len(hashes)].astype(np.int64)
    length = np.diff(np.append(starts, len(hashes)))
    chosen = ids.values.take(pa.array(ids.codes[starts]))
    users = pl.DataFrame(
        {"user_hash": hashes[starts], "user_id": pl.Series(chosen, dtype=pl.String)}
    )
    return _Runs(users, length)


@dataclass(frozen=True)
class Coded:
    """A string column as codes into its distinct values; -1 where null."""

    codes: Codes
    values: pa.Array


def strings(values: pa.Array, codes: Codes) -> pa.Array:
    """`values` by code; null where the code is -1."""
    return values.take(pa.array(codes, mask=codes < 0))


def codes_of(*columns: pa.ChunkedArray | pa.Array) -> Coded:
    """Several columns, one after the other, coded into one dictionary."""
    kind = pa.dictionary(pa.int32(), pa.string())
    chunks = []
    for column in columns:
        for chunk in column.chunks if isinstance(column, pa.ChunkedArray) else [column]:
            coded = chunk if pa.types.is_dictionary(chunk.type) else pc.dictionary_encode(chunk)
            chunks.append(coded.cast(kind))
    whole = pa.chunked_array(chunks, type=kind).unify_dictionaries()
    if not whole.num_chunks:
        return Coded(np.empty(0, np.int32), pa.array([], pa.string()))
    indices = [chunk.indices.fill_null(-1).to_numpy() for chunk in whole.chunks]
    return Coded(np.concatenate(indices), whole.chunk(0).dictionary)
