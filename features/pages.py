"""A page may be logged as one row with a list of items, or as one row an item, as most shops do.

Rows of one user that name one request within a day are one page: its time, scenario and query are
those of the first, its items those of the first and then what later ones add, in their order. So a
page that is sent twice unchanged stays the page that it was, and a second screen of the same
request stands below the first.
"""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
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
    """Rows of impressions as the pages that they are part of.

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
    again = first != np.arange(len(first))
    later = np.flatnonzero(again & (day[first] == day))
    if not len(later):
        return United(rows, again, np.zeros(len(again), np.bool_))
    items, added = _grown(rows.column("item_ids"), first, later)
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


def _grown(items: pa.ChunkedArray, first: Ints, later: Ints) -> tuple[pa.Array, Bools]:
    """Lists by row, those of first rows with what later ones add; and which rows added any."""
    whole = items.combine_chunks()
    concerned = np.zeros(len(whole), np.bool_)
    concerned[first[later]] = True
    pages = np.flatnonzero(concerned)
    concerned[later] = True
    rows = np.flatnonzero(concerned)
    some = whole.take(pa.array(rows))
    length = some.value_lengths().fill_null(0).to_numpy()
    row, values = np.repeat(rows, length), some.flatten()
    page = np.searchsorted(pages, first[row])
    coded = codes_of(values)
    new = np.zeros(len(values), np.bool_)
    new[np.unique(page * (len(coded.values) + 1) + coded.codes + 1, return_index=True)[1]] = True
    new |= row == pages[page]  # a list that shows an item twice is nobody's second sending
    kept = np.flatnonzero(new)
    kept = kept[np.argsort(page[kept], kind="stable")]
    bounds = lists.offsets(np.bincount(page[kept], minlength=len(pages)))
    made = pa.ListArray.from_arrays(bounds, values.take(pa.array(kept)), type=whole.type)
    place = np.arange(len(whole))
    place[pages] = len(whole) + np.arange(len(pages))
    added = np.zeros(len(whole), np.bool_)
    added[row[kept]] = True
    added[pages] = False
    return pa.concat_arrays([whole, made]).take(pa.array(place)), added
