"""Yesterday's part of a carried state, and the rule for when there may be none.

Vocabulary, catalog, statistics and sequences go through their days in order. The first day starts
from nothing; after that a missing yesterday is a gap that would silently forget all history.
"""

from datetime import date, timedelta

from infra.errors import PartitionMissing
from infra.store import Partition, Store

ONE_DAY = timedelta(days=1)


def yesterday(store: Store, stage: str, day: date, *names: str) -> Partition | None:
    """The partition of the day before, or None where `stage` has no day before at all.

    Raises:
        PartitionMissing: days before are published, but not the one just before `day`.
    """
    partition = store.partition(stage, day - ONE_DAY, *names)
    if partition.exists():
        return partition
    earlier = [known for known in store.days(stage, *names) if known < day]
    if not earlier:
        return None
    missing = earlier[-1] + ONE_DAY
    command = "vocabulary" if stage == "catalog" else stage
    raise PartitionMissing(
        f"{partition.key} is not published, yet {stage} of {earlier[-1]} is: days must be built in "
        f"order. Run `dupn {command} --from {missing} --to {day}` to close the gap."
    )
