"""An experiment's day as sums per user and arm, and as counts by the hour (Section 6.5, Table 3).

`features.abtest.outcomes` says which pages count and what came of them; here they are added up. PPP
is asked where something of a known price level was bought on a page that logged a predicted level;
the topmost such item is the answer.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from features import lists
from features.abtest import assignment
from features.abtest.outcomes import Counted, milliseconds
from features.timeline import Ints, codes_of

KNOWN = ("pre_impressions", "pre_clicks", "pre_orders", "pre_sales")

BEFORE = pa.schema(
    [
        ("user", pa.uint64()),  # features.buckets.hash_ids
        ("pre_impressions", pa.int64()),
        ("pre_clicks", pa.int64()),
        ("pre_orders", pa.int64()),
        ("pre_sales", pa.float64()),
    ]
)
"""`experiments/<id>/before`: sums of the days before the first one, by user; ascending."""

READOUT = pa.schema(
    [
        pa.field("user", pa.uint64(), nullable=False),
        pa.field("arm", pa.string(), nullable=False),  # as logged
        pa.field("day", pa.date32(), nullable=False),
        pa.field("pages", pa.int64(), nullable=False),
        pa.field("impressions", pa.int64(), nullable=False),  # items on them
        pa.field("clicks", pa.int64(), nullable=False),  # items clicked
        pa.field("orders", pa.int64(), nullable=False),
        pa.field("sales", pa.float64(), nullable=False),  # in money
        pa.field("ppp_asked", pa.int64(), nullable=False),
        pa.field("ppp_right", pa.int64(), nullable=False),
        pa.field("pre_impressions", pa.int64(), nullable=False),
        pa.field("pre_clicks", pa.int64(), nullable=False),
        pa.field("pre_orders", pa.int64(), nullable=False),
        pa.field("pre_sales", pa.float64(), nullable=False),
        pa.field("seen_before", pa.bool_(), nullable=False),
        pa.field("ppp_said", pa.list_(pa.int8()), nullable=False),  # levels, one a question
        pa.field("ppp_true", pa.list_(pa.int8()), nullable=False),
    ]
)
"""`experiments/<id>/readout/dt=D`, by user, then arm: `evaluation.abtest` works on it."""

HOURS = pa.schema(
    [
        pa.field("arm", pa.string(), nullable=False),
        pa.field("hour", pa.timestamp("ms", tz="UTC"), nullable=False),
        pa.field("line", pa.string()),  # that answered, as logged
        pa.field("model_version", pa.string()),
        pa.field("requests", pa.int64(), nullable=False),
        pa.field("errors", pa.int64(), nullable=False),
        pa.field("slow", pa.int64(), nullable=False),  # over the latency budget
        pa.field("timed", pa.int64(), nullable=False),  # with a latency
        pa.field("reported", pa.int64(), nullable=False),  # that say whether they failed
    ]
)
"""`experiments/<id>/hours/dt=D`: how the pages were answered, by the hour (UTC)."""

HOUR_MS = 3_600_000

LARGEST = "armless_largest_"
"""Begins the name of a count that is not to be added up over users."""


def by_user(counted: Counted) -> pa.Table:
    """Sums per user as BEFORE, whatever the arm."""
    user = counted.pages["user_hash"].to_numpy()
    users, number = np.unique(user, return_inverse=True)
    values = {
        "pre_impressions": counted.shown,
        "pre_clicks": counted.clicks,
        "pre_orders": counted.orders,
        "pre_sales": counted.sales,
    }
    sums = {name: _sum(number, value, len(users)) for name, value in values.items()}
    return pa.table({"user": users, **sums}, schema=BEFORE)


def together(parts: Sequence[pa.Table]) -> pa.Table:
    """BEFORE of several days as one; money is added in the order of the days."""
    whole = pa.concat_tables(parts)
    users, number = np.unique(whole["user"].to_numpy(), return_inverse=True)
    sums = {name: _sum(number, whole[name].to_numpy(), len(users)) for name in KNOWN}
    return pa.table({"user": users, **sums}, schema=BEFORE)


def by_arm(counted: Counted, before: pa.Table, day: pa.Scalar) -> pa.Table:
    """Sums per user and arm as READOUT; pages without an arm are nobody's.

    Args:
        counted: pages of a bucket.
        before: BEFORE of (at least) its users, ascending.
        day: date32 of the read-out.
    """
    arm = codes_of(counted.pages["variant"])
    rows = np.flatnonzero(arm.codes >= 0)
    names = np.sort(arm.values.to_numpy(zero_copy_only=False)).tolist()
    rank = pc.index_in(arm.values, pa.array(names, pa.string())).to_numpy().astype(np.int64)
    user = counted.pages["user_hash"].to_numpy()[rows]
    users, number = np.unique(user, return_inverse=True)
    key = number * max(len(names), 1) + rank[arm.codes[rows]]
    groups, group = np.unique(key, return_inverse=True)
    said = counted.pages["price_level"].fill_null(0).to_numpy()[rows]
    true = counted.true_level[rows]
    asked = (said > 0) & (true > 0)
    values = {
        "pages": np.ones(len(rows), np.int64),
        "impressions": counted.shown[rows],
        "clicks": counted.clicks[rows],
        "orders": counted.orders[rows],
        "sales": counted.sales[rows],
        "ppp_asked": asked.astype(np.int64),
        "ppp_right": (asked & (said == true)).astype(np.int64),
    }
    owner = users[groups // max(len(names), 1)]
    columns = {name: _sum(group, value, len(groups)) for name, value in values.items()}
    columns |= _known(owner, before)
    columns |= _levels(group, asked, said, true, len(groups))
    return pa.table(
        {
            "user": owner,
            "arm": pa.array(names, pa.string()).take(pa.array(groups % max(len(names), 1))),
            "day": pa.array([day] * len(groups), pa.date32()),
            **columns,
        },
        schema=READOUT,
    )


def by_hour(counted: Counted, budget_ms: float) -> pa.Table:
    """HOURS of a bucket's pages with an arm.

    Args:
        counted: pages of a bucket.
        budget_ms: a page that took longer is slow.
    """
    pages = counted.pages.filter(pc.is_valid(counted.pages["variant"]))
    ts = milliseconds(pages)
    latency = pages["latency_ms"]
    slow = pc.fill_null(pc.greater(latency, budget_ms), False)
    plain = pa.table(
        {
            "arm": pages["variant"].cast(pa.string()),
            "hour": pa.array(ts - ts % HOUR_MS).cast(HOURS.field("hour").type),
            "line": pages["line"].cast(pa.string()),
            "model_version": pages["model_version"].cast(pa.string()),
            "requests": np.ones(len(ts), np.int64),
            "errors": pc.fill_null(pages["failed"], False).cast(pa.int64()),
            "slow": slow.cast(pa.int64()),
            "timed": pc.is_valid(latency).cast(pa.int64()),
            "reported": pc.is_valid(pages["failed"]).cast(pa.int64()),
        }
    )
    return hours_together([plain])


def hours_together(parts: Sequence[pa.Table]) -> pa.Table:
    """HOURS of several buckets as one, by arm, hour, line and version."""
    keys = ["arm", "hour", "line", "model_version"]
    sums = ["requests", "errors", "slow", "timed", "reported"]
    whole = pa.concat_tables(parts).group_by(keys, use_threads=False)
    added = whole.aggregate([(name, "sum") for name in sums])
    named = added.rename_columns([name.removesuffix("_sum") for name in added.column_names])
    ordered = named.sort_by([(key, "ascending") for key in keys])
    return ordered.select(HOURS.names).cast(HOURS)


def misassigned(counted: Counted, salt: str, shares: Mapping[str, float]) -> int:
    """Pages of an arm of the experiment that the hash of their user does not give."""
    arm = codes_of(counted.pages["variant"])
    rows = np.flatnonzero(arm.codes >= 0)
    users = codes_of(counted.pages["user_id"].take(pa.array(rows)))
    given = assignment.places(users.values, salt, shares)[users.codes]
    place = pc.index_in(arm.values, pa.array(list(shares), pa.string())).fill_null(-1).to_numpy()
    logged = place[arm.codes[rows]]
    return int(((logged >= 0) & (logged != given)).sum())


def armless(counted: Counted, salt: str, shares: Mapping[str, float]) -> Mapping[str, int]:
    """Pages without an arm by the arm that the hash of their user gives.

    With the squares of its users' pages, and the pages of the user who has most, it can be told
    whether one arm has lost more of its pages than chance would.
    """
    pages = counted.pages.filter(pc.is_null(counted.pages["variant"]))
    users = codes_of(pages["user_id"])
    number = np.bincount(users.codes, minlength=len(users.values))
    place = assignment.places(users.values, salt, shares)
    found = {}
    for arm, line in enumerate(shares):
        mine = number[place == arm]
        found[f"armless_{line}"] = int(mine.sum())
        found[f"armless_squares_{line}"] = int((mine**2).sum())
        found[f"{LARGEST}{line}"] = int(mine.max(initial=0))
    return found


def other_line(counted: Counted, shares: Mapping[str, float]) -> int:
    """Pages of an arm of the experiment that were answered, as logged, by another line."""
    arm, line = (counted.pages[name].cast(pa.string()) for name in ("variant", "line"))
    other = pc.and_(pc.not_equal(line, arm), pc.is_in(arm, pa.array(list(shares), pa.string())))
    return int(pc.sum(pc.fill_null(other, False)).as_py() or 0)


def _known(owner: NDArray[np.uint64], before: pa.Table) -> dict[str, NDArray[np.generic]]:
    """What was known of each owner; zeros for who is new."""
    users = before["user"].to_numpy()
    place = np.searchsorted(users, owner)
    inside = np.minimum(place, max(len(users) - 1, 0))
    here = users[inside] == owner if len(users) else np.zeros(len(owner), np.bool_)
    found = {}
    for name in KNOWN:
        values = before[name].to_numpy()
        found[name] = np.where(here, values[inside], 0) if len(users) else np.zeros(len(owner))
    found = {
        name: value.astype(np.float64 if name == "pre_sales" else np.int64)
        for name, value in found.items()
    }
    return {**found, "seen_before": found["pre_impressions"] > 0}


def _levels(
    group: Ints,
    asked: NDArray[np.bool_],
    said: NDArray[np.int8],
    true: NDArray[np.int8],
    groups: int,
) -> dict[str, pa.Array]:
    """Levels as said and as they were, a list a group, in the order of the pages."""
    rows = np.flatnonzero(asked)
    rows = rows[np.argsort(group[rows], kind="stable")]
    offsets = lists.offsets(np.bincount(group[rows], minlength=groups))
    return {
        "ppp_said": lists.lists(offsets, said[rows].astype(np.int8)),
        "ppp_true": lists.lists(offsets, true[rows]),
    }


def _sum(
    group: NDArray[np.integer], value: NDArray[np.generic], groups: int
) -> NDArray[np.generic]:
    """Sums by group in the order of the rows; whole numbers stay whole (exact below 2^53)."""
    total = np.bincount(group, value.astype(np.float64), minlength=groups)
    return total if value.dtype.kind == "f" else total.astype(np.int64)
