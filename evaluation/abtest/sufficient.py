"""What an experiment's statistics are made of: sums per user, arm and day (Section 6.5, Table 3).

The read-out job emits one row of `READOUT` per user, arm and day of the experiment, and repeats in
it what is known of the user from before. All inference works on `Users`: the same columns summed
over the days up to a look, one row a user. A user is the unit that is assigned, hence the unit that
is independent; everything that happens within one user may be as dependent as it likes.

The pre-period ends before the experiment's first day and is the same days for everybody. Who has
no row of it is told apart by `seen_before`, not by zeros.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from evaluation.metrics import AnyArray, Floats
from features.property import day_number
from infra.errors import InputError

SUMS = ("pages", "impressions", "clicks", "orders", "sales", "ppp_asked", "ppp_right")
"""Columns that add up over rows."""
BEFORE = ("pre_impressions", "pre_clicks", "pre_orders", "pre_sales", "seen_before")
"""Columns that are facts about the user, the same on each of his rows."""

READOUT = pa.schema(
    [
        pa.field("user", pa.uint64(), nullable=False),  # features.buckets.hash_ids
        pa.field("arm", pa.string(), nullable=False),  # as logged: `variant` of impressions
        pa.field("day", pa.date32(), nullable=False),
        pa.field("pages", pa.int64(), nullable=False),  # shown
        pa.field("impressions", pa.int64(), nullable=False),  # items shown on them
        pa.field("clicks", pa.int64(), nullable=False),  # items clicked, by request_id
        pa.field("orders", pa.int64(), nullable=False),  # items bought, by request_id
        pa.field("sales", pa.float64(), nullable=False),  # their prices, in money
        pa.field("ppp_asked", pa.int64(), nullable=False),  # price questions with a known answer
        pa.field("ppp_right", pa.int64(), nullable=False),
        pa.field("pre_impressions", pa.int64(), nullable=False),
        pa.field("pre_clicks", pa.int64(), nullable=False),
        pa.field("pre_orders", pa.int64(), nullable=False),
        pa.field("pre_sales", pa.float64(), nullable=False),
        pa.field("seen_before", pa.bool_(), nullable=False),  # shown anything in the pre-period
    ]
)


@dataclass(frozen=True, kw_only=True)
class Users:
    """Sums of every user so far; columns of one length, float64 but for `user` and `arm`."""

    user: NDArray[np.uint64]
    """Hash; distinct and ascending when it comes from `exposed`."""
    arm: NDArray[np.int8]
    """Index into the experiment's arms; 0 is the control."""
    pages: Floats
    impressions: Floats
    clicks: Floats
    orders: Floats
    sales: Floats
    ppp_asked: Floats
    ppp_right: Floats
    pre_impressions: Floats
    pre_clicks: Floats
    pre_orders: Floats
    pre_sales: Floats
    seen_before: Floats
    """1 or 0."""
    kept: Floats | None = None
    """Share of a user's impressions that a cap left; None where none was set."""

    @property
    def sales_as_shown(self) -> Floats:
        """Sales beside impressions: who is cut in these keeps his rate of those."""
        return self.sales if self.kept is None else self.sales * self.kept

    def __len__(self) -> int:
        return len(self.user)

    def column(self, name: str) -> Floats:
        """A column by name; "" is one a user."""
        return np.ones(len(self)) if not name else np.asarray(getattr(self, name), np.float64)

    def take(self, which: AnyArray) -> "Users":
        """The users of a mask or of positions."""
        taken: dict[str, Any] = {}
        for name in self.__dataclass_fields__:
            column = getattr(self, name)
            taken[name] = None if column is None else column[which]
        return Users(**taken)

    def count(self, arms: int) -> NDArray[np.int64]:
        """Users of each of the first `arms` arms."""
        return np.bincount(self.arm, minlength=arms)[:arms]


@dataclass(frozen=True)
class Exposed:
    """Who was in the experiment, and what had to be left out."""

    users: Users
    """Each was shown one arm only."""
    several: int = 0
    """Users with rows of more than one arm: nobody's, so left out."""
    unknown_rows: int = 0
    """Rows of arms that the experiment does not have."""
    rows: int = 0


def exposed(
    table: pa.Table, arms: Sequence[str], first: date | None = None, last: date | None = None
) -> Exposed:
    """Sums per user over the rows of days `first` to `last`, both included; None: no bound.

    Raises:
        InputError: a column of `READOUT` is missing or has another type.
    """
    rows = _rows(table, arms, first, last)
    groups = _groups(rows.user)
    low, high = (groups.reduce(rows.arm, ufunc) for ufunc in (np.minimum, np.maximum))
    single = low == high
    columns = {name: groups.reduce(rows.column(name), np.add)[single] for name in SUMS}
    for name in BEFORE:
        columns[name] = groups.reduce(rows.column(name), np.maximum)[single]
    users = Users(user=groups.keys[single], arm=low[single], **columns)
    return Exposed(users, int((~single).sum()), rows.unknown, len(rows.user) + rows.unknown)


@dataclass(frozen=True)
class UserDays:
    """Sums of some columns per user and day, of users that were shown one arm only."""

    place: NDArray[np.int64]
    """Per row, the user's index among the exposed: 0 to `number` - 1; rows are sorted by it."""
    day: NDArray[np.int64]
    """Per row, days since the first one."""
    arm: NDArray[np.int8]
    sums: Mapping[str, Floats]
    """By name of the column; "" is one a row."""
    number: int


def user_days(
    table: pa.Table,
    arms: Sequence[str],
    users: Users,
    days: tuple[date, date],
    names: Sequence[str],
) -> UserDays:
    """Rows of some days, summed where a user has several rows of a day.

    Args:
        table: rows of `READOUT`.
        arms: of the experiment.
        users: those that count, as `exposed` gives them for these days.
        days: first and last.
        names: columns to sum; "" is one a user and day.
    """
    rows = _rows(table, arms, *days)
    at = np.minimum(np.searchsorted(users.user, rows.user), max(len(users) - 1, 0))
    mine = np.flatnonzero(users.user[at] == rows.user) if len(users) else at[:0]
    day = rows.day[mine] - day_number(days[0])
    length = (days[1] - days[0]).days + 1
    groups = _groups(at[mine] * length + day)
    sums = {name: groups.reduce(rows.column(name)[mine], np.add) for name in names if name}
    place = groups.keys // length
    ones = {"": np.ones(len(place))}
    return UserDays(place, groups.keys % length, users.arm[place], ones | sums, len(users))


@dataclass(frozen=True)
class _Rows:
    """Rows of known arms on the days that are read."""

    kept: NDArray[np.int64]
    table: pa.Table
    user: NDArray[np.uint64]
    arm: NDArray[np.int8]
    day: NDArray[np.int64]
    """Since the epoch."""
    unknown: int

    def column(self, name: str) -> Floats:
        return np.asarray(self.table[name].to_numpy()[self.kept], np.float64)


def _rows(table: pa.Table, arms: Sequence[str], first: date | None, last: date | None) -> _Rows:
    checked(table)
    day = table["day"].cast(pa.int32()).to_numpy().astype(np.int64)
    keep = np.ones(len(day), np.bool_)
    if first is not None:
        keep &= day >= day_number(first)
    if last is not None:
        keep &= day <= day_number(last)
    coded = pc.index_in(table["arm"], pa.array(list(arms), pa.string()))
    arm = pc.fill_null(coded, -1).to_numpy().astype(np.int8)
    kept = np.flatnonzero(keep & (arm >= 0))
    user = table["user"].to_numpy()[kept]
    return _Rows(kept, table, user, arm[kept], day[kept], int(keep.sum()) - len(kept))


@dataclass(frozen=True)
class _Groups:
    """Rows by key: sums run in the order of the rows, so that they are the same in every run."""

    keys: AnyArray
    order: NDArray[np.int64]
    starts: NDArray[np.int64]

    def reduce(self, column: AnyArray, ufunc: np.ufunc) -> AnyArray:
        if not len(self.starts):
            return column[:0]
        return np.asarray(ufunc.reduceat(column[self.order], self.starts))


def _groups(key: AnyArray) -> _Groups:
    order = np.argsort(key, kind="stable")
    ranked = key[order]
    starts = np.flatnonzero(np.concatenate([[True], ranked[1:] != ranked[:-1]])[: len(key)])
    return _Groups(ranked[starts], order, starts)


def checked(table: pa.Table) -> None:
    """Refuse a table that is no read-out.

    Raises:
        InputError: names the column.
    """
    for field in READOUT:
        if field.name not in table.column_names:
            raise InputError(f"the read-out has no column {field.name}. Run the read-out job anew.")
        found = table.schema.field(field.name).type
        if found != field.type:
            raise InputError(
                f"column {field.name} of the read-out is {found}, not {field.type}. Cast it."
            )
