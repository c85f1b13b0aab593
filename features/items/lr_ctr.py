"""LR-CTR: a logistic regression on item-side statistics, Table 1's "CTR Prediction".

Every night's weights are trained on that day's shown items with the statistics of the day before,
pulled towards yesterday's weights, and published as data. Scoring is one matrix product in NumPy,
the same offline (samples) and online (serving). All inputs have a fixed scale, so that weights of
different nights can be compared and can serve as each other's prior.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]  # ships no types

from features.items.counts import Counts, Overall

logger = logging.getLogger(__name__)

Weights = NDArray[np.float64]

STEPS = 100
"""Of Newton's method, at most; a day needs some six, one after a day of another kind fifteen."""

LR_CTR = pa.schema([("feature", pa.string()), ("weight", pa.float64())])
"""`statistics/dt=D/lr_ctr`, in the order of FEATURES."""

FEATURES = (
    "intercept",
    "impressions",
    "clicks",
    "bookmarks",
    "carts",
    "purchases",
    "sales",
    "ctr",
    "cvr",
    "shop_clicks",
    "shop_ctr",
    "brand_clicks",
    "brand_ctr",
    "category_clicks",
    "category_ctr",
    "freshness",
    "unseen",
    "price_level",
)


@dataclass(frozen=True, kw_only=True)
class ItemSide:
    """What the regression looks at; arrays of one length."""

    item: Counts
    shop: Counts
    brand: Counts
    category: Counts
    age_days: NDArray[np.int32]
    """Days since the item was first seen; -1 where it never was."""
    price_level: NDArray[np.int8]
    overall: Overall


def design(side: ItemSide) -> NDArray[np.float64]:
    """One row an item, one column per name in FEATURES; entries are of order one."""
    seen = side.age_days >= 0
    columns: Mapping[str, NDArray[np.generic]] = {
        "intercept": np.ones(len(seen)),
        **{
            name: _volume(getattr(side.item, name))
            for name in ("impressions", "clicks", "bookmarks", "carts", "purchases", "sales")
        },
        "ctr": _rate(side.overall.click_through(side.item)),
        "cvr": _rate(side.overall.conversion(side.item)),
        "shop_clicks": _volume(side.shop.clicks),
        "shop_ctr": _rate(side.overall.click_through(side.shop)),
        "brand_clicks": _volume(side.brand.clicks),
        "brand_ctr": _rate(side.overall.click_through(side.brand)),
        "category_clicks": _volume(side.category.clicks),
        "category_ctr": _rate(side.overall.click_through(side.category)),
        "freshness": np.where(seen, 1.0 / (1.0 + np.maximum(side.age_days, 0)), 0.0),
        "unseen": ~seen,
        "price_level": side.price_level / 7.0,
    }
    return np.column_stack([np.asarray(columns[name], np.float64) for name in FEATURES])


def _volume(count: NDArray[np.float32]) -> NDArray[np.float64]:
    return np.log1p(count.astype(np.float64)) / 5.0


def _rate(rate: NDArray[np.float32]) -> NDArray[np.float64]:
    """Log of the rate, 0 at 1 %; a thousandth is added so that 0 has a place."""
    return np.log((rate.astype(np.float64) + 1e-3) / 1.1e-2)


def score(x: NDArray[np.float64], weights: Weights) -> NDArray[np.float32]:
    """Probability of a click for each row of `design`."""
    return _sigmoid(x @ weights).astype(np.float32)


def fit(
    x: NDArray[np.float64],
    clicked: NDArray[np.float64],
    shown: NDArray[np.float64],
    prior: Weights,
    l2: float,
) -> Weights:
    """Weights that minimise log loss + l2/2 |w - prior|^2, by Newton's method (IRLS).

    A column in which all rows are alike tells nothing but how often is clicked at all, which the
    intercept tells: it keeps its prior. On the first day with pages no rate is known and all are
    alike; with a part of the intercept in their weights, the day after, whose rates are known,
    would be scored as many times as likely to be clicked.

    Args:
        x: one row per distinct item, of which the first column is the intercept's.
        clicked: how often each was clicked.
        shown: how often each was shown, at least `clicked`.
        prior: yesterday's weights (zeros on the first day).
        l2: strength of the pull towards `prior`; over 0, in displays.
    """
    told = (x != x[:1]).any(axis=0)
    told[0] = True
    held = np.where(told, 0.0, prior)
    weights = prior.astype(np.float64)
    with threadpool_limits(1, "blas"):  # beside other work, BLAS threads cost seconds in spinning
        weights[told] = _newton(x[:, told], clicked, shown, weights[told], l2, x @ held)
    return np.round(weights, 9)


def _newton(
    x: NDArray[np.float64],
    clicked: NDArray[np.float64],
    shown: NDArray[np.float64],
    prior: Weights,
    l2: float,
    offset: NDArray[np.float64],
) -> Weights:
    """The minimum, of which every step is halved until the loss falls.

    Where yesterday's weights are sure, curvature does not say how far to go: whole steps may swing
    from one extreme to the other for ever.
    """

    def loss_at(weights: Weights) -> float:
        z = x @ weights + offset
        surprise = np.where(z > 0, shown - clicked, clicked) * np.abs(z)
        lost = shown * np.log1p(np.exp(-np.abs(z))) + surprise  # no difference of large numbers
        return float(lost.sum()) + l2 / 2 * float(((weights - prior) ** 2).sum())

    weights, loss = prior.copy(), loss_at(prior)
    for _ in range(STEPS):
        probability = _sigmoid(x @ weights + offset)
        gradient = x.T @ (shown * probability - clicked) + l2 * (weights - prior)
        curvature = shown * probability * (1 - probability)
        hessian = (x * curvature[:, None]).T @ x + l2 * np.eye(x.shape[1])
        step = np.linalg.solve(hessian, gradient)
        fall, rounding = float(gradient @ step), 1e-12 * loss
        settled = np.abs(step).max() < 1e-9 or fall < 1e-3 * rounding
        while (then := loss_at(weights - step)) > loss - 1e-4 * fall + rounding:
            step, fall = step / 2, fall / 2
        weights, loss = weights - step, then
        if settled:
            return weights
    logger.warning(
        "LR-CTR: the weights still moved by %.2g after %d steps, so what they say of clicks may be"
        " far off. Look at the day's clicks.",
        np.abs(step).max(),
        STEPS,
    )
    return weights


def table(weights: Weights) -> pa.Table:
    """The weights as they are published."""
    return pa.table({"feature": list(FEATURES), "weight": weights}, schema=LR_CTR)


def of_table(rows: pa.Table) -> Weights:
    """Weights in the order of FEATURES; 0 for a feature that the table does not know."""
    known = dict(
        zip(rows.column("feature").to_pylist(), rows.column("weight").to_pylist(), strict=True)
    )
    return np.array([known.get(name, 0.0) for name in FEATURES])


def _sigmoid(x: NDArray[np.float64]) -> NDArray[np.float64]:
    return 0.5 * (1.0 + np.tanh(0.5 * x))
