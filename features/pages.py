"""A page may be logged as one row with a list of items, or as one row an item, as most shops do.

Rows of one user that name one request within a day are one page: its time, scenario and query are
those of the first, its items those of the first and then what later ones add, in their order. So a
page that is sent twice unchanged stays the page that it was, and a second screen of the same
request stands below the first. An item that a page shows twice (as an advertisement and as a hit)
is one display, where it stands first: its click does not say which of the two was meant.
"""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from features import lists
from features.timeline import Codes, Ints, codes_of

Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class United:
    """Rows of pages, of which the first of each page has its items."""

    table: pa.Table
    """All rows, in their order."""
    again: Bools
    """Rows that name the request of an earlier row of the same user."""
    added: Bools
    """Those of them that brought items to an earlier one."""

    @property
    def pages(self) -> pa.Table:
        """A row a page."""
        return self.table.filter(pa.array(~self.again)) if self.again.any() else self.table


def united(rows: pa.Table, user: Codes, day: Ints | None = None) -> United:
    """Rows of impressions as the pages that they are part of, each item of a page once.

    Args:
        rows: request_id (null: no page) and item_ids, in the order of time for each user.
        user: number of each row's user.
        day: of each row; a page ends with its day, and rows of another one only say its request
            again. Those of a negative day name none. None: all of one day.
    """
    request = codes_of(rows.column("request_id")).codes
    if day is None:
        day = np.zeros(len(request), np.int64)
    first = first_rows(user, np.where(day < 0, -1, request))
    own = np.arange(len(first))
    again = first != own
    page = np.where(day[first] == day, first, own)
    concerned = page != own
    concerned[_repeating(rows.column("item_ids"))] = True
    if not concerned.any():
        return United(rows, again, np.zeros(len(again), np.bool_))
    items, added = _grown(rows.column("item_ids"), page, concerned)
    at = rows.schema.get_field_index("item_ids")
    return United(rows.set_column(at, rows.schema.field(at), items), again, added)


def first_rows(user: Codes, request: Codes) -> Ints:
    """By row, the first one of its user that names its request; itself where it names none (-1)."""
    rows = np.arange(len(request))
    named = np.flatnonzero(request >= 0)
    if np.bincount(request[named], minlength=1).max() <= 1:  # a row a page: then no sort
        return rows
    both = user[named].astype(np.int64) << 32 | request[named]
    _, first, which = np.unique(both, return_index=True, return_inverse=True)
    rows[named] = named[first[which]]
    return rows


def users_of(rows: pa.Table) -> Codes:
    """A number for each user of rows in the order of `user_hash`."""
    hashes = rows.column("user_hash").to_numpy()
    new = np.append(False, hashes[1:] != hashes[:-1])[: len(hashes)]
    return np.cumsum(new).astype(np.int32)


def _repeating(items: pa.ChunkedArray) -> Ints:
    """Rows whose list has an item twice."""
    length = pc.list_value_length(items).fill_null(0).to_numpy().astype(np.int64)
    if length.max(initial=0) <= 1:
        return np.empty(0, np.int64)
    flat = [chunk.flatten() for chunk in items.chunks]
    code = codes_of(pa.chunked_array(flat, items.type.value_type)).codes
    each = np.repeat(np.arange(len(length)) << 32, length)
    each |= code + 1  # and sorted in place: a batch of displays is what a worker's memory is for
    each.sort()
    return each[1:][each[1:] == each[:-1]] >> 32


def _grown(items: pa.ChunkedArray, page: Ints, concerned: Bools) -> tuple[pa.Array, Bools]:
    """Lists by row, those of pages with all that their rows name; and which other rows added any.

    Args:
        items: of all rows.
        page: of each row the row that its page begins with.
        concerned: rows below the first of their page, and those that show an item twice.
    """
    whole = items.combine_chunks()
    pages = np.unique(page[concerned])
    is_concerned = concerned.copy()
    is_concerned[pages] = True
    rows = np.flatnonzero(is_concerned)
    some = whole.take(pa.array(rows))
    length = some.value_lengths().fill_null(0).to_numpy()
    row, values = np.repeat(rows, length), some.flatten()
    place = np.searchsorted(pages, page[row])
    coded = codes_of(values)
    kept = np.unique(place * (len(coded.values) + 1) + coded.codes + 1, return_index=True)[1]
    kept.sort()
    kept = kept[np.argsort(place[kept], kind="stable")]
    bounds = lists.offsets(np.bincount(place[kept], minlength=len(pages)))
    made = pa.ListArray.from_arrays(bounds, values.take(pa.array(kept)), type=whole.type)
    found = np.arange(len(whole))
    found[pages] = len(whole) + np.arange(len(pages))
    added = np.zeros(len(whole), np.bool_)
    added[row[kept]] = True
    added[pages] = False
    return pa.concat_arrays([whole, made]).take(pa.array(found)), added
