"""Intervals that know that a user's candidates are not independent: users are drawn, not rows.

A replicate is a count per user (how often the user was drawn); every figure is a function of such
counts, and all figures, models and yardsticks of a report share the same draws, so differences are
paired. An AUC needs only sums of weights between the distinct scores of the positives: one sparse
product of (segments x users) by (users x replicates) gives all replicates at once.

Memory grows with users x replicates, a byte each (a million users, 500 replicates: 500 MB); sums
over them take a few replicates at a time.
"""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from evaluation.metrics import NAN, AnyArray, Floats, parts

CHUNK = 8
"""Replicates that a thread works on at a time: bounds memory at (distinct positive scores x CHUNK
x threads). So few that the sums of a usual day stay in a core's cache: 1.7 times as fast as 64, and
the same figures."""


@dataclass(frozen=True)
class Interval:
    """A figure and where it would lie, were other users drawn; NaN bounds: not known."""

    value: float
    low: float = NAN
    high: float = NAN
    error: float = NAN
    """Standard error over replicates."""


@dataclass(frozen=True)
class Resamples:
    """How often each user was drawn in each replicate (users x replicates).

    No user is drawn more than 255 times: of n, one is drawn 20 times with a chance under n x 1e-18.
    """

    counts: NDArray[np.uint8]
    level: float = 0.95

    @classmethod
    def draw(cls, users: int, replicates: int, seed: int, level: float = 0.95) -> "Resamples":
        """`replicates` draws of `users` users with replacement."""
        rng = np.random.default_rng(np.random.SeedSequence(seed))
        counts = np.zeros((users, replicates), np.uint8, order="F")
        for column in range(replicates):
            drawn = rng.integers(0, users, users) if users else np.empty(0, np.int64)
            counts[:, column] = np.bincount(drawn, minlength=users)
        return cls(counts, level)

    @property
    def users(self) -> int:
        """Users that can be drawn."""
        return self.counts.shape[0]

    @property
    def replicates(self) -> int:
        """Draws."""
        return self.counts.shape[1]

    def interval(self, value: float, replicates: Floats) -> Interval:
        """Percentile interval around `value`; replicates without a figure are left out."""
        known = replicates[np.isfinite(replicates)]
        if not np.isfinite(value) or len(known) < max(2, self.replicates // 2):
            return Interval(value)
        tail = (1 - self.level) / 2
        low, high = np.quantile(known, [tail, 1 - tail])
        return Interval(value, float(low), float(high), float(known.std(ddof=1)))

    def around(self, value: float, moved: Floats) -> Interval:
        """Interval of a size, never under 0, that is no farther off than its parts have `moved`."""
        known = moved[np.isfinite(moved)]
        if not np.isfinite(value) or len(known) < max(2, self.replicates // 2):
            return Interval(value)
        reach = float(np.quantile(known, self.level))
        return Interval(value, max(0.0, value - reach), value + reach)

    def auc(
        self,
        score: AnyArray,
        positive: AnyArray,
        user: AnyArray,
        weight: AnyArray | None = None,
        part: AnyArray | None = None,
    ) -> Floats:
        """`metrics.auc` of every replicate; NaN where a draw has one class only."""
        said, up, of = np.asarray(score), np.asarray(positive), np.asarray(user)
        w = np.ones(len(said)) if weight is None else np.asarray(weight, np.float64)
        found = np.zeros((2, self.replicates))
        for rows in parts(part, len(said)):
            sums = _segments(said[rows], up[rows], of[rows], w[rows], self.users)
            if sums is not None:
                with ThreadPoolExecutor(_threads()) as threads:
                    each = list(threads.map(partial(self._pairs, sums), self._chunks))
                found += np.concatenate(each, axis=1)
        ordered, pairs = found
        return np.divide(ordered, pairs, out=np.full(len(pairs), np.nan), where=pairs > 0)

    def ratio(self, part: AnyArray, whole: AnyArray, user: AnyArray) -> Floats:
        """sum(part) / sum(whole) of every replicate (means, precision, log loss, GAUC)."""
        up = self._total(part, user)
        down = self._total(whole, user)
        return np.divide(up, down, out=np.full(len(up), np.nan), where=down > 0)

    def totals(self, value: AnyArray, group: AnyArray, user: AnyArray, groups: int) -> Floats:
        """Per replicate, the sum of `value` in each group (groups x replicates)."""
        cells = sparse.csr_matrix(
            (np.asarray(value, np.float64), (group, user)), shape=(groups, self.users)
        )
        each = [np.asarray(cells @ self._drawn(start)) for start in self._chunks]
        return np.concatenate(each, axis=1)

    def _total(self, value: AnyArray, user: AnyArray) -> Floats:
        per_user = np.bincount(user, np.asarray(value, np.float64), minlength=self.users)
        return np.asarray(np.einsum("ur,u->r", self.counts, per_user))

    @property
    def _chunks(self) -> range:
        """Where each begins."""
        return range(0, self.replicates, CHUNK)

    def _drawn(self, start: int) -> NDArray[np.float32]:
        """The chunk of replicates that begins there, as products want it."""
        return np.ascontiguousarray(self.counts[:, start : start + CHUNK], np.float32)

    def _pairs(self, sums: "_Segments", start: int) -> Floats:
        """Of the chunk of replicates that begins at `start`."""
        return _pairs_of(sums, self._drawn(start))


def _threads() -> int:
    """As many as torch has: all cores, or the one of a worker among several.

    SciPy and NumPy let go of the interpreter while they add up; figures do not depend on it.
    """
    import torch

    return torch.get_num_threads()


@dataclass(frozen=True)
class _Segments:
    """Weights by (distinct positive score, user): positives, negatives tied, negatives below."""

    positive: sparse.csr_matrix
    tied: sparse.csr_matrix
    below: sparse.csr_matrix  # one row more: negatives above every positive


def _segments(
    score: AnyArray, positive: AnyArray, user: AnyArray, weight: Floats, users: int
) -> _Segments | None:
    up = positive > 0
    if not up.any() or up.all():
        return None
    steps, rank = np.unique(score[up], return_inverse=True)
    down, down_user, down_weight = score[~up], user[~up], weight[~up]
    place = np.searchsorted(steps, down)  # first step that is not below the negative
    tied = (place < len(steps)) & (steps[np.minimum(place, len(steps) - 1)] == down)
    shape = (len(steps) + 1, users)
    return _Segments(
        positive=sparse.csr_matrix((weight[up], (rank, user[up])), shape=shape),
        tied=sparse.csr_matrix((down_weight[tied], (place[tied], down_user[tied])), shape=shape),
        below=sparse.csr_matrix(
            (down_weight[~tied], (place[~tied], down_user[~tied])), shape=shape
        ),
    )


def _pairs_of(sums: _Segments, counts: NDArray[np.float32]) -> Floats:
    """Of each replicate: pairs in the right order, and all pairs."""
    up = np.asarray(sums.positive @ counts)
    tied = np.asarray(sums.tied @ counts)
    down = np.asarray(sums.below @ counts)
    down += tied
    below = np.cumsum(down, axis=0)
    pairs = up.sum(0) * below[-1]
    return np.stack([(up * (below - tied / 2)).sum(0), pairs])
