"""CUPED: what was known of a user before the experiment explains away part of the noise.

Deng, Xu, Kohavi, Walker (WSDM 2013), as a regression: pulls on a metric (`ratios`) are regressed,
within arms and pooled over them, on the user's sums of the pre-period and on whether he has one;
what is predicted from the difference of the arms in those sums is taken off. With y and x of the
pre-period both among the covariates, the linearised pre-period ratio y - R x is in their span, so
ratio metrics need nothing else. A new user has zeros and `seen_before` = 0: a level of his own.

Covariates are settled before the first exposure, so that the arms have the same law of them and
the adjustment moves no expectation; a poor fit costs precision only. Columns are standardised, so
that units (of money) change nothing. Errors come from leave-one-out residuals (the HC3 of MacKinnon
and White): a whale pulls the slope towards himself, and his own residual would not show it. With
few users nothing is adjusted: five slopes would be fitted to noise.
"""

from dataclasses import dataclass

import numpy as np

from evaluation.abtest.sufficient import BEFORE, Users
from evaluation.metrics import Bools, Floats

FEWEST = 100
"""Users in the smaller arm below which nothing is adjusted."""
MOST = 0.99
"""Leverage that is believed; a user who alone has a covariate has 1 and no residual."""
NEGLIGIBLE = 1e-9
"""Share of the largest eigenvalue below which a direction of the covariates is not used."""


@dataclass(frozen=True)
class Adjustment:
    """Pulls after the adjustment and by how much each arm's figure moves."""

    pulls: Floats
    """Metrics x users: leave-one-out residuals, whose spread is that of the adjusted figure."""
    shift: Floats
    """Metrics x 2: to be added to the arm's raw figure."""


def covariates(users: Users) -> Floats:
    """Covariates x users."""
    return np.stack([users.column(name) for name in BEFORE])


def adjust(pulls: Floats, treated: Bools, known: Floats) -> Adjustment:
    """Take off what the covariates say, with slopes that both arms share.

    Args:
        pulls: metrics x users, each centred within its arm.
        treated: true for users of the treatment.
        known: covariates x users, finite.
    """
    sizes = np.array([(~treated).sum(), treated.sum()])
    if sizes.min() < FEWEST:
        return Adjustment(pulls, np.zeros((len(pulls), 2)))
    above = known @ treated
    means = np.stack([known.sum(1) - above, above], axis=1) / sizes
    centred = known - np.where(treated, means[:, 1:], means[:, :1])
    fit = _fit(centred, pulls)
    middle = means @ sizes / sizes.sum()
    left = (pulls - fit.slopes @ centred) / (1 - np.minimum(fit.leverage, MOST))
    return Adjustment(left, fit.slopes @ (middle[:, None] - means))


def correlation(pulls: Floats, known: Floats) -> float:
    """Multiple correlation of one metric's pulls with what was known: 1 - its square is left.

    Args:
        pulls: of each user, of days that were no experiment.
        known: covariates x users.
    """
    centred = known - known.mean(1, keepdims=True)
    left = pulls - (_fit(centred, pulls[None, :]).slopes @ centred)[0]
    spread = pulls.var()
    return float(np.sqrt(max(0.0, 1 - left.var() / spread))) if spread > 0 else 0.0


@dataclass(frozen=True)
class _Fit:
    slopes: Floats
    """Metrics x covariates."""
    leverage: Floats
    """Of each user on his own prediction, 0 to 1."""


def _fit(known: Floats, pulls: Floats) -> _Fit:
    """Least squares; a column that says nothing (constant) gets a slope of zero."""
    scale = np.sqrt(np.einsum("ku,ku->k", known, known))
    unit = known / np.where(scale > 0, scale, 1.0)[:, None]
    inverse = np.linalg.pinv(unit @ unit.T, rcond=NEGLIGIBLE, hermitian=True)
    slopes = (pulls @ unit.T) @ inverse / np.where(scale > 0, scale, 1.0)
    return _Fit(slopes, np.einsum("ku,ku->u", unit, inverse @ unit))
