"""Whose a raw day is: the marketplace writes its own days again, never anybody else's."""

from collections.abc import Iterable
from datetime import date

from evaluation.marketplace.state import DATASET
from features.raw import raw_names
from features.raw.raw_table import TABLES
from infra.errors import InputError
from infra.store import Partition, Store

MARKS = {"dataset", "seed", "config"}
"""In the lineage of what the marketplace has made (`state.lineage`); an import has its files."""


def strangers(store: Store, day: date) -> list[str]:
    """What lies in a raw day and is not the marketplace's: a clause a table.

    Pages that `dupn serve` adds are nobody's day.
    """
    found = (_stranger(store, store.partition("raw", day, name)) for name in TABLES)
    return [clause for clause in found if clause]


def require_own(store: Store, days: Iterable[date]) -> None:
    """Refuse days of which somebody else has sent anything.

    Raises:
        InputError: naming what is there, and what to do.
    """
    for day in days:
        for clause in strangers(store, day):
            raise InputError(
                f"{clause}, and the marketplace has not made them: simulated ones would take "
                f"their place. Simulate {_elsewhere(store, day)}; to give them up, remove "
                f"raw/dt={day}."
            )


def _elsewhere(store: Store, day: date) -> str:
    """Other days of a home are advised only where its log has the marketplace's name.

    In a home of another log, which plain files may be of, simulated days would be of a second.
    """
    found = (store.partition("raw", day, name) for name in TABLES)
    known = {one.manifest().lineage.get("dataset") for one in found if one.exists()}
    return f"{'other days (--first), or ' if known == {DATASET} else ''}into another --home"


def _stranger(store: Store, partition: Partition) -> str:
    if partition.exists():
        manifest = partition.manifest()
        if manifest.lineage.keys() >= MARKS:
            return ""
        files = raw_names.some(list(manifest.lineage.get("files", ())))
        return f"{partition.key} holds {manifest.rows:,} rows{f' of {files}' if files else ''}"
    data = (name for name in store.names(partition.key) if raw_names.is_data(name))
    plain = [name for name in data if not raw_names.is_served(name)]
    if not plain:
        return ""
    return f"{partition.key} holds files that were put there: {raw_names.some(plain)}"
