"""Intervals that may be looked at every day: a normal mixture over a clustered z statistic.

The mixture sequential probability ratio test (Robbins 1970; Johari, Koomen, Pekelis, Walsh 2017/22)
and the asymptotic confidence sequence (Waudby-Smith, Arbour, Sinha, Kennedy, Ramdas 2021) are one
formula. With an estimate whose standard error is e, a mixing scale tau, and r = tau^2 / e^2:

    |estimate| / e  >=  b(r) = sqrt( (1 + 1/r) (log(1 + r) - 2 log alpha) )

is ever true with chance at most alpha if the estimate in information time 1/e^2 is a Brownian
motion, which it is where every look adds independent users.

**Returning users.** Here it is not: a look adds days of users who were there before, each user's
days are dependent, and 1/e^2 need not even grow. So the statistic is never built from days: at
every look a user is one observation (his sums so far) and e is clustered by user, which makes each
look's z standard normal under no effect, whatever happens within users. How looks hang together is
then not assumed at all. b(r) has a lowest value over r (3.035 for alpha = 0.05), and K looks
against bounds of that height or more err with chance at most 2 K (1 - Phi(lowest b)), by
Bonferroni, whatever their dependence. That is under alpha for up to `looks(alpha)` looks, 20 for
0.05 and more for smaller alphas; for a longer plan the mixture is run at the largest smaller
`level` at which it still holds (0.039 instead of 0.05 for 28 looks: 3 % wider).

**Which tau.** b rises without bound where the error is large beside tau: a scale that suits one
metric makes the interval of a noisier one so wide that it sees no harm. Since the planned looks
rest on the lowest b alone, tau may move with e, and it does (`steady`): each metric is judged with
the lowest multiplier at every look. Where the error that a metric will have at the end was declared
(`tuned`), tau stands still. Early looks are then a little wider, and independent users, as many
looks as one likes, are covered too, which Bonferroni alone does not give.

It would be nice to rest on Slepian's comparison instead: a user's own level stays in all looks,
which should make them more alike than a Brownian motion's, so that they cross less often. Measured
(`dupn abtest aa`, `correlation_excess`) there is nothing to rest on: looks are as alike as a
Brownian motion's, and after CUPED, which takes out just that level, a little less.

What is asymptotic stays so: each z needs enough users to be normal, and enough who have any of the
metric (`effect.FEWEST`, `effect.FEWEST_HAVING`). Heavy tails make a studentised difference of two
equally large arms light-tailed, not heavy-tailed, hence err on the safe side; a small arm beside a
large one does not.
A fixed-horizon interval (b = 1.96) stands beside it: right for one look that was planned.
"""

import math
from dataclasses import dataclass
from functools import lru_cache
from statistics import NormalDist

from scipy.stats import t

from evaluation.metrics import NAN

NORMAL = NormalDist()
HUGE = 1e150
"""Its square is still a number."""
DAILY = 14
"""Looks that are planned where nobody says how many."""


@dataclass(frozen=True)
class Mixture:
    """The rule: effects that are looked for are about as large as `tau`."""

    tau: float | None
    """Standard deviation of the mixing law, in the unit of the estimate (log uplift); None: at each
    look the one that suits its error best."""
    alpha: float = 0.05
    """Chance of ever excluding the truth, two-sided."""
    looks: int = DAILY
    """Planned."""

    def multiplier(self, error: float) -> float:
        """b(r): the interval is estimate +/- multiplier x error; infinite for no information."""
        if self.tau is None:
            return lowest(level(self.alpha, self.looks)) if _known(error) else math.inf
        r = self.information(error)
        if not r > 0:
            return math.inf
        return math.sqrt(
            (1 + 1 / r) * (math.log1p(r) - 2 * math.log(level(self.alpha, self.looks)))
        )

    def p_value(self, estimate: float, error: float) -> float:
        """The p at this look, below alpha just where zero is excluded; valid at any look."""
        if self.tau is None:
            covered = self.alpha / _whatever(level(self.alpha, self.looks), 1)
            return min(1.0, covered * p_fixed(estimate, error)) if _known(error) else 1.0
        r = self.information(error)
        if not r > 0:
            return 1.0
        z2 = min(abs(estimate) / error, HUGE) ** 2
        mixed = math.exp(min(0.0, 0.5 * math.log1p(r) - 0.5 * z2 * r / (1 + r)))
        return min(1.0, mixed * self.alpha / level(self.alpha, self.looks))

    def information(self, error: float) -> float:
        """How r = tau^2 / error^2 stands; 0 where there is no estimate."""
        if not _known(error):
            return 0.0
        if self.tau is None:
            return sharpest(level(self.alpha, self.looks))
        return min(self.tau / error, HUGE) ** 2


def tuned(planned_error: float, alpha: float = 0.05, looks: int = DAILY) -> Mixture:
    """The mixture that is sharpest at the planned end.

    Args:
        planned_error: standard error that the estimate is planned to have there (`power`). Wrong
            by a factor of two, it costs 3 to 7 % of the width.
        alpha: of the interval, two-sided.
        looks: planned.
    """
    return Mixture(planned_error * math.sqrt(sharpest(level(alpha, looks))), alpha, looks)


def steady(alpha: float = 0.05, looks: int = DAILY) -> Mixture:
    """The rule that has the lowest multiplier at every look, whatever the error is.

    Args:
        alpha: of the interval, two-sided.
        looks: planned; so many are covered whatever their dependence.
    """
    return Mixture(None, alpha, looks)


@lru_cache(maxsize=256)
def level(alpha: float, planned: int) -> float:
    """The largest level up to alpha at which so many looks err with chance alpha at most."""
    if _whatever(alpha, planned) <= alpha:
        return alpha
    low, high = math.log(alpha) - 50, math.log(alpha)
    for _ in range(60):
        middle = (low + high) / 2
        if _whatever(math.exp(middle), planned) <= alpha:
            low = middle
        else:
            high = middle
    return math.exp(low)


def looks(alpha: float) -> int:
    """Looks up to which the mixture at `alpha` holds whatever their dependence."""
    return int(alpha / _whatever(alpha, 1))


def _whatever(alpha: float, planned: int) -> float:
    """Bonferroni's bound on the chance that any of the looks reaches the lowest multiplier."""
    return planned * 2 * NORMAL.cdf(-lowest(alpha))


def sharpest(alpha: float) -> float:
    """The r at which b is lowest: b^2 is stationary where r = log(1 + r) - 2 log alpha."""
    r = 1.0
    for _ in range(40):  # a contraction: the slope of the right side is 1 / (1 + r)
        r = math.log1p(r) - 2 * math.log(alpha)
    return r


def lowest(alpha: float) -> float:
    """The smallest multiplier there is at this alpha; b^2 there is 1 + r."""
    return math.sqrt(1 + sharpest(alpha))


def fixed(alpha: float) -> float:
    """The multiplier of an interval that is looked at once."""
    return NORMAL.inv_cdf(1 - alpha / 2)


def student(z: float, freedom: int) -> float:
    """The multiplier that errs with so few degrees of freedom as z does with a known error."""
    return float(t.isf(NORMAL.cdf(-z), freedom))


def p_fixed(estimate: float, error: float) -> float:
    """Two-sided p of one planned look; NaN without an estimate."""
    if not error > 0:
        return NAN
    return 2 * NORMAL.cdf(-abs(estimate) / error)


def _known(error: float) -> bool:
    return error > 0 and math.isfinite(error)
