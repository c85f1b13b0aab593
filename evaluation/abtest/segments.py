"""The effect in parts of the users, corrected for having looked at many parts, many times.

Each part has its own always-valid p, which already pays for many looks; over parts Holm keeps the
chance of a single false find under alpha (at every look, since it only compares p's), Benjamini and
Hochberg's keeps the share of false finds among finds. Parts must be made from what was known before
the experiment: a part chosen by behaviour in it (buyers) is itself an outcome.
"""

import numpy as np

from evaluation.abtest.always_valid import Mixture
from evaluation.abtest.effect import Effect, compare
from evaluation.abtest.ratios import Metric
from evaluation.abtest.sufficient import Users
from evaluation.metrics import AnyArray
from evaluation.multiple import benjamini_hochberg, holm
from evaluation.results import Record

NEW, LIGHT, MIDDLE, HEAVY = "new", "light", "middle", "heavy"


class Segment(Record):
    """One part of the users."""

    name: str
    effect: Effect
    holm: float | None
    """Always-valid p, corrected over parts (family-wise)."""
    bh: float | None
    """The same, false discovery rate."""
    found: bool
    """Holm's p is below alpha."""


def by_activity(users: Users) -> AnyArray:
    """A name per user: new, or in the lightest, middle or heaviest third of the pre-period."""
    known = users.seen_before > 0
    names = np.full(len(users), NEW, dtype="<U6")
    if known.any():
        edges = np.quantile(users.pre_impressions[known], [1 / 3, 2 / 3])
        third = np.searchsorted(edges, users.pre_impressions[known], side="left")
        names[known] = np.array([LIGHT, MIDDLE, HEAVY])[third]
    return names


def effects(
    users: Users,
    names: AnyArray,
    metric: Metric,
    mixture: Mixture,
    *,
    adjusted: bool = True,
) -> tuple[Segment, ...]:
    """The effect in each part, in the order of the names.

    Args:
        users: of two arms, as for `effect.compare`.
        names: of each user's part.
        metric: what is compared.
        mixture: its alpha is that of all parts together.
        adjusted: with CUPED.
    """
    parts = [str(name) for name in np.unique(names)]
    parted = [users.take(names == name) for name in parts]
    found = [compare(part, metric, mixture, adjusted=adjusted) for part in parted]
    p = [effect.p_always for effect in found]
    return tuple(
        Segment(name=name, effect=effect, holm=h, bh=b, found=h is not None and h < mixture.alpha)
        for name, effect, h, b in zip(parts, found, holm(p), benjamini_hochberg(p), strict=True)
    )
