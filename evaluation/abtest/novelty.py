"""The effect on each day of the experiment, and whether it fades.

A new thing is looked at because it is new. Every day's uplift uses that day's rows only; they
share users, so the trend's error is not made from the days' errors: the trend is a weighted sum of
the days' log uplifts, hence a sum of one pull per user, whose variance is clustered by user. The
trend test is right for one look; it warns, and decides nothing. A day of too few users has no
interval (`effect.FEWEST`: z is not normal yet) and no part in the trend. A day on which the
treatment has nothing where the control has something is -100 %, as in `effect`; that has no
logarithm, so it is in no trend either.
"""

from dataclasses import dataclass

import numpy as np

from evaluation.abtest import always_valid
from evaluation.abtest.effect import (
    FEWEST,
    Bounds,
    emptied,
    error_of_none,
    uplift,
    uplift_of_none,
)
from evaluation.abtest.ratios import Metric
from evaluation.abtest.sufficient import UserDays
from evaluation.metrics import NAN, Bools, Floats
from evaluation.results import Record, finite


class Day(Record):
    """One day of the experiment."""

    number: int
    """1 is the first."""
    users: int
    uplift: Bounds
    """Of that day alone; fixed-horizon bounds only, none below `FEWEST` users in an arm."""


class Novelty(Record):
    """Days, and what becomes of the effect over them."""

    metric: str
    days: tuple[Day, ...]
    trend: float | None
    """Change of the log uplift per day; null with fewer than three days of enough users."""
    error: float | None = None
    p: float | None = None
    """Two-sided, of no trend, at one look."""

    @property
    def change(self) -> float | None:
        """The trend in per cent of the day before, as uplifts are: 0.02 is +2 %."""
        return None if self.trend is None else uplift(self.trend)


@dataclass(frozen=True)
class _Daily:
    """Per day the log uplift and its variance; per row its pull on its day's log uplift."""

    value: Floats
    variance: Floats
    pull: Floats
    fewest: Floats
    """Per day the users of the smaller arm."""


def by_day(rows: UserDays, metric: Metric, *, alpha: float = 0.05, treatment: int = 1) -> Novelty:
    """Uplift per day and its trend, arm `treatment` against arm 0.

    A metric per user is one per user *of that day* here.
    """
    mine = (rows.arm == 0) | (rows.arm == treatment)
    day, place, treated = rows.day[mine], rows.place[mine], rows.arm[mine] == treatment
    number = int(day.max()) + 1 if len(day) else 0
    part, whole = rows.sums[metric.part][mine], rows.sums[metric.whole][mine]
    daily = _daily(part, whole, treated, day, number)
    enough = daily.fewest >= FEWEST
    error = np.where(enough, np.sqrt(daily.variance), NAN)
    bounds = [_bounds(value, of, alpha) for value, of in zip(daily.value, error, strict=True)]
    for d in np.flatnonzero(~np.isfinite(daily.value)):
        here = day == d
        bounds[d] = _without_log(part[here], whole[here], treated[here], alpha, bool(enough[d]))
    days = tuple(
        Day(number=d + 1, users=int((day == d).sum()), uplift=bounds[d]) for d in range(number)
    )
    known = np.isfinite(daily.value) & (daily.variance > 0) & enough
    if known.sum() < 3:
        return Novelty(metric=metric.name, days=days, trend=None)
    weight = _slope(known, daily.variance)
    per_user = np.bincount(place, weight[day] * np.nan_to_num(daily.pull), minlength=rows.number)
    trend = float((weight[known] * daily.value[known]).sum())
    spread = float(np.sqrt((per_user**2).sum()))
    return Novelty(
        metric=metric.name, days=days, trend=trend, error=spread,
        p=finite(always_valid.p_fixed(trend, spread)),
    )  # fmt: skip


def _daily(part: Floats, whole: Floats, treated: Bools, day: Floats, number: int) -> _Daily:
    value, variance, pulls = np.zeros(number), np.zeros(number), np.zeros(len(part))
    fewest = np.full(number, np.inf)
    for sign, side in ((1.0, treated), (-1.0, ~treated)):
        y, x, d = part[side], whole[side], day[side]
        total_y, total_x = (np.bincount(d, column, minlength=number) for column in (y, x))
        count = np.bincount(d, minlength=number)
        fewest = np.minimum(fewest, count)
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = total_y / total_x
            value += sign * np.log(np.where(ratio > 0, ratio, NAN))
            own = (y - ratio[d] * x) / total_y[d]  # of log R, as a share of the whole day
            small = count / (count - 1)
        pulls[side] = sign * own
        variance += np.bincount(d, own**2, minlength=number) * small
    return _Daily(value, variance, pulls, fewest)


def _slope(known: Bools, variance: Floats) -> Floats:
    """Weights of the days in the weighted least-squares slope; 0 for days without an uplift."""
    weight = np.where(known, 1 / np.where(known, variance, 1.0), 0.0)
    day = np.arange(len(known), dtype=np.float64)
    centred = day - (weight * day).sum() / weight.sum()
    return np.asarray(weight * centred / (weight * centred**2).sum())


def _without_log(part: Floats, whole: Floats, treated: Bools, alpha: float, enough: bool) -> Bounds:
    """Of a day on which an arm has nothing: -100 % if it is the treatment alone, else unknown."""
    if not emptied(part, whole, treated):
        return Bounds(value=None)
    if not enough:
        return Bounds(value=-1.0)
    return uplift_of_none(error_of_none(part, whole, treated), alpha)


def _bounds(value: float, error: float, alpha: float) -> Bounds:
    reach = always_valid.fixed(alpha) * error
    low, at, high = (finite(float(np.expm1(v))) for v in (value - reach, value, value + reach))
    if not np.isfinite(reach):
        return Bounds(value=at)
    return Bounds(value=at, fixed_low=low, fixed_high=high, alpha=alpha)
