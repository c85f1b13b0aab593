"""Ratio metrics and their delta method: the unit of assignment is the user, the metric's is not.

CTR is clicks over impressions, but users, not impressions, are drawn into arms. With per-user sums
y (part) and x (whole) of n users, R = sum y / sum x, and to first order

    R - r  =  mean of (y - R x) / mean(x)         each user's *pull* on the ratio
    var R  =  (s_yy - 2 R s_xy + R^2 s_xx) / (n mean(x)^2)

(Deng, Knoblich, Lu: Applying the delta method in metric analytics, KDD 2018). Pulls carry
everything: their variance is the ratio's, and regressing pulls on what was known before is CUPED
for ratios. A mean per user is the case x = 1.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from evaluation.metrics import NAN, AnyArray, Floats


@dataclass(frozen=True)
class Metric:
    """Sum of one column over the sum of another."""

    name: str
    title: str
    part: str
    whole: str = ""
    """"": one a user."""
    as_cut: str = ""
    """What of `Users` stands for `part` once totals are winsorised; "": `part` itself."""

    @property
    def counted(self) -> str:
        """The column of `Users` that is summed."""
        return self.as_cut or self.part


METRICS: Mapping[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric("ctr", "clicks per item shown", "clicks", "impressions"),
        Metric("sales", "sales per user", "sales"),
        Metric(
            "sales_per_impression", "sales per item shown", "sales", "impressions", "sales_as_shown"
        ),
        Metric("orders", "orders per user", "orders"),
        Metric("pages", "pages per user", "pages"),
        Metric("price_precision", "share of price levels right", "ppp_right", "ppp_asked"),
    )
}
"""All that can be compared; Table 3 is `ctr`, `sales` and `price_precision`."""
PRE = {
    "ctr": Metric("pre_ctr", "clicks per item shown before", "pre_clicks", "pre_impressions"),
    "sales": Metric("pre_sales", "sales per user before", "pre_sales"),
}
"""The same of the pre-period, where the arms must not differ."""


@dataclass(frozen=True)
class Ratio:
    """A ratio over users."""

    value: float
    variance: float
    """Of the ratio, by the delta method; NaN with fewer than two users."""
    users: int


def ratio(part: AnyArray, whole: AnyArray) -> Ratio:
    """sum(part) / sum(whole), one entry a user; NaN where the whole is nothing."""
    total = float(np.sum(whole))
    if not total > 0:
        return Ratio(NAN, NAN, len(part))
    pulls = pull(part, whole)
    return Ratio(float(np.sum(part)) / total, variance_of(pulls), len(part))


def pull(part: AnyArray, whole: AnyArray) -> Floats:
    """Each user's pull on the ratio: (y - R x) / mean(x), which is 0 on average."""
    y, x = np.asarray(part, np.float64), np.asarray(whole, np.float64)
    total = x.sum()
    value = y.sum() / total
    return np.asarray((y - value * x) * (len(x) / total))


def variance_of(pulls: Floats) -> float:
    """Variance of what has these pulls (whose mean is 0 or does not count)."""
    n = len(pulls)
    return float(pulls.var(ddof=1) / n) if n > 1 else NAN
