"""One log, one home: catalog, statistics, champion and reports of a home are of one data set.

A home that has days of two already (a log that was renamed) goes on with either.

What tells data sets apart is the `name` of their description, which a mended description keeps. A
day's is in the lineage of its raw behaviours, or of its events where raw is gone.
"""

from collections.abc import Collection, Mapping
from datetime import date

from features.carry import ONE_DAY, day_of
from infra.errors import InputError
from infra.store import Partition, Store


def require(store: Store, name: str, replaced: Collection[date] = ()) -> None:
    """Refuse a home that has days of other data sets, and none of this one.

    Args:
        store: of the home.
        name: of the data set that is to live there.
        replaced: days whose raw behaviours are about to be this data set's.

    Raises:
        InputError: naming the home, the other data set and its days.
    """
    store = store.resolved()
    raw, events = store.dates("raw"), store.dates("events")
    found: dict[str, list[date]] = {}
    for day in sorted({*raw, *events}):
        # plain files have no data set of their own: they are read anew by whatever is set
        told = store.partition("raw" if day in raw else "events", day, "behaviors")
        other = _name_of(told)
        if other == name:
            return
        if other and day not in replaced:
            found.setdefault(other, []).append(day)
    if found:
        raise InputError(_refusal(store, name, found))


def require_next(store: Store, name: str, day: date) -> None:
    """Refuse a night whose data set is not that of the newest day before it.

    Raises:
        InputError: naming the home, the other data set and that day.
    """
    eve = store.latest("events", day - ONE_DAY, "behaviors")
    other = _name_of(eve) if eve else ""
    if eve and other and other != name:
        raise InputError(_refusal(store, name, {other: [day_of(eve)]}))


def _name_of(partition: Partition) -> str:
    """Kept in its lineage; empty where nothing is published."""
    return str(partition.manifest().lineage.get("dataset", "")) if partition.exists() else ""


def _refusal(store: Store, name: str, found: Mapping[str, list[date]]) -> str:
    there = " and ".join(
        f"{other} ({days[0]}{f' to {days[-1]}' if days[1:] else ''})"
        for other, days in found.items()
    )
    first = next(iter(found))
    return (
        f"{store.root} holds days of data set {there}, and one home holds one log: {name} would "
        f"share its catalog, its champion and its reports. Give {name} a home of its own, with "
        "`--home` before the command; an Airflow works in the home that it was started with "
        f"(`dupn down`, then `dupn --home DIR up`). To go on with {first}, set `dataset` to it or "
        f"to the path of its TOML; if both are one log, its description keeps the name {first}."
    )
