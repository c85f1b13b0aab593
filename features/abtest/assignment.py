"""Which arm a user is in: a stable hash of the user and a salt, the same in serving and analysis.

A user stays in an arm as long as salt and shares stand. Another salt draws afresh, independently of
every other experiment.
"""

from collections.abc import Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from features.buckets import hash_ids
from infra.errors import ConfigError


def uniform(user_ids: pa.Array, salt: str) -> NDArray[np.float64]:
    """A number in [0, 1) per user, independent between salts."""
    texts = pc.binary_join_element_wise(user_ids.cast(pa.string()), salt, "\x1f")
    return (hash_ids(texts) >> np.uint64(11)).astype(np.float64) * 2.0**-53


def arms(user_ids: pa.Array, salt: str, shares: Mapping[str, float]) -> NDArray[np.str_]:
    """The arm of each user; arguments and errors as for `places`."""
    return np.array(list(shares))[places(user_ids, salt, shares)]


def places(user_ids: pa.Array, salt: str, shares: Mapping[str, float]) -> NDArray[np.int64]:
    """The place of each user's arm among the shares.

    Args:
        user_ids: strings.
        salt: of the experiment.
        shares: arm -> share of the users, in an order that must not change.

    Raises:
        ConfigError: the shares do not add up to 1.
    """
    total = sum(shares.values())
    whole = abs(total - 1) <= 1e-9  # false, too, where a share is no number
    if not shares or not whole or min(shares.values()) < 0:
        raise ConfigError(
            f"the shares of {', '.join(shares) or 'no arm'} add up to {total:g}, not 1."
        )
    edges = np.cumsum(list(shares.values()))[:-1]
    return np.searchsorted(edges, uniform(user_ids, salt), side="right")
