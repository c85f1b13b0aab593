"""Arms side by side on one marketplace: each user's pages are ranked by the user's own arm.

Users are split by `features.abtest.assignment`, the hash that serving uses, so the read-out of a
closed loop meets the same arms as that of a real one. An arm hears of its own users' actions only.
What arms share cannot be parted: the shop's click counters, recall, item statistics and the
training log hold everybody's behaviour. Twin worlds (everybody in one arm) are free of that.

A page ranked without chance teaches little: what is low is never seen. `Exploring` deals a share of
an arm's pages at random; the logging policy has its own noise.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from evaluation.marketplace import words
from evaluation.marketplace.policies import PROPOSALS, Actions, Ranked, Ranker, Requests
from evaluation.marketplace.world import Floats
from features.abtest.assignment import arms as arms_of


@dataclass(frozen=True, kw_only=True)
class Stamp:
    """What an exposure says of the arm that ranked it (as `serving.exposures` does)."""

    variant: str
    model_version: str = ""
    line: str = ""


@dataclass(frozen=True)
class Arm:
    """One arm of a day."""

    stamp: Stamp
    ranker: Callable[[Floats], Ranker]
    """Made from the items' popularity score, which is all that the logging policy knows."""
    exploration: float = 0.0
    """Share of its pages that are dealt at random."""
    shuffled: bool = False
    """Whether its scores change places within each page (`Shuffled`)."""


def assignment(users: int, salt: str, shares: Mapping[str, float]) -> NDArray[np.int8]:
    """The number of each user's arm, in the order of `shares` (arm -> share, adding up to 1)."""
    ids = words.ids("u", 7, np.arange(users)).to_arrow().cast(pa.string())
    names = np.array(list(shares))
    return (arms_of(ids, salt, shares)[:, None] == names).argmax(axis=1).astype(np.int8)


def ranking(arm_of: NDArray[np.int8], arms: Sequence[Arm]) -> str:
    """Who ranks a day, in words that differ where the arms or their users do."""
    users = hashlib.sha256(arm_of.tobytes()).hexdigest()[:8]
    return f"arms {' and '.join(_said(arm) for arm in arms)} (users {users})"


class Split:
    """A ranker that asks each user's own arm.

    Args:
        arm_of: number of each user's arm, by user number.
        rankers: by arm number.
    """

    def __init__(self, arm_of: NDArray[np.int8], rankers: Sequence[Ranker]) -> None:
        self.arm_of = arm_of
        self.rankers = rankers

    @staticmethod
    def of(arm_of: NDArray[np.int8], arms: Sequence[Arm]) -> "Callable[[Floats], Split]":
        """What `play` takes for a day with these arms."""
        return lambda popularity: Split(arm_of, [_made(arm, popularity) for arm in arms])

    def rank(self, requests: Requests, rng: np.random.Generator) -> Ranked:
        """See `Ranker`; what an arm does not say is NaN, or 0 for levels."""
        arm = self.arm_of[requests.user]
        parts = [
            (rows, self.rankers[index].rank(_pages(requests, rows), rng))
            for index in range(len(self.rankers))
            if len(rows := np.flatnonzero(arm == index))
        ]
        return replace(_joined(requests.candidates.shape, parts), arm=arm)

    def observe(self, actions: Actions) -> None:
        """See `Ranker`."""
        arm = self.arm_of[actions.user]
        for index, ranker in enumerate(self.rankers):
            mine = arm == index
            if mine.any():
                given = {name: values[mine] for name, values in vars(actions).items()}
                ranker.observe(Actions(**given))


@dataclass(frozen=True)
class Exploring:
    """Another ranker, but for a share of pages whose candidates are dealt at random."""

    ranker: Ranker
    share: float

    def rank(self, requests: Requests, rng: np.random.Generator) -> Ranked:
        """See `Ranker`."""
        ranked = self.ranker.rank(requests, rng)
        dealt = rng.random(len(requests.user)) < self.share
        score = np.where(dealt[:, None], rng.random(ranked.score.shape), ranked.score)
        return replace(ranked, score=score.astype(np.float32))

    def observe(self, actions: Actions) -> None:
        """See `Ranker`."""
        self.ranker.observe(actions)


@dataclass(frozen=True)
class Shuffled:
    """Another ranker whose scores change places within each page: a bad arm that looks healthy.

    Where an item lands is chance, as in exploration, so the truth is marginalised over it: what is
    sober is the other ranker's.
    """

    ranker: Ranker

    def rank(self, requests: Requests, rng: np.random.Generator) -> Ranked:
        """See `Ranker`; what it says of clicks and levels is left as it is."""
        ranked = self.ranker.rank(requests, rng)
        place = rng.permuted(np.tile(np.arange(PROPOSALS), (len(requests.user), 1)), axis=1)
        dealt = np.take_along_axis(ranked.score, place, 1)
        return replace(ranked, score=dealt)

    def observe(self, actions: Actions) -> None:
        """See `Ranker`."""
        self.ranker.observe(actions)


def _made(arm: Arm, popularity: Floats) -> Ranker:
    ranker = arm.ranker(popularity)
    ranker = Shuffled(ranker) if arm.shuffled else ranker
    return Exploring(ranker, arm.exploration) if arm.exploration > 0 else ranker


def _said(arm: Arm) -> str:
    stamp = arm.stamp
    who = f"{stamp.line} {stamp.model_version}".strip()
    explores = f", {arm.exploration:g} at random" if arm.exploration else ""
    return f"{stamp.variant} = {who}{', shuffled' if arm.shuffled else ''}{explores}"


def _pages(requests: Requests, rows: NDArray[np.int64]) -> Requests:
    return Requests(
        user=requests.user[rows],
        ts=requests.ts[rows],
        scenario=requests.scenario[rows],
        queries=requests.queries.rows(rows),
        candidates=requests.candidates[rows],
    )


def _joined(shape: tuple[int, ...], parts: Sequence[tuple[NDArray[np.int64], Ranked]]) -> Ranked:
    """Answers about some pages each, put where the pages stand."""
    whole: dict[str, NDArray[Any]] = {
        "score": np.zeros(shape, np.float32),
        "sober": np.zeros(shape, np.float32),
        "ctr": np.full(shape, np.nan, np.float32),
        "l2r": np.full(shape, np.nan, np.float32),
        "price_level": np.zeros(shape[0], np.int8),
        "level": np.zeros(shape, np.int8),
    }
    for rows, ranked in parts:
        for name, values in whole.items():
            given = getattr(ranked, name)
            if given is not None:
                values[rows] = given
    return Ranked(**whole)
