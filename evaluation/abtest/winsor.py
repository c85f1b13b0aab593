"""Winsorising: a few whales must not decide an experiment, and outcomes must not decide the cut.

Caps are quantiles of users' totals over the pre-period, both arms pooled, whether the users come
again or not. So they are settled before the first exposure and the same at every look: a cap drawn
from outcomes, or from who has come so far, would move what is estimated. A user's total over the
experiment so far is cut at the cap of a whole pre-period, so the pre-period should be about as long
as the experiment is planned to be; early looks are then hardly cut at all, never too much.

Money is cut at its cap. A user who was shown more items than the cap keeps his rate but not his
weight: impressions are cut, and clicks with them in proportion (a crawler with 50,000 impressions),
and his sales where they are counted per item shown; what he bought as a user stays.
What is estimated is the effect on the cut metrics, and reports say so.
"""

from dataclasses import dataclass, replace

import numpy as np

from evaluation.abtest.sufficient import Users
from evaluation.metrics import AnyArray

INFINITE = float("inf")


@dataclass(frozen=True)
class Caps:
    """Largest totals of a user that count."""

    impressions: float = INFINITE
    sales: float = INFINITE
    """In money."""


def caps(impressions: AnyArray, sales: AnyArray, quantile: float = 0.999) -> Caps:
    """Quantiles over the users with something in the pre-period; infinite where there are none.

    Sales: over the users who bought. Nobody is cut by a quantile of 1 or more.

    Args:
        impressions: of each user in the pre-period.
        sales: of each user in the pre-period.
        quantile: at which is cut.
    """
    if quantile >= 1:
        return Caps()
    return Caps(_cap(impressions, quantile), _cap(sales, quantile))


def cut(users: Users, at: Caps) -> Users:
    """The users with their totals, and those of the pre-period, cut at the caps."""
    weight, before = (
        np.minimum(1.0, at.impressions / np.maximum(column, 1e-300))
        for column in (users.impressions, users.pre_impressions)
    )
    return replace(
        users,
        impressions=users.impressions * weight,
        clicks=users.clicks * weight,
        kept=weight,
        pre_impressions=users.pre_impressions * before,
        pre_clicks=users.pre_clicks * before,
        sales=np.minimum(users.sales, at.sales),
        pre_sales=np.minimum(users.pre_sales, at.sales),
    )


def _cap(column: AnyArray, quantile: float) -> float:
    some = column[column > 0]
    return float(np.quantile(some, quantile, method="higher")) if len(some) else INFINITE
