"""Parts of the questions that are looked at on their own: who asked, where, and about what."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evaluation.metrics import Bools
from evaluation.questions import Moments, Questions
from features.schemas import PRICE_LEVELS, Scenario

GUARDED = ("scenario", "activity", "item")
"""Dimensions in which the gate lets no part become significantly worse."""


@dataclass(frozen=True)
class Context:
    """What is known of items and users beside the questions."""

    price_level: NDArray[np.int8]
    """Per catalog row: 1..7, 0 where unknown."""
    known_items: Bools
    """Per catalog row: whether the item was met by the last training day; later rows were not."""
    known_users: NDArray[np.uint64] | None = None
    """Hashes of the users of the training days, sorted; None: not known."""


@dataclass(frozen=True)
class Part:
    """One slice: a mask over candidates."""

    dimension: str
    name: str
    keep: Bools


def candidate_parts(
    questions: Questions, context: Context, activity_edges: tuple[int, ...]
) -> Iterator[Part]:
    """Every slice of the candidates, in the order to be shown."""
    moments, candidates = questions.moments, questions.candidates
    for dimension, name, keep in _moment_parts(moments, context, activity_edges):
        yield Part(dimension, name, keep[candidates.moment])
    known = context.known_items
    inside = candidates.item < len(known)
    new = ~(inside & known[np.where(inside, candidates.item, 0)])
    yield Part("item", "known before the day", ~new)
    yield Part("item", "new on the day", new)
    level = context.price_level[np.minimum(candidates.item, len(context.price_level) - 1)]
    for value in range(1, PRICE_LEVELS + 1):
        yield Part("price level", str(value), level == value)
    yield Part("price level", "unknown", level == 0)


def _moment_parts(
    moments: Moments, context: Context, edges: tuple[int, ...]
) -> Iterator[tuple[str, str, Bools]]:
    for scenario in Scenario:
        yield "scenario", scenario.name.lower(), moments.scenario == scenario
    bounds = [0, *edges]
    for low, high in zip(bounds, [*edges, None], strict=True):
        name = f"{low} or more" if high is None else _range(low, high - 1)
        above = moments.history >= low
        keep = above if high is None else above & (moments.history < high)
        yield "activity", f"{name} behaviours", keep
    if context.known_users is not None:
        known = np.isin(moments.user_hash, context.known_users)
        yield "user", "seen in training", known
        yield "user", "new", ~known


def _range(low: int, high: int) -> str:
    return str(low) if low == high else f"{low}-{high}"
