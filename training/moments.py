"""A window of samples, unpacked once from Arrow into flat NumPy columns.

Lists stay what they are on disk, values and lengths, so that choosing any rows of the window is a
handful of gathers and never a loop.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from features.schemas import CANDIDATES, PRICE_LEVELS, SEQ_COLUMNS
from infra.errors import TrainingError

IntArray = NDArray[np.int64]


@dataclass(frozen=True)
class Lists:
    """List columns that share their lengths, flattened; a null list is an empty one."""

    lengths: IntArray
    starts: IntArray
    columns: Mapping[str, NDArray[Any]]

    def gather(self, rows: IntArray) -> "Gathered":
        """The lists of `rows`, one after the other."""
        lengths = self.lengths[rows]
        total = int(lengths.sum())
        first = np.cumsum(lengths) - lengths
        owner = np.repeat(np.arange(len(rows)), lengths)
        within = np.arange(total) - first[owner]
        return Gathered(self, lengths, owner, within, self.starts[rows][owner] + within)


@dataclass(frozen=True)
class Gathered:
    """Where the values of chosen rows lie: `owner` is the row's place in the batch."""

    lists: Lists
    lengths: IntArray
    owner: IntArray
    within: IntArray
    index: IntArray

    def flat(self, name: str) -> NDArray[Any]:
        """Values of one column, list after list."""
        return self.lists.columns[name][self.index]

    def padded(self, values: NDArray[Any], width: int) -> IntArray:
        """Flat values as a (rows, width) table, zeros on the right."""
        out = np.zeros((len(self.lengths), width), np.int64)
        out[self.owner, self.within] = values
        return out


@dataclass(frozen=True)
class Moments:
    """A window of samples, unpacked. `day` is the place of a moment's catalog among them."""

    sample_id: pa.Array
    user_id: pa.Array
    user_hash: NDArray[np.uint64]
    ts: IntArray
    scenario: NDArray[np.int8]
    day: IntArray
    price_level: NDArray[np.int8]  # 0: not asked
    sequence: Lists
    query: Lists
    profile: Lists
    candidates: Lists
    icons: Lists
    shops: Lists
    offer: NDArray[np.float32] | None = None  # (rows, 7) shares, even where null; None: none asked
    weight: NDArray[np.float32] | None = None  # in the loss; None: 1 each
    known: NDArray[np.bool_] | None = None  # learnt before (replay); None: none of them
    profile_names: tuple[str, ...] | None = None  # of the columns of `profile`; None: not noted

    def __len__(self) -> int:
        return len(self.ts)

    @classmethod
    def from_arrow(
        cls, table: pa.Table, day: IntArray, profile_names: Sequence[str] | None = None
    ) -> "Moments":
        """Unpack rows of the SAMPLES schema; `day` has one entry a row."""
        column = {name: _whole(table[name]) for name in table.column_names}

        def lists(**names: str) -> Lists:
            return flattened({key: column[name] for key, name in names.items()})

        return cls(
            sample_id=column["sample_id"],
            user_id=column["user_id"],
            user_hash=column["user_hash"].to_numpy(),
            ts=column["ts"].cast(pa.int64()).to_numpy(),
            scenario=column["scenario"].to_numpy(),
            day=day,
            price_level=column["price_level"].fill_null(0).to_numpy(),
            sequence=lists(**{name[4:]: name for name in SEQ_COLUMNS}),
            query=lists(row="query"),
            profile=lists(row="profile"),
            candidates=lists(**{name[5:]: name for name in CANDIDATES}),
            icons=lists(row="icon", followed="icon_followed"),
            shops=lists(row="shop", preferred="shop_preferred"),
            offer=_offer(column["price_offer"]),
            profile_names=None if profile_names is None else tuple(profile_names),
        )


@dataclass(frozen=True)
class MomentInfo:
    """What evaluation joins on: who and when, beside the tensors of the same batch."""

    sample_id: pa.Array
    user_id: pa.Array
    user_hash: NDArray[np.uint64]
    ts: IntArray
    scenario: NDArray[np.int8]
    day: IntArray

    @classmethod
    def of(cls, moments: Moments, rows: IntArray) -> "MomentInfo":
        """The identities of `rows`."""
        chosen = pa.array(rows)
        return cls(
            sample_id=moments.sample_id.take(chosen),
            user_id=moments.user_id.take(chosen),
            user_hash=moments.user_hash[rows],
            ts=moments.ts[rows],
            scenario=moments.scenario[rows],
            day=moments.day[rows],
        )


def flattened(columns: Mapping[str, pa.Array]) -> Lists:
    """List columns of equal lengths.

    Raises:
        TrainingError: their lengths differ.
    """
    lengths = _lengths(next(iter(columns.values())))
    flat: dict[str, NDArray[Any]] = {}
    for name, column in columns.items():
        if not np.array_equal(_lengths(column), lengths):
            raise TrainingError(
                f"the lists {', '.join(columns)} of a sample differ in length, first {name}. "
                "Run `dupn samples` for that day again."
            )
        values = column.flatten()  # leaves out what lies under nulls
        flat[name] = _matrix(values) if pa.types.is_list(values.type) else values.to_numpy()
    return Lists(lengths, np.cumsum(lengths) - lengths, flat)


def _offer(column: pa.Array) -> NDArray[np.float32] | None:
    """A row of shares a moment; None where no moment has any."""
    if column.null_count == len(column):
        return None
    out = np.full((len(column), PRICE_LEVELS), 1 / PRICE_LEVELS, np.float32)
    told = column.drop_null()
    if (_lengths(told) != PRICE_LEVELS).any():
        raise TrainingError(
            f"an offer of samples has not the shares of {PRICE_LEVELS} price levels. "
            "Run `dupn samples` for that day again."
        )
    out[column.is_valid().to_numpy(zero_copy_only=False)] = _matrix(told)
    return out


def _matrix(lists: pa.Array) -> NDArray[np.float32]:
    """Inner lists of one length as a table of that many columns."""
    lengths = _lengths(lists)
    width = int(lengths[0]) if len(lengths) else 0
    if (lengths != width).any():
        raise TrainingError(
            f"candidates have between {lengths.min()} and {lengths.max()} ranking features. "
            "Run `dupn samples` for all days with one set of features."
        )
    return lists.flatten().to_numpy(zero_copy_only=False).reshape(len(lists), width)


def _lengths(lists: pa.Array) -> IntArray:
    return pc.list_value_length(lists).fill_null(0).to_numpy().astype(np.int64)


def _whole(column: pa.ChunkedArray) -> pa.Array:
    whole = column.combine_chunks()
    return whole if isinstance(whole, pa.Array) else pa.concat_arrays(whole.chunks)
