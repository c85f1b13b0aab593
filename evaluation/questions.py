"""What was asked on a day: the moments of `samples` as flat arrays, without any answer.

The model, the yardsticks and the truth all answer these same questions, so every comparison is
paired by position. Users are numbered in the order of the file, which is hash order.
"""

from collections.abc import Iterator
from dataclasses import dataclass, fields
from datetime import date

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from evaluation.metrics import AnyArray
from features.schemas import SAMPLES, YOUNGER, with_younger
from infra.store import FileEntry, Partition, Store
from training import built
from training.ancestry import Part

COLUMNS = (
    "sample_id", "user_hash", "user_id", "ts", "scenario", "query", "seq_item",
    "cand_item", "cand_clicked", "cand_label", "cand_weight", "cand_purchased", "cand_origin",
    "price_level", "icon", "icon_followed", "shop", "shop_preferred",
)  # fmt: skip


@dataclass(frozen=True)
class Moments:
    """One entry a moment, in the order of `samples`."""

    sample_id: NDArray[np.object_]
    user: NDArray[np.int64]  # 0-based; a user's moments are neighbours
    user_hash: NDArray[np.uint64]
    ts: NDArray[np.int64]
    scenario: NDArray[np.int8]
    query_tokens: NDArray[np.int64]
    history: NDArray[np.int64]  # behaviours known, 0..100


@dataclass(frozen=True)
class Candidates:
    """One entry a candidate of a moment: CTR and L2R."""

    moment: NDArray[np.int64]
    item: NDArray[np.int32]  # catalog row
    clicked: NDArray[np.int8]
    label: NDArray[np.int8]
    weight: NDArray[np.float32]
    purchased: NDArray[np.int8]
    origin: NDArray[np.int8]


@dataclass(frozen=True)
class Prices:
    """One entry a PPP question; levels are 0-based."""

    moment: NDArray[np.int64]
    level: NDArray[np.int8]


@dataclass(frozen=True)
class Icons:
    """One entry an icon that was shown: FIFP."""

    moment: NDArray[np.int64]
    icon: NDArray[np.int32]
    followed: NDArray[np.int8]


@dataclass(frozen=True)
class Shops:
    """One entry a shop that was asked about: SPP."""

    moment: NDArray[np.int64]
    shop: NDArray[np.int32]
    preferred: NDArray[np.int8]


@dataclass(frozen=True)
class Questions:
    """Everything that was asked on one day."""

    moments: Moments
    candidates: Candidates
    prices: Prices
    icons: Icons
    shops: Shops

    @property
    def users(self) -> int:
        """Distinct users."""
        return int(self.moments.user.max()) + 1 if len(self.moments.user) else 0

    def user_of(self, moment: AnyArray) -> NDArray[np.int64]:
        """The user of each moment index."""
        return self.moments.user[moment]


def read(store: Store, day: date, some: Part | None = None) -> Questions:
    """The questions of `samples/dt=day` (or of some of its users), in row order."""
    parts, first = [], (0, 0)
    for table in tables(store, day, COLUMNS, some):
        part = from_samples(table, *first)
        parts.append(part)
        first = (first[0] + len(part.moments.user), part.users)
    return join(parts) if parts else from_samples(None)


def tables(
    store: Store, day: date, columns: tuple[str, ...], some: Part | None = None
) -> Iterator[pa.Table]:
    """The files of `samples/dt=day`, one at a time (a user's moments are in one file).

    Args:
        store: where the samples are.
        day: which.
        columns: to read, those of YOUNGER as null where a file has them not.
        some: which of the day's users; all when absent.

    Raises:
        PartitionCorrupt: they were built with other ranking features than are computed now.
    """
    partition = store.partition("samples", day)
    manifest = partition.manifest()
    built.require([day], [manifest])
    for entry in manifest.files:
        table = _of_users(partition, entry, columns, some) if entry.rows else None
        if table is not None and table.num_rows:
            yield table


def _of_users(
    partition: Partition, entry: FileEntry, columns: tuple[str, ...], some: Part | None
) -> pa.Table | None:
    hashes = partition.table(["user_hash"], [entry])["user_hash"].to_numpy() if some else None
    keep = some.mask(hashes) if some is not None and hashes is not None else None
    if keep is not None and not keep.any():
        return None
    table = _columns(partition, entry, columns)
    return table if keep is None else table.filter(pa.array(keep))


def _columns(partition: Partition, entry: FileEntry, columns: tuple[str, ...]) -> pa.Table:
    """Columns of a file; YOUNGER ones that it has not are null."""
    lacking = set(columns) & set(YOUNGER)
    if lacking:
        with partition.open(entry) as source:
            lacking -= set(pq.read_schema(source).names)
    there = [name for name in columns if name not in lacking]
    return with_younger(partition.table(there, [entry]), sorted(lacking)).select(list(columns))


def from_samples(table: pa.Table | None, moment: int = 0, user: int = 0) -> Questions:
    """Questions of some rows of `samples`; the first moment and user get these numbers."""
    if table is None:
        table = SAMPLES.empty_table()
    table = table.combine_chunks()
    asked = _Asked(table, moment)
    return Questions(
        moments=Moments(
            sample_id=table["sample_id"].to_numpy(),
            user=user + _number_users(table),
            user_hash=table["user_hash"].to_numpy(),
            ts=table["ts"].cast(pa.int64()).to_numpy(),
            scenario=table["scenario"].to_numpy(),
            query_tokens=_lengths(table["query"]),
            history=_lengths(table["seq_item"]),
        ),
        candidates=Candidates(
            moment=asked.moments("cand_item"),
            item=asked.values("cand_item", np.int32),
            clicked=asked.values("cand_clicked", np.int8),
            label=asked.values("cand_label", np.int8),
            weight=asked.values("cand_weight", np.float32),
            purchased=asked.values("cand_purchased", np.int8),
            origin=asked.values("cand_origin", np.int8),
        ),
        prices=_prices(table, moment),
        icons=Icons(
            moment=asked.moments("icon"),
            icon=asked.values("icon", np.int32),
            followed=asked.values("icon_followed", np.int8),
        ),
        shops=Shops(
            moment=asked.moments("shop"),
            shop=asked.values("shop", np.int32),
            preferred=asked.values("shop_preferred", np.int8),
        ),
    )


def join(parts: list[Questions]) -> Questions:
    """Parts one after the other; their moments and users are already numbered through."""
    blocks = {}
    for block in fields(Questions):
        pieces = [getattr(part, block.name) for part in parts]
        kind = type(pieces[0])
        columns = {
            f.name: np.concatenate([getattr(piece, f.name) for piece in pieces])
            for f in fields(kind)
        }
        blocks[block.name] = kind(**columns)
    return Questions(**blocks)


@dataclass(frozen=True)
class _Asked:
    """Flat columns of list columns."""

    table: pa.Table
    first: int

    def moments(self, name: str) -> NDArray[np.int64]:
        lengths = _lengths(self.table[name])
        return np.repeat(np.arange(self.first, self.first + len(lengths)), lengths)

    def values(self, name: str, kind: type) -> AnyArray:
        return pc.list_flatten(self.table[name]).to_numpy().astype(kind, copy=False)


def matrix(column: pa.ChunkedArray) -> NDArray[np.float32]:
    """`cand_features` as one row a candidate; (0 x 0) where there is none."""
    inner = pc.list_flatten(column)
    lengths = pc.list_value_length(inner).to_numpy()
    width = int(lengths[0]) if len(lengths) else 0
    flat = pc.fill_null(pc.list_flatten(inner), float("nan")).to_numpy()
    return np.asarray(flat, np.float32).reshape(len(lengths), width)


def _prices(table: pa.Table, first: int) -> Prices:
    level = table["price_level"]
    asked = np.flatnonzero(pc.is_valid(level).to_numpy())
    return Prices(
        moment=(first + asked).astype(np.int64),
        level=(pc.drop_null(level).to_numpy() - 1).astype(np.int8),
    )


def _lengths(lists: pa.ChunkedArray) -> NDArray[np.int64]:
    return pc.fill_null(pc.list_value_length(lists), 0).to_numpy().astype(np.int64)


def _number_users(table: pa.Table) -> NDArray[np.int64]:
    """0, 1, ...: rows are sorted by user, so a change of id is a new user."""
    ids = table["user_id"].combine_chunks()
    if not len(ids):
        return np.empty(0, np.int64)
    changes = pc.not_equal(ids[1:], ids[:-1]).to_numpy(zero_copy_only=False)
    return np.concatenate([[0], np.cumsum(changes)]).astype(np.int64)
