"""One random stream per purpose, day and block of users, all from one seed.

A day's stream does not depend on which days were generated before in this process, so that days
0..9 followed later by day 10 give the bytes of days 0..10 at once.
"""

from enum import IntEnum

import numpy as np


class Purpose(IntEnum):
    """What a stream is for; the numbers are part of the world and never change."""

    WORLD = 1
    BIRTHS = 2
    PEOPLE = 3
    DRIFT = 4
    RECALL = 5
    DAY = 6
    DIRT = 7
    SPOIL = 8


def stream(seed: int, purpose: Purpose, *keys: int) -> np.random.Generator:
    """The generator of one purpose (and day, and block of users)."""
    sequence = np.random.SeedSequence(seed, spawn_key=(int(purpose), *keys))
    return np.random.Generator(np.random.SFC64(sequence))
