"""One metric of two arms: relative uplift and difference, with both kinds of intervals.

The uplift is treatment over control minus one; it is estimated on the log of the ratio of the two
ratios (delta method there: log R has the pulls of R, divided by R), so that an interval never falls
below -100 % and swapping the arms turns its sign. The difference is in the metric's own unit. CUPED
adjusts both. An arm that has nothing where the control has something has no logarithm, and is the
worst that can happen: its uplift is -100 %, judged by the chance of that. Decisions rest on the
uplift; the always-valid multiplier that its error gives is used for the difference too, so that the
two never look at different clocks.
"""

import math
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri_exp

from evaluation.abtest import always_valid
from evaluation.abtest.always_valid import Mixture
from evaluation.abtest.cuped import adjust, covariates
from evaluation.abtest.ratios import Metric, pull, ratio, variance_of
from evaluation.abtest.sufficient import Users
from evaluation.metrics import Bools, Floats
from evaluation.results import Record, finite

FEWEST = 150
"""Users in an arm below which nothing is said: z is not normal yet. In A/A worlds of heavy-tailed
users whose smaller arm is 5 or 10 % of them, a difference in sales is ever declared in 2 to 4 % of
the experiments from here on, in 4 to 5 % from 100 users on, in 12 % where some 25 are enough."""

FEWEST_HAVING = 40
"""Users who have any of a metric, of whom so many are the smaller arm's by its size: with fewer
nothing is said, as z is made by them. In A/A worlds of rare orders with 5 to 50 % treated, sales
are ever declared to differ in up to 9 % of the experiments where any order is enough, at the alpha
of a guardrail (1.7 %) in 4 %; from here on in up to 3.2 and 1.5 %, from 30 on in 4.1 and 1.8 %. Not
how many the smaller arm has: one that lost its buyers would never be judged."""

NOTHING = "nothing of it was counted in an arm yet."
BELOW_ZERO = (
    "an arm's sum of it is not above zero, since some of its users have less than nothing: no "
    "uplift can be formed."
)


class Bounds(Record):
    """An estimate, its always-valid interval, and the one that holds for a single planned look."""

    value: float | None
    low: float | None = None
    high: float | None = None
    fixed_low: float | None = None
    fixed_high: float | None = None
    alpha: float | None = None
    """Error rate of either interval, two-sided; null without one."""

    @property
    def at_level(self) -> str:
        """` at 98.33 %`, to follow the word interval; "" where it is not known."""
        return "" if self.alpha is None else f" at {100 * (1 - self.alpha):.4g} %"


class Effect(Record):
    """What the treatment does to one metric."""

    metric: str
    title: str
    users: tuple[int, int]
    """Of the control and of the treatment."""
    control: float | None
    """Not adjusted (CUPED), but of totals that were cut at the caps."""
    treatment: float | None
    uplift: Bounds
    """Relative: 0.02 is +2 %."""
    difference: Bounds
    """In the metric's unit."""
    error: float | None = None
    """Standard error of the log uplift, clustered by user, adjusted; of the uplift, if it is -1."""
    p_fixed: float | None = None
    p_always: float | None = None
    """Valid at whatever look the experiment stops."""
    kept_variance: float | None = None
    """Variance of the log uplift after CUPED over that before."""
    reason: str | None = None
    """Why there is no estimate."""

    @property
    def better(self) -> bool:
        """The always-valid interval of the uplift lies above zero."""
        return self.uplift.low is not None and self.uplift.low > 0

    @property
    def worse(self) -> bool:
        """It lies below zero."""
        return self.uplift.high is not None and self.uplift.high < 0


def uplift(log: float) -> float | None:
    """Of the log of a ratio, the ratio less one; None past all numbers (exp(700) is near them)."""
    return finite(math.expm1(log)) if log < 700 else None


def percent(share: float | None) -> str:
    """`+2.10%`; what is over ten times as much, or past all numbers (None), is `over +1000%`."""
    return "over +1000%" if share is None or share > 10 else f"{share:+.2%}"


@dataclass(frozen=True)
class Contrast:
    """An estimate and its standard error, before any interval."""

    value: float
    error: float
    raw_error: float
    """Before CUPED."""


@dataclass(frozen=True)
class Contrasts:
    """Both contrasts of a metric, and the arms' own figures."""

    control: float
    treatment: float
    log_uplift: Contrast
    difference: Contrast


def compare(
    users: Users, metric: Metric, mixture: Mixture, *, treatment: int = 1, adjusted: bool = True
) -> Effect:
    """Arm `treatment` against arm 0.

    Args:
        users: sums up to the look, of all arms; winsorised if that is wanted (`winsor.cut`).
        metric: of `ratios.METRICS`.
        mixture: the always-valid rule; its alpha is the fixed interval's too.
        treatment: index of the arm.
        adjusted: with CUPED.
    """
    pair = users if users.arm.max(initial=0) <= 1 == treatment else _pair(users, treatment)
    treated = pair.arm == treatment
    sizes = int((~treated).sum()), int(treated.sum())
    part, whole = pair.column(metric.counted), pair.column(metric.whole)
    reason = too_little(part, whole, treated)
    if reason == NOTHING and emptied(part, whole, treated):
        return _effect_of_none(metric, sizes, part, whole, treated, mixture)
    if reason:
        nothing = Bounds(value=None)
        arms = [_plain(part[side], whole[side]) for side in (~treated, treated)]
        return Effect(
            metric=metric.name, title=metric.title, users=sizes, control=arms[0],
            treatment=arms[1], uplift=nothing, difference=nothing, reason=reason,
        )  # fmt: skip
    found = contrasts(part, whole, treated, covariates(pair) if adjusted else None)
    return _effect(metric, sizes, found, mixture)


def contrasts(
    part: Floats, whole: Floats, treated: Bools, known: Floats | None = None
) -> Contrasts:
    """Log uplift and difference with their errors; every arm must have a positive ratio.

    Args:
        part: of each user.
        whole: of each user.
        treated: whether he is in the treatment.
        known: covariates x users for CUPED, or none.
    """
    ratios = np.zeros(2)
    pulls = np.zeros((2, len(part)))  # of log R, of R
    for arm, side in enumerate((~treated, treated)):
        y, x = part[side], whole[side]
        ratios[arm] = y.sum() / x.sum()
        pulls[1, side] = pull(y, x)
        pulls[0, side] = pulls[1, side] / ratios[arm]
    raw = _errors(pulls, treated)
    shift, error = np.zeros((2, 2)), raw
    if known is not None:
        adjustment = adjust(pulls, treated, known)
        shift, error = adjustment.shift, _errors(adjustment.pulls, treated)
    values = np.array([np.log(ratios[1] / ratios[0]), ratios[1] - ratios[0]])
    values += shift[:, 1] - shift[:, 0]
    both = [Contrast(float(values[i]), float(error[i]), float(raw[i])) for i in (0, 1)]
    return Contrasts(float(ratios[0]), float(ratios[1]), both[0], both[1])


def _errors(pulls: Floats, treated: Bools) -> Floats:
    arms = (~treated, treated)
    return np.sqrt([sum(variance_of(row[side]) for side in arms) for row in pulls])


def _effect(metric: Metric, sizes: tuple[int, int], found: Contrasts, mixture: Mixture) -> Effect:
    log, difference = found.log_uplift, found.difference
    always = mixture.multiplier(log.error)
    return Effect(
        metric=metric.name,
        title=metric.title,
        users=sizes,
        control=found.control,
        treatment=found.treatment,
        uplift=_bounds(log, always, mixture.alpha, relative=True),
        difference=_bounds(difference, always, mixture.alpha, relative=False),
        error=log.error,
        p_fixed=finite(always_valid.p_fixed(log.value, log.error)),
        p_always=mixture.p_value(log.value, log.error),
        kept_variance=(log.error / log.raw_error) ** 2,
    )


def emptied(part: Floats, whole: Floats, treated: Bools) -> bool:
    """Whether the treatment has nothing where the control has something, and could have had it."""
    counted = part[~treated].sum() > 0 and whole[~treated].sum() > 0
    return bool(counted and whole[treated].sum() > 0 and not part[treated].any())


def error_of_none(part: Floats, whole: Floats, treated: Bools) -> float:
    """Of the -100 % of an `emptied` treatment, in units of the control's ratio.

    An arm without an event is not known without error. What speaks against chance is that all users
    who have any are the control's. Without an effect that has the chance share^k for k of them,
    where share is the control's, of the users who could have any or of what they had it in,
    whichever is larger (2^-k in equal arms). The error is the one whose z has that two-sided p.
    """
    could = whole > 0
    share = max(could[~treated].sum() / could.sum(), whole[~treated].sum() / whole.sum())
    chance = np.count_nonzero(part) * math.log(share)  # of its log: it may be past all numbers
    return 1 / max(float(-ndtri_exp(chance - math.log(2))), 1e-9)


def uplift_of_none(error: float, alpha: float) -> Bounds:
    """-100 %, with the interval for one look, in units of the control's ratio."""
    reach = always_valid.fixed(alpha) * error
    return Bounds(value=-1.0, fixed_low=-1.0, fixed_high=finite(reach - 1), alpha=alpha)


def _effect_of_none(
    metric: Metric, sizes: tuple[int, int], part: Floats, whole: Floats, treated: Bools,
    mixture: Mixture,
) -> Effect:  # fmt: skip
    control = ratio(part[~treated], whole[~treated])
    error = error_of_none(part, whole, treated)
    spread = max(error * control.value, math.sqrt(control.variance))
    difference = Contrast(-control.value, spread, spread)
    always = mixture.multiplier(error)
    at_any = {"low": -1.0, "high": finite(always * error - 1)}
    return Effect(
        metric=metric.name,
        title=metric.title,
        users=sizes,
        control=control.value,
        treatment=0.0,
        uplift=uplift_of_none(error, mixture.alpha).model_copy(update=at_any),
        difference=_bounds(difference, always, mixture.alpha, relative=False),
        error=error,
        p_fixed=finite(always_valid.p_fixed(-1.0, error)),
        p_always=mixture.p_value(-1.0, error),
    )


def _bounds(at: Contrast, always: float, alpha: float, *, relative: bool) -> Bounds:
    once = always_valid.fixed(alpha)

    def point(z: float) -> float | None:
        value = at.value + z * at.error
        return uplift(value) if relative else finite(value)

    return Bounds(
        value=point(0), low=point(-always), high=point(always),
        fixed_low=point(-once), fixed_high=point(once), alpha=alpha,
    )  # fmt: skip


def too_little(part: Floats, whole: Floats, treated: Bools) -> str | None:
    """Why nothing can be said yet of part over whole, one entry a user; None: it can."""
    sizes = int((~treated).sum()), int(treated.sum())
    if min(sizes) < FEWEST:
        return f"fewer than {FEWEST} users in an arm."
    for side in (~treated, treated):
        if not (whole[side].sum() > 0 and part[side].sum() > 0):
            return BELOW_ZERO if part[side].min(initial=0) < 0 else NOTHING
        if np.ptp(pull(part[side], whole[side])) == 0:
            return "all users of an arm are alike in it: there is no spread to judge by."
    having = math.floor(np.count_nonzero(part) * min(sizes) / sum(sizes))
    if having < FEWEST_HAVING:
        return (
            f"too few users have any of it yet: the smaller arm's part of them is {having} of "
            f"{FEWEST_HAVING}. Wait, or declare an experiment that gives it a larger share."
        )
    return None


def _plain(part: Floats, whole: Floats) -> float | None:
    total = whole.sum()
    return float(part.sum() / total) if total > 0 else None


def _pair(users: Users, treatment: int) -> Users:
    return users.take((users.arm == 0) | (users.arm == treatment))
