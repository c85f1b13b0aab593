"""NumPy arrays to Arrow lists, one list a moment, without a loop."""

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray


def asked(count: NDArray[np.int64], flat: NDArray[np.generic] | pa.Array) -> pa.ListArray:
    """A list per moment; null where nothing is asked."""
    values = flat if isinstance(flat, pa.Array) else pa.array(flat)
    return pa.ListArray.from_arrays(offsets(count), values, mask=pa.array(count == 0))


def lists(bounds: pa.Array, flat: NDArray[np.generic]) -> pa.ListArray:
    """A list per moment, perhaps empty; `bounds` are `offsets`."""
    return pa.ListArray.from_arrays(bounds, pa.array(flat))


def matrix(rows: NDArray[np.generic]) -> pa.ListArray:
    """A list per row of a matrix."""
    bounds = np.arange(len(rows) + 1, dtype=np.int32) * np.int32(rows.shape[1])
    return pa.ListArray.from_arrays(pa.array(bounds), pa.array(rows.reshape(-1)))


def offsets(length: NDArray[np.int64]) -> pa.Array:
    """Where each list begins, and where the last one ends."""
    return pa.array(np.append(0, np.cumsum(length)).astype(np.int32))
