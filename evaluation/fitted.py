"""Yardsticks that learn: fitted on a bounded sample of the training days, newest days first."""

import warnings
from collections.abc import Iterator, Sequence
from datetime import date
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from evaluation.history import History
from evaluation.metrics import AnyArray, Floats
from evaluation.questions import matrix, tables
from features.schemas import PRICE_LEVELS
from infra.store import Store

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline

MAX_ITERATIONS = 50


def ranking(store: Store, days: Sequence[date], moments: int) -> "Pipeline | None":
    """Logistic regression of "any action" on the ranking features, weighted as equation (9).

    None where the training days hold one class only, or no candidate.
    """
    columns = ("cand_label", "cand_weight", "cand_features")
    parts = [
        (
            matrix(table["cand_features"]),
            pc.list_flatten(table["cand_label"]).to_numpy() > 0,
            pc.list_flatten(table["cand_weight"]).to_numpy(),
        )
        for table in _newest(store, days, columns, "cand_label", moments)
    ]
    if not parts:
        return None
    x, y, weight = (np.concatenate(column) for column in zip(*parts, strict=True))
    return _fit(x, y, weight)


def max_entropy(
    store: Store, days: Sequence[date], moments: int, level_of: AnyArray, c: float = 1.0
) -> "Pipeline | None":
    """Multinomial logistic regression of the price level on the user's price history (Section 6.5).

    None where the training days hold fewer than two levels.

    Args:
        store: where the samples are.
        days: the training days.
        moments: price questions, newest days first, at most.
        level_of: price level by catalog row; 0 where unknown.
        c: inverse of its L2.
    """
    columns = ("price_level", "seq_item", "seq_type")
    parts = [
        (History.of(table).price_levels(level_of), table["price_level"].to_numpy())
        for table in _newest(store, days, columns, "price_level", moments)
    ]
    if not parts:
        return None
    x, y = (np.concatenate(column) for column in zip(*parts, strict=True))
    return _fit(x, y.astype(np.int64) - 1, None, c)


def most_frequent_level(store: Store, days: Sequence[date]) -> int | None:
    """The commonest price level of the training days, 0-based; None where none asked a price."""
    count = np.zeros(PRICE_LEVELS, np.int64)
    for table in _all(store, days, ("price_level",)):
        level = pc.drop_null(table["price_level"]).to_numpy().astype(np.int64)
        count += np.bincount(level - 1, minlength=PRICE_LEVELS)[:PRICE_LEVELS]
    return int(count.argmax()) if count.any() else None


def icon_rates(store: Store, days: Sequence[date], smoothing: float) -> Floats:
    """Smoothed follow rate by icon row; the last entry is that of an icon never shown.

    Args:
        store: where the samples are.
        days: the training days.
        smoothing: times shown at the mean rate that each icon starts from.
    """
    shown, followed = np.zeros(1), np.zeros(1)
    for table in _all(store, days, ("icon", "icon_followed")):
        icon = pc.list_flatten(table["icon"]).to_numpy().astype(np.int64)
        hit = pc.list_flatten(table["icon_followed"]).to_numpy()
        size = max(len(shown), int(icon.max(initial=0)) + 1)
        shown = _grown(shown, size) + np.bincount(icon, minlength=size)
        followed = _grown(followed, size) + np.bincount(icon, hit, minlength=size)
    mean = followed.sum() / shown.sum() if shown.sum() else 0.0
    rates = (followed + smoothing * mean) / (shown + smoothing)
    return np.append(rates, mean)


def probability(fit: "Pipeline", x: AnyArray) -> Floats:
    """Probability of the second of two classes."""
    return np.asarray(fit.predict_proba(np.nan_to_num(x))[:, 1]) if len(x) else np.empty(0)


def said(fit: "Pipeline", x: AnyArray) -> AnyArray:
    """The likeliest class of every row."""
    return np.asarray(fit.predict(x)) if len(x) else np.empty(0, np.int64)


def _fit(x: AnyArray, y: AnyArray, weight: AnyArray | None, c: float = 1.0) -> "Pipeline | None":
    from sklearn.exceptions import ConvergenceWarning  # a second; many ask for the names alone
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    if len(np.unique(y if weight is None else y[weight > 0])) < 2:
        return None
    regression = LogisticRegression(C=c, solver="newton-cholesky", max_iter=MAX_ITERATIONS)
    fit = make_pipeline(StandardScaler(), regression)
    with warnings.catch_warnings():
        # A yardstick that stopped a little short of its optimum is still a yardstick.
        warnings.simplefilter("ignore", ConvergenceWarning)
        fit.fit(np.nan_to_num(x), y, logisticregression__sample_weight=weight)
    return fit


def _newest(
    store: Store, days: Sequence[date], columns: tuple[str, ...], asked: str, moments: int
) -> Iterator[pa.Table]:
    """Rows where `asked` is not null, newest day first, `moments` in all at most."""
    left = moments
    for table in _all(store, sorted(days, reverse=True), columns):
        rows = table.filter(pc.is_valid(table[asked])).slice(0, left)
        left -= rows.num_rows
        if rows.num_rows:
            yield rows.combine_chunks()
        if left <= 0:
            return


def _all(store: Store, days: Sequence[date], columns: tuple[str, ...]) -> Iterator[pa.Table]:
    for day in days:
        yield from tables(store, day, columns)


def _grown(values: Floats, size: int) -> Floats:
    return np.pad(values, (0, size - len(values)))
