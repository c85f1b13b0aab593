"""When people shop: sessions in bursts, on a daily cycle, heavy-tailed over users.

A day is laid out as rounds: round r holds everybody's r-th page, so that thousands of people
advance by one page in one vectorised step while each person's pages follow one another in time.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from evaluation.marketplace.people import People
from evaluation.marketplace.world import Floats

DAY_MS = 86_400_000

AWAKE = (3.0, 1.4, 0.8, 0.5, 0.5, 0.8, 1.6, 2.6, 3.3, 4.0, 4.4, 4.6,
         4.2, 5.0, 5.0, 5.4, 5.3, 4.7, 5.0, 6.5, 7.8, 8.6, 7.6, 5.8)  # fmt: skip
"""Sessions by hour (percent): asleep at four, a plateau at work, and the couch at nine p.m."""

NEW_SESSION = 0.42
"""Chance that the next page of a day opens a new session: 2.8 pages a session, few long ones."""

RESTLESS = 1.7
"""Shape of the gamma that multiplies a user's pages from day to day: shopping comes in fits."""

MOST_PAGES = 60
"""Pages a day beyond which nobody goes (bots would; they are not shoppers)."""

ACTION_GAP_S, ACTION_GAP_SPREAD = 55.0, 1.3
"""Median and log standard deviation of seconds between two things one does: reading a page."""


@dataclass(frozen=True)
class Schedule:
    """Pages of one block and day, sorted by (round, user)."""

    user: NDArray[np.int64]
    round: NDArray[np.int64]
    opens: NDArray[np.bool_]  # first page of a session
    start_ms: NDArray[np.int64]  # of the session, relative to midnight

    def rounds(self) -> list[slice]:
        """One slice a round; at least one, so that an idle day has its (empty) columns too."""
        last = int(self.round[-1]) + 1 if len(self.round) else 1
        edges = np.searchsorted(self.round, np.arange(last + 1))
        return [slice(int(low), int(high)) for low, high in pairwise(edges)]


def schedule(
    rng: np.random.Generator, everybody: People, users: slice, pages_per_day: float, day: int
) -> Schedule:
    """How many pages each user of the block opens on the day, and when its sessions begin."""
    activity = everybody.activity[users] * (everybody.joined[users] <= day)
    mood = rng.gamma(RESTLESS, 1 / RESTLESS, len(activity))
    pages = np.minimum(rng.poisson(pages_per_day * activity * mood), MOST_PAGES)
    user = np.repeat(np.arange(len(pages)), pages)
    ordinal = np.arange(len(user)) - np.repeat(np.cumsum(pages) - pages, pages)
    opens = (ordinal == 0) | (rng.random(len(user)) < NEW_SESSION)
    session = np.cumsum(opens) - 1
    owner = user[opens]
    start = _hours(rng, owner, everybody.night[users])
    start = start[np.lexsort((start, owner))]  # a user's sessions in time order
    order = np.lexsort((user, ordinal))
    return Schedule(user[order], ordinal[order], opens[order], start[session][order])


def _hours(rng: np.random.Generator, owner: NDArray[np.int64], night: Floats) -> NDArray[np.int64]:
    cumulative = np.cumsum(AWAKE) / np.sum(AWAKE)
    hour = np.searchsorted(cumulative, rng.random(len(owner)), side="right")
    shifted = (np.minimum(hour, 23) + rng.random(len(owner)) + night[owner]) % 24
    return (shifted * (DAY_MS / 24)).astype(np.int64)


def gaps_ms(
    rng: np.random.Generator, count: int, median_s: float = ACTION_GAP_S
) -> NDArray[np.int64]:
    """Time between one action and the next."""
    drawn = rng.standard_normal(count)  # float64: the same milliseconds on every processor
    return (1000 * median_s * np.exp(ACTION_GAP_SPREAD * drawn)).astype(np.int64) + 1000
