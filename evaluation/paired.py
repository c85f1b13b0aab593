"""Candidate minus champion, figure by figure, on the same moments and draws; and how sure that is.

What the gate weighs (`evaluation.gate`); `evaluation.comparison` makes it. Pure records and a
normal law: SciPy would cost every command half a second to import.
"""

import math
from collections.abc import Sequence
from statistics import NormalDist

from pydantic import BaseModel, ConfigDict

from evaluation import multiple

NORMAL = NormalDist()


class Difference(BaseModel):
    """Candidate minus champion on one figure, paired on the same moments and draws."""

    model_config = ConfigDict(frozen=True)

    name: str
    """A figure (`l2r_auc`), or figure and slice (`ctr_auc[scenario=search]`)."""
    candidate: float | None = None
    champion: float | None = None
    value: float | None
    low: float | None = None
    high: float | None = None
    error: float | None = None
    """Standard error; null where there was too little to compare."""

    def bound(self, alpha: float) -> float:
        """What it is not below, with one-sided error `alpha`; -inf where nothing is known."""
        if self.value is None or self.error is None:
            return -math.inf
        return self.value - NORMAL.inv_cdf(1 - alpha) * self.error


class Comparison(BaseModel):
    """Candidate against champion."""

    model_config = ConfigDict(frozen=True)

    ctr: Difference
    others: tuple[Difference, ...] = ()
    """Other tasks and guarded slices; higher must mean better."""


def holm(family: Sequence[Difference], tolerance: float) -> dict[str, float]:
    """By name, the p of "not worse by more than `tolerance`", corrected over the family.

    Those that could not be compared are left out.
    """
    adjusted = multiple.holm([_p_worse(one, tolerance) for one in family])
    return {one.name: p for one, p in zip(family, adjusted, strict=True) if p is not None}


def _p_worse(difference: Difference, tolerance: float) -> float | None:
    """One-sided p of "not worse by more than that", normal in the paired error."""
    if difference.value is None or difference.error is None:
        return None
    if not math.isfinite(difference.value) or not math.isfinite(difference.error):
        return None
    if difference.error == 0:
        return 1.0 if difference.value >= -tolerance else 0.0
    return NORMAL.cdf((difference.value + tolerance) / difference.error)
