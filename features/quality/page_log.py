"""Whether the pages of a day are what its moments are made of (docs/datasets.md).

A log without impressions has derived moments for as long as it has none. Its service may be tried
all the same: a page that only the service wrote, and that no behaviour names, could never be
clicked, so it makes no log of pages. An impressions table without a row is none either.

Memory grows with the served pages of a day, all of whose request ids are held at once, and with the
largest file of its behaviours.
"""

from datetime import date

import pyarrow as pa
import pyarrow.compute as pc

from features.sequence import MomentsMode
from infra.store import Partition, Store

ONLY_SERVED = "only_served"
"""In the lineage of a day's impressions: every file of them was written by `dupn serve`."""
SOME_SERVED = "some_served"
"""In its place, where others sent files as well: one page of a user may stand there twice."""


def is_paged(store: Store, day: date, moments: MomentsMode, *, before: bool) -> bool:
    """Whether pages are the moments of a day: a log that had them once has them for good.

    Args:
        store: with the events of the day.
        day: which.
        moments: what the settings say; `auto` looks.
        before: whether they were the moments of the day before.
    """
    if moments == "auto":
        return before or has_pages(store, day)
    return moments == "pages"


def has_pages(store: Store, day: date) -> bool:
    """Whether the day has pages of the log itself, or served ones that its behaviours name."""
    pages = store.partition("events", day, "impressions")
    if not pages.exists() or not pages.manifest().rows:
        return False
    if not pages.manifest().lineage.get(ONLY_SERVED):
        return True
    requests = pages.table(["request_id"]).column("request_id").cast(pa.string())
    return _names_any(store.partition("events", day, "behaviors"), requests.combine_chunks())


def _names_any(behaviors: Partition, requests: pa.Array) -> bool:
    for entry in behaviors.manifest().files:  # one at a time: the column of a whole day is large
        named = behaviors.table(["request_id"], [entry]).column("request_id").cast(pa.string())
        if pc.any(pc.is_in(named, value_set=requests, skip_nulls=True)).as_py():
            return True
    return False
