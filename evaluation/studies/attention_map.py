"""The map of Figure 9: a value of behaviours by their type and age, and contrasts of its parts.

Ages are the gap codes of `features.property`, a few put together where behaviours are few.
Intervals come from a bootstrap of users, the same draws for every cell: contrasts are paired.
"""

from typing import NamedTuple

import numpy as np

from evaluation.bootstrap import Interval, Resamples
from evaluation.metrics import AnyArray, Floats
from evaluation.studies.histories import Histories
from features.property import NUM_GAPS
from features.schemas import BehaviorType

FEWEST, FEWEST_USERS = 50, 10
"""Behaviours, and users who have them, below which a cell is blank and a contrast not made."""


class Bucket(NamedTuple):
    """Gap codes (`features.property`) seen as one column of the map."""

    key: str
    title: str
    last: int
    """The highest code in it."""


BUCKETS = (
    Bucket("5_min", "< 5 min", 2),
    Bucket("20_min", "5-20 min", 4),
    Bucket("80_min", "20-80 min", 6),
    Bucket("5_h", "80 min-5 h", 8),
    Bucket("21_h", "5-21 h", 10),
    Bucket("2_d", "21 h-1.8 d", 11),
    Bucket("4_d", "1.8-3.6 d", 12),
    Bucket("7_d", "3.6-7.1 d", 13),
    Bucket("older", "> 7.1 d", NUM_GAPS),
)
TYPES = tuple(BehaviorType)
SHAPE = (len(TYPES), len(BUCKETS))
CLICK, BOOKMARK, CART, PURCHASE = TYPES
ALWAYS, LIVE = range(len(BUCKETS)), range(1)
VERY_RECENT, RECENT, OLDER = range(3), range(5), range(5, len(BUCKETS))


class Side(NamedTuple):
    """A part of the map: behaviours of a type, of some ages."""

    kind: BehaviorType
    buckets: range = ALWAYS

    @property
    def cells(self) -> AnyArray:
        """Flat places in the map."""
        return (self.kind - 1) * len(BUCKETS) + np.array(self.buckets)


class Contrast(NamedTuple):
    """Two parts of the map, the one that is said to be heavier first."""

    name: str
    heavier: Side
    lighter: Side
    words: str

    @property
    def of_types(self) -> bool:
        """Whether two types are compared, over all ages."""
        return self.heavier.kind is not self.lighter.kind


CONTRASTS = (
    Contrast("purchase_over_click", Side(PURCHASE), Side(CLICK), "purchases less clicks"),
    Contrast("purchase_over_cart", Side(PURCHASE), Side(CART), "purchases less carts"),
    Contrast(
        "purchase_over_bookmark", Side(PURCHASE), Side(BOOKMARK), "purchases less bookmarks"
    ),
    Contrast("click_over_bookmark", Side(CLICK), Side(BOOKMARK), "clicks less bookmarks"),
    Contrast("cart_over_bookmark", Side(CART), Side(BOOKMARK), "carts less bookmarks"),
    Contrast(
        "click_recent_over_older", Side(CLICK, RECENT), Side(CLICK, OLDER),
        "clicks of the last 21 h less older ones",
    ),
    Contrast(
        "bookmark_recent_over_older", Side(BOOKMARK, RECENT), Side(BOOKMARK, OLDER),
        "bookmarks of the last 21 h less older ones",
    ),
    Contrast(
        "purchase_older_over_recent", Side(PURCHASE, range(3, len(BUCKETS))),
        Side(PURCHASE, VERY_RECENT), "older purchases less those of the last 80 min",
    ),
    Contrast(
        "cart_live_over_later", Side(CART, LIVE), Side(CART, range(1, len(BUCKETS))),
        "carts of the last 5 min less earlier ones",
    ),
)  # fmt: skip


class Sums:
    """A value of behaviours summed by type and age, as it is and in every draw of users.

    Args:
        found: the behaviours.
        value: one each.
        draws: of the users.
        keep: which behaviours count; by default all.
    """

    def __init__(
        self, found: Histories, value: AnyArray, draws: Resamples, keep: AnyArray | None = None
    ) -> None:
        chosen = np.flatnonzero(np.ones(len(value), bool) if keep is None else keep)
        self.draws = draws
        cells, user = int(np.prod(SHAPE)), found.person[found.owner[chosen]]
        cell = cell_of(found.kind[chosen], found.gap[chosen])
        values = np.asarray(value, np.float64)[chosen]
        self.total = np.bincount(cell, values, cells)
        self.count = np.bincount(cell, minlength=cells)
        self.drawn_total = draws.totals(values, cell, user, cells)
        self.drawn_count = draws.totals(np.ones(len(cell)), cell, user, cells)
        met = np.bincount(user * cells + cell, minlength=draws.users * cells)
        self.met = met.reshape(draws.users, cells) > 0

    def enough(self, cells: AnyArray) -> bool:
        """Whether these cells together hold enough to say something."""
        users = int(self.met[:, cells].any(axis=1).sum())
        return bool(self.count[cells].sum() >= FEWEST) and users >= FEWEST_USERS

    def mean(self, cells: AnyArray) -> Interval:
        """Over the behaviours of these cells."""
        if not self.enough(cells):
            return Interval(np.nan)
        return self.draws.interval(*self._means(cells))

    def contrast(self, one: AnyArray, other: AnyArray) -> Interval:
        """Mean of one part less that of another; paired by users."""
        if not (self.enough(one) and self.enough(other)):
            return Interval(np.nan)
        (a, drawn_a), (b, drawn_b) = self._means(one), self._means(other)
        return self.draws.interval(a - b, drawn_a - drawn_b)

    def same_time(self, one: AnyArray, other: AnyArray) -> Interval:
        """The same with ages made equal: cell by cell, weighted with all types' ages.

        Only ages at which both parts have enough.
        """
        places = [k for k in range(len(one)) if self.enough(one[[k]]) and self.enough(other[[k]])]
        if not places:
            return Interval(np.nan)
        ages = self.count.reshape(SHAPE).sum(axis=0)[places]
        share = ages / ages.sum()
        pairs = [(self._means(one[[k]]), self._means(other[[k]])) for k in places]
        value = sum(w * (a - b) for w, ((a, _), (b, _)) in zip(share, pairs, strict=True))
        drawn = sum(w * (a - b) for w, ((_, a), (_, b)) in zip(share, pairs, strict=True))
        return self.draws.interval(float(value), np.asarray(drawn))

    def _means(self, cells: AnyArray) -> tuple[float, Floats]:
        total, count = self.drawn_total[cells].sum(axis=0), self.drawn_count[cells].sum(axis=0)
        drawn = np.divide(total, count, out=np.full(len(count), np.nan), where=count > 0)
        return float(self.total[cells].sum() / self.count[cells].sum()), drawn


def cell_of(kind: AnyArray, gap: AnyArray) -> AnyArray:
    """Flat place in the map of behaviours of these types and gap codes."""
    bucket = np.searchsorted([bucket.last for bucket in BUCKETS], gap)
    return (np.asarray(kind, np.int64) - 1) * len(BUCKETS) + bucket


def behaviours(found: Histories) -> tuple[tuple[int, ...], ...]:
    """Counts of the map."""
    count = np.bincount(cell_of(found.kind, found.gap), minlength=int(np.prod(SHAPE)))
    return tuple(tuple(row) for row in count.reshape(SHAPE).tolist())
