"""Which table of representations is carried on, and who is encoded anew all the same.

The newest table before the day of the same version of the dimensions, the model's own or an
ancestor's (`represent.carry`), unless it is no longer known who has done something since: where
events since were swept, or the histories that it encoded were made again and came out otherwise (a
backfill), or nothing tells any more whether they were, no table is carried on.

What is held: the hashes of users with a behaviour since, eight bytes each.
"""

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from features.profiles import Hashes
from features.property import LocalClock
from infra.store import Partition, Store
from pipeline.learn import learning
from pipeline.represent.config import Carry
from pipeline.represent.represented import days_of, made_by, table_of

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Earlier:
    """A table that is carried on."""

    table: Partition
    day: date
    until: date
    """The day that it is carried on to."""
    arrived: Hashes
    """Users of whom a behaviour arrived since."""

    @classmethod
    def of(cls, store: Store, table: Partition, day: date) -> "Earlier":
        """As carried on to `day`; the events since are there (`followed`)."""
        return cls(table, _day_of(table), day, _arrived(store, table, day))

    def anew(self, past: pa.Table, clock: LocalClock) -> NDArray[np.bool_]:
        """Which rows are of users whom the table does not tell as they are by now.

        Of those who did something since, it may have arrived before (a clock that goes ahead,
        `events.max_future_s`): it is in their histories, and in no table until its day.

        Args:
            past: behaviours, columns `user_hash` and `ts`.
            clock: of the data set's time zone.
        """
        hashes = past["user_hash"].to_numpy()
        ts = past["ts"].cast(pa.int64()).to_numpy()
        ahead = (ts >= clock.end_ms(self.day)) & (ts < clock.end_ms(self.until))
        return np.isin(hashes, np.append(self.arrived, hashes[ahead]))


def newest(
    store: Store, key: str, day: date, number: int, version: str = "", carry: Carry = "ancestors"
) -> Partition | None:
    """The newest table before `day` that may be carried on: of the model or of an ancestor.

    Args:
        store: where the tables are.
        key: run key of the model.
        day: the day to represent.
        number: version of the dimensions.
        version: of the registered model; tables of another version of the same run key are not
            its own. Empty: whichever.
        carry: "model": of no ancestor, and none that holds rows of one.
    """
    for one in _ancestors(store, key) if carry == "ancestors" else [key]:
        for then in reversed(days_of(store, one)):
            found = table_of(store, one, then)
            mine = one != key or not version or made_by(found, version)
            # An older table does not say whether it holds such rows.
            pure = carry == "ancestors" or found.manifest().counts.get("older") == 0
            same = found.manifest().lineage["representation"] == number
            if then < day and mine and pure and same:
                return found
    return None


def _ancestors(store: Store, key: str) -> Iterator[str]:
    """The model, its parent, and so on, as long as their checkpoints are there."""
    while key:
        yield key
        key = learning.parent_of(store, key)


def followed(store: Store, before: Partition | None, day: date) -> Partition | None:
    """A table, if it is known who has to be encoded anew; all that would tell may be gone."""
    if before is None:
        return None
    lineage = before.manifest().lineage
    encoded, then = lineage.get("histories", ""), _day_of(before)
    there = histories(store, then)
    lost = [one for one in _since(before, day) if not _behaviors(store, one).exists()]
    if lost:
        why = f"the events of {', '.join(map(str, sorted(lost)))} are gone"
    elif encoded in ("", there):  # an older table does not say
        return before
    elif there:
        why = f"the sequences of {then} are others now"
    else:
        why = f"nothing tells whether the sequences of {then} are still the same"
    logger.info(
        "represent %s: everybody is encoded, since %s and %s cannot be carried on",
        day, why, before.key,
    )  # fmt: skip
    return None


def histories(store: Store, day: date) -> str:
    """Stamp of the histories of a day; once they are swept the day after still says it.

    Empty where that one is swept, too.
    """
    swept = store.partition("sequences", day, "history")
    after = store.partition("sequences", day + timedelta(days=1), "history")
    if stamp := swept.stamp():
        return stamp
    made_from = after.manifest().lineage.get("inputs") if after.exists() else None
    return str((made_from or {}).get(swept.key, ""))


def _arrived(store: Store, before: Partition, day: date) -> Hashes:
    """Users of whom a behaviour arrived since a table."""
    found = [np.empty(0, np.uint64)]
    for one in _since(before, day):
        found.append(_behaviors(store, one).table(["user_hash"])["user_hash"].to_numpy())
    return np.unique(np.concatenate(found))


def _since(before: Partition, day: date) -> list[date]:
    """The days after that of a table."""
    then = _day_of(before)
    return [day - timedelta(days=back) for back in range((day - then).days)]


def _day_of(table: Partition) -> date:
    return date.fromisoformat(table.manifest().lineage["day"])


def _behaviors(store: Store, day: date) -> Partition:
    return store.partition("events", day, "behaviors")
