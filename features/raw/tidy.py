"""The one order of a bucket's rows, and the removal of those that came twice.

Rows are ordered by (user_hash, user_id, ts, all other columns), so that neither the order in which
rows arrived nor the number of buckets shows in the result. Numbers are sorted first; only rows
that tie are compared column by column.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from features.buckets import hash_ids
from features.lists import MOST
from features.raw import identity
from infra.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class Tidied:
    """Rows in order, each once, and how many were taken out."""

    rows: pa.Table
    duplicates: int


def tidy_log(table: pa.Table, schema: pa.Schema) -> Tidied:
    """Events of one bucket in order, without those whose `key` (and place) stood there before.

    Where a row's place is its identity, equal rows are numbered and the number enters `key`; so
    the keys, like the rows, do not depend on the order of the file.
    """
    ordered = ordered_rows(table)
    keys = ordered["key"].to_numpy()
    if "_place" in ordered.column_names:
        keys = identity.mix(keys, ordered["_place"].to_numpy())
    again = pd.Series(keys).duplicated().to_numpy()
    kept = ordered.filter(pa.array(~again)) if again.any() else ordered
    if "_place" in kept.column_names:
        content = kept["key"].to_numpy()
        numbered = identity.mix(content, identity.occurrences(content))
        at = kept.schema.get_field_index("key")
        kept = ordered_rows(kept.set_column(at, "key", pa.array(numbered)).drop_columns("_place"))
    return Tidied(rows=kept.select(schema.names), duplicates=int(again.sum()))


def tidy_snapshot(table: pa.Table, id_column: str) -> Tidied:
    """A snapshot with one row per id, in the order of the ids' hashes.

    Of rows with the same id the one with the most values stays; of those the first in the order
    of its columns, so that the order of arrival never shows.
    """
    absent = sum(column.is_null().to_numpy().astype(np.int64) for column in table.columns)
    keys = {"hash": hash_ids(table[id_column]), "id": pl.Series(table[id_column]), "absent": absent}
    # column by column: one text of all of them would be the same for rows that are not
    columns = {f"_{name}": _sortable(table[name]) for name in table.column_names}
    frame = pl.DataFrame({**keys, **columns})
    order = frame.select(pl.arg_sort_by(frame.columns)).to_series().to_numpy()
    _require_room(table)
    ordered = table.take(pa.array(order))
    again = pd.Series(ordered[id_column].to_pandas()).duplicated().to_numpy()
    kept = ordered.filter(pa.array(~again)) if again.any() else ordered
    return Tidied(rows=kept, duplicates=int(again.sum()))


def ordered_rows(table: pa.Table) -> pa.Table:
    """`table` by (user_hash, user_id, ts, every other column).

    Raises:
        ConfigError: a column of all rows together holds more than there is room for in one.
    """
    _require_room(table)
    users = table["user_hash"].to_numpy()
    ts = table["ts"].cast(pa.int64()).to_numpy()
    order = _break_ties(table, users, ts, _by_user_and_time(users, ts))
    return table.take(pa.array(order)).combine_chunks()


def _require_room(table: pa.Table) -> None:
    """Arrow makes one array of a column to put it in order, and numbers its bytes with 32 bits."""
    for name, column in zip(table.column_names, table.columns, strict=True):
        if column.nbytes > MOST and (size := _size(column)) > MOST:
            raise ConfigError(
                f"{name} of a bucket of {table.num_rows:,} rows holds {size:,} bytes or values, "
                f"and a column has room for {MOST:,}. Set beam.buckets higher."
            )


def _size(column: pa.ChunkedArray) -> int:
    """Bytes of its texts, or values of its lists if they are more."""
    if pa.types.is_list(column.type):
        values = pc.list_flatten(column)
        return max(len(values), _size(values))
    if pa.types.is_string(column.type) or pa.types.is_binary(column.type):
        return int(pc.sum(pc.binary_length(column)).as_py() or 0)
    return 0


def _by_user_and_time(users: NDArray[np.uint64], ts: NDArray[np.int64]) -> NDArray[np.int64]:
    """A sort order; ties in any order. One sort of one number is eight times as fast as two."""
    if not len(ts):
        return np.empty(0, np.int64)
    codes, distinct = pd.factorize(users)
    rank = np.empty(len(distinct), np.int64)
    rank[np.argsort(distinct)] = np.arange(len(distinct))
    first = int(ts.min())
    bits = (int(ts.max()) - first).bit_length()
    if bits + len(distinct).bit_length() > 62:
        return np.lexsort((ts, users))
    return np.argsort(rank[codes] << bits | (ts - first))


def _break_ties(
    table: pa.Table,
    users: NDArray[np.uint64],
    ts: NDArray[np.int64],
    order: NDArray[np.int64],
) -> NDArray[np.int64]:
    if len(order) < 2:
        return order
    user, time = users[order], ts[order]
    same = (user[1:] == user[:-1]) & (time[1:] == time[:-1])
    tied = np.r_[same, False] | np.r_[False, same]
    if not tied.any():
        return order
    places = np.flatnonzero(tied)
    group = np.cumsum(np.r_[True, ~same])[places]
    rows = table.take(pa.array(order[places]))
    columns: dict[str, object] = {"_group": group}
    for name in [
        "user_id",
        *[n for n in table.column_names if n not in ("user_hash", "user_id", "ts")],
    ]:
        columns[name] = _sortable(rows[name])
    frame = pl.DataFrame(columns)
    within = frame.select(pl.arg_sort_by(frame.columns, nulls_last=True)).to_series().to_numpy()
    out = order.copy()
    out[places] = order[places][within]
    return out


def _sortable(column: pa.ChunkedArray) -> object:
    """Lists in the order of their hashes, as Polars sorts none."""
    nested = pa.types.is_nested(column.type)
    return identity.hash_column(column) if nested else pl.Series(column)
