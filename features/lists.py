"""NumPy arrays to Arrow lists, one list a moment, without a loop."""

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from infra.errors import ConfigError

MOST = np.iinfo(np.int32).max
"""Values of all lists of a column together."""


def asked(count: NDArray[np.int64], flat: NDArray[np.generic] | pa.Array) -> pa.ListArray:
    """A list per moment; null where nothing is asked."""
    values = flat if isinstance(flat, pa.Array) else pa.array(flat)
    return pa.ListArray.from_arrays(offsets(count), values, mask=pa.array(count == 0))


def lists(bounds: pa.Array, flat: NDArray[np.generic]) -> pa.ListArray:
    """A list per moment, perhaps empty; `bounds` are `offsets`."""
    return pa.ListArray.from_arrays(bounds, pa.array(flat))


def matrix(rows: NDArray[np.generic]) -> pa.ListArray:
    """A list per row of a matrix."""
    bounds = _bounds(np.arange(len(rows) + 1) * rows.shape[1])
    return pa.ListArray.from_arrays(bounds, pa.array(rows.reshape(-1)))


def offsets(length: NDArray[np.int64]) -> pa.Array:
    """Where each list begins, and where the last one ends."""
    return _bounds(np.append(0, np.cumsum(length)))


def _bounds(ends: NDArray[np.int64]) -> pa.Array:
    if ends[-1] > MOST:
        raise ConfigError(
            f"{len(ends) - 1:,} lists of a bucket hold {int(ends[-1]):,} values, and a column has "
            f"room for {MOST:,}. Set beam.buckets higher."
        )
    return pa.array(ends.astype(np.int32))
