"""The figures of Section 6: how well scores order, and how well probabilities mean what they say.

Everything is a function of flat arrays, vectorised, and answers NaN where a figure has no meaning
(no data, or one class only); reports turn that into null with a reason.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]  # what is reported is reckoned in doubles
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
AnyArray = NDArray[Any]

NAN = float("nan")
TINY = 1e-7
"""Probabilities are kept this far from 0 and 1 before a logarithm."""


def auc(
    score: AnyArray,
    positive: AnyArray,
    weight: AnyArray | None = None,
    part: AnyArray | None = None,
) -> float:
    """Share of (positive, negative) pairs in the right order; a tie counts half.

    Args:
        score: any real numbers, higher means more likely.
        positive: true where the thing happened.
        weight: of each row; a pair weighs the product of its two rows. 1 when absent.
        part: of each row; only pairs within a part count, for scores of different parts (those of
            networks that learnt apart) are on scales of their own. One part when absent.
    """
    total = np.ones(len(score)) if weight is None else np.asarray(weight, np.float64)
    ordered = pairs = 0.0
    for rows in parts(part, len(total)):
        _, tie = np.unique(np.asarray(score)[rows], return_inverse=True)
        happened = np.asarray(positive)[rows] > 0
        up = np.bincount(tie, total[rows] * happened)
        down = np.bincount(tie, total[rows] * ~happened)
        below = np.cumsum(down) - down
        ordered += (up * (below + down / 2)).sum()
        pairs += up.sum() * down.sum()
    return float(ordered / pairs) if pairs > 0 else NAN


def parts(part: AnyArray | None, rows: int) -> list[AnyArray]:
    """The rows of each part, in its order; all of them where there are no parts."""
    if part is None:
        return [np.arange(rows)]
    return [np.flatnonzero(part == one) for one in np.unique(part)]


@dataclass(frozen=True)
class GroupedAuc:
    """AUC of each group that has both classes (users, or moments)."""

    group: Ints
    auc: Floats
    rows: Floats
    """Impressions of the group: its weight in the mean."""

    @property
    def mean(self) -> float:
        """GAUC: the impression-weighted mean."""
        return float((self.auc * self.rows).sum() / self.rows.sum()) if len(self.auc) else NAN


def grouped_auc(score: AnyArray, positive: AnyArray, group: AnyArray) -> GroupedAuc:
    """AUC within every group; groups with one class only are left out, as GAUC is defined."""
    if not len(score):
        return GroupedAuc(np.empty(0, np.int64), np.empty(0), np.empty(0))
    order = np.lexsort((score, group))
    g, s, p = np.asarray(group)[order], np.asarray(score)[order], np.asarray(positive)[order] > 0
    new_group = np.r_[True, g[1:] != g[:-1]]
    new_tie = new_group | np.r_[True, s[1:] != s[:-1]]
    tie_start, group_start = np.flatnonzero(new_tie), np.flatnonzero(new_group)
    up = np.add.reduceat(p.astype(np.float64), tie_start)
    down = np.add.reduceat((~p).astype(np.float64), tie_start)
    tie_group = (np.cumsum(new_group) - 1)[tie_start]
    ups, downs = np.bincount(tie_group, up), np.bincount(tie_group, down)
    below = np.cumsum(down) - down - (np.cumsum(downs) - downs)[tie_group]
    ordered = np.bincount(tie_group, up * (below + down / 2))
    both = (ups > 0) & (downs > 0)
    return GroupedAuc(
        group=g[group_start][both].astype(np.int64),
        auc=ordered[both] / (ups * downs)[both],
        rows=(ups + downs)[both].astype(np.float64),
    )


def roc_curve(score: AnyArray, positive: AnyArray, points: int = 200) -> tuple[Floats, Floats]:
    """False and true positive rates at up to `points` thresholds, from (0, 0) to (1, 1)."""
    order = np.argsort(-np.asarray(score, np.float64), kind="stable")
    s, p = np.asarray(score)[order], np.asarray(positive)[order] > 0
    if not p.any() or p.all():
        return np.array([0.0, 1.0]), np.array([0.0, 1.0])
    ends = np.r_[np.flatnonzero(s[1:] != s[:-1]), len(s) - 1]
    true = np.r_[0.0, np.cumsum(p)[ends] / p.sum()]
    false = np.r_[0.0, np.cumsum(~p)[ends] / (~p).sum()]
    keep = np.unique(np.linspace(0, len(true) - 1, min(points, len(true))).round().astype(int))
    return false[keep], true[keep]


def log_losses(probability: AnyArray, positive: AnyArray) -> Floats:
    """Negative log likelihood of every row."""
    p = np.clip(np.asarray(probability, np.float64), TINY, 1 - TINY)
    return np.where(np.asarray(positive) > 0, -np.log(p), -np.log1p(-p))


def log_loss(probability: AnyArray, positive: AnyArray) -> float:
    """Mean negative log likelihood."""
    return float(log_losses(probability, positive).mean()) if len(probability) else NAN


def entropy(rate: AnyArray | float) -> Floats:
    """Log loss of always saying `rate` when `rate` is right on average."""
    p = np.clip(np.asarray(rate, np.float64), TINY, 1 - TINY)
    return -p * np.log(p) - (1 - p) * np.log1p(-p)


def normalised_entropy(probability: AnyArray, positive: AnyArray) -> float:
    """Log loss over that of always saying the mean rate; below 1 the model knows something."""
    rate = float((np.asarray(positive) > 0).mean()) if len(positive) else 0.0
    if not 0 < rate < 1:
        return NAN
    return log_loss(probability, positive) / float(entropy(rate))


@dataclass(frozen=True)
class Calibration:
    """What was said against what happened, in bins of equal size."""

    predicted: Floats
    observed: Floats
    rows: Ints

    @property
    def error(self) -> float:
        """ECE: mean absolute gap between said and seen, weighted by rows."""
        if not len(self.rows):
            return NAN
        return float((np.abs(self.predicted - self.observed) * self.rows).sum() / self.rows.sum())

    @property
    def ratio(self) -> float:
        """Said over seen, as a whole: 1.1 promises ten per cent too many clicks."""
        seen = float((self.observed * self.rows).sum()) if len(self.rows) else 0.0
        return float((self.predicted * self.rows).sum()) / seen if seen > 0 else NAN


def calibration_bins(probability: AnyArray, bins: int) -> Ints:
    """The bin of each row: equally many rows a bin, ordered by probability; ties stay together."""
    edges = np.unique(np.quantile(probability, np.linspace(0, 1, bins + 1)[1:-1]))
    return np.searchsorted(edges, probability, side="right").astype(np.int64)


def calibration(probability: AnyArray, positive: AnyArray, bins: int = 20) -> Calibration:
    """The calibration curve."""
    if not len(probability):
        return Calibration(np.empty(0), np.empty(0), np.empty(0, np.int64))
    bin_of = calibration_bins(probability, bins)
    rows = np.bincount(bin_of)
    full = rows > 0
    said = np.bincount(bin_of, np.asarray(probability, np.float64))[full] / rows[full]
    seen = np.bincount(bin_of, np.asarray(positive) > 0)[full] / rows[full]
    return Calibration(said, seen, rows[full])


@dataclass(frozen=True)
class Classes:
    """Figure 10: how a choice among classes went. `confusion[true, said]` counts questions."""

    confusion: Ints

    @property
    def precision(self) -> Floats:
        """Per class: of those said, the share that was right; NaN where it was never said."""
        return _ratio(np.diag(self.confusion), self.confusion.sum(0))

    @property
    def recall(self) -> Floats:
        """Per class: of those true, the share that was found; NaN where there was none."""
        return _ratio(np.diag(self.confusion), self.confusion.sum(1))


def classes(truth: AnyArray, said: AnyArray, count: int) -> Classes:
    """Confusion of `count` classes, 0-based."""
    cells = np.asarray(truth, np.int64) * count + np.asarray(said, np.int64)
    return Classes(np.bincount(cells, minlength=count * count).reshape(count, count))


def _ratio(part: AnyArray, whole: AnyArray) -> Floats:
    out = np.full(len(part), np.nan)
    np.divide(part, whole, out=out, where=whole > 0)
    return out
