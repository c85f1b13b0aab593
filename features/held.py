"""The snapshot of `users` or `items` that holds on a day: the newest at or before it.

Many logs bring one with their first day, or none at all: whoever looks for it day by day asks for
all of history. So each catalog notes which ones held when it was made, and the newest note counts.
The last days are looked at all the same, since a snapshot may come late; one that comes for a day
before them is found once that day's vocabulary and those after it are built again, without which
nobody knows its values.
"""

from collections.abc import Mapping
from contextlib import suppress
from datetime import date

from infra.errors import PartitionCorrupt, PartitionMissing
from infra.store import Partition, Store

NOTE = "snapshots"
"""In the lineage of a day's catalog: by table, the day of the one that held, or null."""
TABLES = ("items", "users")
NEAR = 7
"""Newest days that are asked whatever is noted."""


def newest(store: Store, day: date, table: str) -> Partition | None:
    """The newest published snapshot that is not after the day, or None.

    Where no catalog of the week before has a note (gone, or of an earlier release), each day is
    asked.
    """
    days = [one for one in reversed(store.dates("events")) if one <= day]
    for one in days[:NEAR]:
        if (partition := store.partition("events", one, table)).exists():
            return partition
    if len(days) <= NEAR:
        return None
    # The newest, since an older one may be from before a snapshot came late for a day between.
    notes = (_noted(store, one) for one in days[1 : NEAR + 1])
    noted = next((one for one in notes if one is not None), None)
    if noted is None:
        return store.latest("events", days[NEAR], table)
    if not (when := noted.get(table)):
        return None
    partition = store.partition("events", date.fromisoformat(when), table)
    return partition if partition.exists() else store.latest("events", days[NEAR], table)


def note(store: Store, day: date) -> dict[str, str | None]:
    """What the catalog of the day notes."""
    found = {table: newest(store, day, table) for table in TABLES}
    return {
        table: one.key.partition("dt=")[2][:10] if one else None for table, one in found.items()
    }


def _noted(store: Store, day: date) -> Mapping[str, str | None] | None:
    with suppress(PartitionMissing, PartitionCorrupt):
        noted: Mapping[str, str | None] | None = (
            store.partition("catalog", day).manifest().lineage.get(NOTE)
        )
        return noted
    return None
