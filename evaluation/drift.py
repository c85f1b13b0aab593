"""How two representations of the same moments differ: per dimension, and after alignment.

An orthogonal map keeps every distance and angle, so what it can undo is a change of axes (a head
that is fitted anew loses nothing), and what is left is a change of what is known. Frozen heads see
the axes as they are; so drift is a diagnosis, and the heads are the verdict.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import orthogonal_procrustes

from evaluation.metrics import AnyArray, Floats

FOLDS = 2


@dataclass(frozen=True)
class Dimensions:
    """One entry a dimension; NaN where it says the same of every moment."""

    correlation: Floats
    """Between champion and candidate, over moments."""
    shift: Floats
    """Change of the mean, in standard deviations of the champion's."""
    scale: Floats
    """Candidate's standard deviation over the champion's."""


def dimensions(champion: AnyArray, candidate: AnyArray) -> Dimensions:
    """Drift of each dimension; [moments, dimensions] each."""
    mine, theirs = np.asarray(candidate, np.float64), np.asarray(champion, np.float64)
    spread, mine_spread = theirs.std(0), mine.std(0)
    both = ((mine - mine.mean(0)) * (theirs - theirs.mean(0))).mean(0)
    return Dimensions(
        correlation=_ratio(both, spread * mine_spread),
        shift=_ratio(mine.mean(0) - theirs.mean(0), spread),
        scale=_ratio(mine_spread, spread),
    )


def change(champion: AnyArray, candidate: AnyArray) -> float:
    """Mean squared distance of a moment from itself, over that of a moment from the mean moment.

    0: the same; about 2: as far apart as two unrelated moments.
    """
    theirs = np.asarray(champion, np.float64)
    spread = np.square(theirs - theirs.mean(0)).sum(1).mean() if len(theirs) else 0.0
    moved = np.square(np.asarray(candidate, np.float64) - theirs).sum(1).mean() if spread else 0.0
    return float(moved / spread) if spread else float("nan")


def aligned(champion: AnyArray, candidate: AnyArray, fold: NDArray[np.int64]) -> Floats:
    """The candidate's moments, shifted and rotated onto the champion's.

    The map of a fold's moments is found on the other folds, so it flatters nobody. NaN where those
    are fewer moments than there are dimensions: then many maps fit them as well as each other.
    """
    out = np.array(candidate, np.float64)
    for one in np.unique(fold):
        learn, use = fold != one, fold == one
        if learn.sum() < candidate.shape[1]:
            out[use] = np.nan
            continue
        here, there = candidate[learn].mean(0), champion[learn].mean(0)
        turn, _ = orthogonal_procrustes(
            np.asarray(candidate[learn] - here, np.float64),
            np.asarray(champion[learn] - there, np.float64),
        )
        out[use] = (candidate[use] - here) @ turn + there
    return out


@dataclass(frozen=True)
class Probe:
    """A linear head as a downstream team would fit it: ridge regression onto one-hot classes."""

    mean: Floats
    spread: Floats
    weight: Floats
    """[dimensions + 1, classes]; the constant is last."""

    @classmethod
    def fit(cls, rep: AnyArray, label: NDArray[np.int64], classes: int, ridge: float) -> "Probe":
        """On `rep` [moments, dimensions] and the class of each moment."""
        mean, spread = rep.mean(0, dtype=np.float64), rep.std(0, dtype=np.float64)
        spread = np.where(spread > 0, spread, 1.0)
        x = _inputs(rep, mean, spread)
        penalty = ridge * len(x) * np.eye(x.shape[1])
        penalty[-1, -1] = 0.0
        y = np.eye(classes)[label]
        weight = np.linalg.solve(x.T @ x + penalty, x.T @ y)
        return cls(mean, spread, np.asarray(weight, np.float64))

    def said(self, rep: AnyArray) -> NDArray[np.int64]:
        """The likeliest class of each moment."""
        scores = _inputs(rep, self.mean, self.spread) @ self.weight
        return np.asarray(scores.argmax(1), np.int64)


def _inputs(rep: AnyArray, mean: Floats, spread: Floats) -> Floats:
    scaled = (np.asarray(rep, np.float64) - mean) / spread
    return np.hstack([scaled, np.ones((len(scaled), 1))])


def _ratio(up: Floats, down: Floats) -> Floats:
    return np.divide(up, down, out=np.full(len(up), np.nan), where=down > 0)
