"""Who is held out on a day: a share of the users, drawn afresh every day by a day-salted hash.

Their moments judge the night's candidate and join the next night's training. The draw needs no
list to be kept and no order to be agreed on: whoever knows the day and the share knows the users.
"""

from datetime import date

import numpy as np
from numpy.typing import NDArray


def held_out(user_hash: NDArray[np.uint64], day: date, share: float) -> NDArray[np.bool_]:
    """Which users are held out on `day`; a larger share holds out the same users and more.

    Args:
        user_hash: of each user (`features.buckets.hash_ids`).
        day: salts the draw.
        share: 0 (nobody) to 1 (everybody).
    """
    if share >= 1:
        return np.ones(len(user_hash), np.bool_)
    salt = _mixed(np.array([day.toordinal()], np.uint64))
    drawn = _mixed(user_hash ^ salt)
    return np.asarray(drawn < np.uint64(int(max(share, 0.0) * 2**64)))


def _mixed(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """SplitMix64's finaliser: every bit of the input moves half of the output's bits."""
    with np.errstate(over="ignore"):
        mixed = values + np.uint64(0x9E3779B97F4A7C15)
        mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(mixed ^ (mixed >> np.uint64(31)), np.uint64)
