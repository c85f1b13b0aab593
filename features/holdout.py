"""Who is held out on a day: a share of the users, drawn afresh every day by a day-salted hash.

Their moments judge the night's candidate and join the next night's training. The draw needs no
list to be kept and no order to be agreed on: whoever knows the day and the share knows the users.
"""

from datetime import date

import numpy as np
from numpy.typing import NDArray

from features.draws import mix


def held_out(user_hash: NDArray[np.uint64], day: date, share: float) -> NDArray[np.bool_]:
    """Which users are held out on `day`; a larger share holds out the same users and more.

    Args:
        user_hash: of each user (`features.buckets.hash_ids`).
        day: salts the draw.
        share: 0 (nobody) to 1 (everybody).
    """
    if share >= 1:
        return np.ones(len(user_hash), np.bool_)
    salt = mix(np.array([day.toordinal()], np.uint64))
    drawn = mix(user_hash ^ salt)
    return np.asarray(drawn < np.uint64(int(max(share, 0.0) * 2**64)))
