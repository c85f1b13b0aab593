"""Yesterday's part of a carried state, and the rule for when there may be none.

Vocabulary, catalog, statistics and sequences go through their days in order. The first day of
events starts from nothing; after that a missing yesterday is a gap that would silently forget all
history. State is removed when it has grown old, so its absence alone proves no first day.
"""

from datetime import date, timedelta

from infra.errors import PartitionMissing
from infra.store import Partition, Store

ONE_DAY = timedelta(days=1)


def yesterday(store: Store, stage: str, day: date, *names: str) -> Partition | None:
    """The partition of the day before, or None where there is no day before at all.

    Raises:
        PartitionMissing: there are events (or state) of days before, but no state of the one just
            before `day`.
    """
    partition = store.partition(stage, day - ONE_DAY, *names)
    if partition.exists():
        return partition
    found = {*store.days(stage, *names), *store.days("events", "behaviors")}
    earlier = sorted(known for known in found if known < day)
    if not earlier:
        return None
    before = day - ONE_DAY
    first = (
        ""
        if store.partition("events", before, "behaviors").exists()
        else (f"`dupn events --day {before}`, for its events are not published either, and then ")
    )
    raise PartitionMissing(
        f"{partition.key} is not published, yet there is data of {earlier[-1]}: without it, "
        f"{stage} of {day} would forget all that was. "
        f"Run {first}`dupn rebuild --day {before}`, which builds it from events."
    )
