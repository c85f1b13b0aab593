"""Yesterday's part of a carried state, and the rule for when there may be none.

Vocabulary, catalog, statistics and sequences go through their days in order. The first day of the
log starts from nothing; after that a missing yesterday is a gap that would silently forget all
history. State is removed when it has grown old, and events too where a setting says so: that they
are gone proves no first day as long as anything else tells of a day before. All days end at
midnight of one clock: where two meet, an hour would lie in both, or in none.
"""

from datetime import date, timedelta

from features.property import LocalClock
from infra.errors import ConfigError, PartitionMissing
from infra.store import Partition, Store

ONE_DAY = timedelta(days=1)

TRACES: tuple[tuple[str, ...], ...] = (
    ("samples",),
    ("catalog",),
    ("statistics", "item"),
    ("sequences", "history"),
    ("quality", "events"),
)
"""What tells of a day whose events are gone. Tallies of quality are never swept, samples only where
a setting says so. Raw tells nothing: the nights may have begun later than the first files."""


def yesterday(store: Store, stage: str, day: date, *names: str) -> Partition | None:
    """The partition of the day before, or None where there is no day before at all.

    Raises:
        PartitionMissing: there are events (or anything made of them) of days before, but no state
            of the one just before `day`.
    """
    partition = store.partition(stage, day - ONE_DAY, *names)
    if partition.exists():
        return partition
    found = {*store.days(stage, *names), *store.days("events", "behaviors")}
    earlier = sorted(known for known in found if known < day)
    if not earlier:
        require_first(store, day)
        return None
    before = day - ONE_DAY
    kept = store.partition("events", before, "behaviors").exists()
    first = f"`dupn events --day {before}`, for its events are not published either, and then "
    cure = f"Run {'' if kept else first}`dupn rebuild --day {before}`, which builds it from events."
    if not kept and before not in store.dates("raw"):
        cure += (
            f" No raw data of {before} is there: bring it before. Begin on "
            f"{earlier[-1] + ONE_DAY} at the latest, or in a home of its own, where there is none."
        )
    raise PartitionMissing(
        f"{partition.key} is not published, yet there is data of {earlier[-1]}: without it, "
        f"{stage} of {day} would forget all that was. {cure}"
    )


def require_clock(partition: Partition, day: date, zone: str) -> None:
    """What `day` goes on from was built by the same clock; another name of it will do.

    Args:
        partition: of this day or the one before; those of older releases do not say.
        day: the day that is made.
        zone: of the data set.

    Raises:
        ConfigError: it was built by another one.
    """
    then = partition.manifest().lineage.get("time_zone", zone)
    if then == zone or LocalClock(then).same_around(LocalClock(zone), day):
        return
    raise ConfigError(
        f"{partition.key} was built with the days of {then}, and the data set says time_zone = "
        f'"{zone}": some hours of {day} would lie in two days, or in none. Set it back, or import '
        "and build all days again in a home of its own."
    )


def require_first(store: Store, day: date) -> None:
    """Nothing tells of a day before `day`, so that state may begin there from nothing.

    Raises:
        PartitionMissing: something does: `day` is the first of what is kept, not of the log.
    """
    trace = oldest(store, day)
    if trace is None:
        return
    known = [one for one in store.days("events", "behaviors") if one >= day]
    last = known[0] - ONE_DAY if known else day
    raise PartitionMissing(
        f"State of {day} would begin from nothing and forget all that was: {trace.key} tells of "
        "days before, but their events are not published (any more). Run `dupn events --from "
        f"{day_of(trace)} --to {last}` first, which reads them from raw. If the log does begin on "
        f"{day}, remove {trace.key} and what else is there of those days."
    )


def oldest(store: Store, day: date) -> Partition | None:
    """What tells of the oldest day before `day`; None where the log begins on `day` or later."""
    found = [
        store.partition(stage, known[0], *names)
        for stage, *names in (("events", "behaviors"), *TRACES)
        if (known := store.days(stage, *names)) and known[0] < day
    ]
    return min(found, key=day_of, default=None)


def day_of(partition: Partition) -> date:
    """The day of a partition that has one."""
    return date.fromisoformat(partition.key.partition("dt=")[2][:10])
