"""A page as it is shown: candidates in the ranker's order, as many as fit on the screens."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evaluation.marketplace.policies import SIZES, WIDEST, Ranked, Ranker, Requests

SAID = ("arm", "price_level", "ctr", "l2r", "level")
"""What a ranker may say besides its scores (`Ranked`)."""


@dataclass(frozen=True)
class Filled:
    """Pages as shown; (pages, WIDEST) unless noted."""

    item: NDArray[np.int32]  # in the order shown
    shown: NDArray[np.bool_]
    rank: NDArray[np.int8]  # the place that each item would have without exploration
    said: dict[str, NDArray[Any]]  # what the ranker said besides, by its name; (pages,) or as item


def fill(rng: np.random.Generator, ranker: Ranker, requests: Requests) -> Filled:
    """Rank the candidates and show as many as fit."""
    size = np.zeros(len(requests.user), np.int64)
    for scenario, (fewest, most) in SIZES.items():
        rows = np.flatnonzero(requests.scenario == scenario)
        size[rows] = rng.integers(fewest, most + 1, len(rows))
    there = requests.candidates >= 0
    ranked = ranker.rank(requests, rng)
    order = np.argsort(-np.where(there, ranked.score, -np.inf), axis=1)[:, :WIDEST]
    item = np.take_along_axis(requests.candidates, order, 1)
    shown = (np.arange(WIDEST) < size[:, None]) & (item >= 0)
    sober = np.take_along_axis(ranked.sober, order, 1)
    sober = np.where(shown, -sober, np.inf)
    rank = np.argsort(np.argsort(sober, axis=1), axis=1).astype(np.int8)
    return Filled(item, shown, rank, _said(ranked, order))


def _said(ranked: Ranked, order: NDArray[np.int64]) -> dict[str, NDArray[Any]]:
    """What the ranker said besides, in the order shown."""
    given = {name: getattr(ranked, name) for name in SAID}
    return {
        name: values if values.ndim == 1 else np.take_along_axis(values, order, 1)
        for name, values in given.items()
        if values is not None
    }
