"""How many users' profiles changed since the snapshot before, by column.

Samples of a day have the profiles of its own `users`, a dump of its end perhaps; the service has
those of the evening before. Of what a person is, both say the same. Of what a person has done
(orders so far, last active) the dump tells the morning what happened in the evening, and offline
figures are better than what is served. Such a column changes for many users a day.

Memory grows with SAMPLE and with a row group.
"""

from dataclasses import dataclass
from datetime import date

import numpy as np
import polars as pl
import pyarrow as pa

from features import carry, hash_range, held
from features.buckets import HASH_SPACE, Bucket
from features.raw import canonical
from infra.store import Partition, Store

METRIC = "changed_share"
SAMPLE = 20_000
"""Users that are compared, about: those of the smallest hashes."""
FEWEST = 100
"""Users known to both snapshots; of fewer nothing is said, for one of them is a lot."""
_ROWS = 65_536


@dataclass(frozen=True, kw_only=True)
class Changed:
    """A profile column of two snapshots."""

    figure: str
    users: int
    """Known to both."""
    changed: int
    days: int
    """From the one snapshot to the other."""
    before: str
    """Key of the earlier one."""

    @property
    def share(self) -> float:
        """Changed of those known to both."""
        return self.changed / self.users

    @property
    def meaning(self) -> str:
        """The share in words, and what to do."""
        return (
            f"the share of users of whom it says something else than {self.before}. A column that "
            "counts what users do tells a day's samples its evening; the service has that of the "
            "evening before, and ranks worse than the reports say. Map other columns, or send "
            "profile with each question"
        )


def of_day(store: Store, day: date) -> list[Changed]:
    """The columns that the day's own users and the newest before them both have.

    A column that says nothing yet, or no more, has not changed.
    """
    own = store.partition("events", day, "users")
    if not own.exists():
        return []
    before = held.newest(store, day - carry.ONE_DAY, "users")
    if before is None:
        return []
    rows = [part.manifest().rows for part in (own, before)]
    if min(rows) < FEWEST:
        return []
    sample = Bucket(0, 0, min(HASH_SPACE, HASH_SPACE * SAMPLE // max(rows)))
    now, then = (_users(part, sample) for part in (own, before))
    both = now.select("user_hash").with_row_index("now")
    both = both.join(then.select("user_hash").with_row_index("then"), on="user_hash")
    if both.height < FEWEST:
        return []
    keys, found = canonical.keys_of("users"), []
    for name in [name for name in now.columns if name in then.columns and name not in keys]:
        values = pl.DataFrame({"now": now[name][both["now"]], "then": then[name][both["then"]]})
        if both.height not in values.null_count().row(0):
            one = Changed(
                figure=f"users.{name}.{METRIC}",
                users=both.height,
                changed=_changed(values),
                days=(day - carry.day_of(before)).days,
                before=before.key,
            )
            found.append(one)
    return found


def _changed(values: pl.DataFrame) -> int:
    """Users whose value is another `now` than `then`, beyond what has only got another name.

    A value that went over to one of its own, for most of those who had it (m to male, day 99 to
    day 100), was renamed: of its users the others have changed.
    """
    same = pl.col("now").eq_missing(pl.col("then"))
    by_value = (
        values.group_by("then", "now")
        .len("users")
        .sort("users", "now")
        .group_by("then")
        .agg(
            pl.col("now").last().alias("became"),
            pl.col("users").last().alias("most"),
            pl.col("users").filter(same).sum().alias("same"),
            pl.col("users").sum(),
        )
    )
    renamed = (pl.len().over("became") == 1) & (pl.col("users") > 1)
    stayed = by_value.select(pl.when(renamed).then("most").otherwise("same").sum()).item()
    return values.height - int(stayed)


def _users(part: Partition, sample: Bucket) -> pl.DataFrame:
    """All columns of the users in a range of hashes, as text; files are in hash order."""
    parts = []
    for entry in hash_range.entries(part, sample):
        for batch in part.batches(entry, _ROWS):
            hashes = batch.column("user_hash").to_numpy()
            inside = hashes <= np.uint64(sample.high - 1)
            parts.append(pa.Table.from_batches([batch]).filter(pa.array(inside)))
            if not inside.all():
                break
    if not parts:
        return pl.DataFrame(schema={"user_hash": pl.UInt64})
    frame = pl.from_arrow(pa.concat_tables(parts))
    assert isinstance(frame, pl.DataFrame)
    return frame.with_columns(pl.exclude("user_hash").cast(pl.String))
