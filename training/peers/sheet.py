"""Hashed features of some questions: a row a question, a column a feature.

A feature is a kind and one or two values; its key has 64 well mixed bits, and its coordinate in a
table of weights is as many of them as the table needs. No list of features is kept.
"""

from itertools import count

import numpy as np
from numpy.typing import NDArray

from training.peers.ftrl import ABSENT

Ints = NDArray[np.int64]
Keys = NDArray[np.uint64]
Coordinates = NDArray[np.int32]
MISSING = np.uint64(0)
"""Key of a feature that a question does not have."""


class Sheet:
    """Columns of hashed features; every kind of feature has a slot of its own.

    Args:
        bits: the table of weights has two to this many coordinates.
    """

    def __init__(self, bits: int) -> None:
        self._bits = np.uint64(64 - bits)
        self._slots = count(1)
        self._columns: list[Keys] = []

    def add(self, values: Ints) -> None:
        """(rows, k): k values of one kind; 0 is absent."""
        self.cross(np.ones((len(values), 1), np.int64), values)

    def cross(self, left: Ints, right: Ints, slot: int | None = None) -> None:
        """(rows, 1) with (rows, k): all k pairs."""
        kind = next(self._slots) if slot is None else slot
        key = ((left.astype(np.uint64) << np.uint64(32)) | right.astype(np.uint64)) + np.uint64(
            (kind * 0x632BE59BD9B4E019) % 2**64
        )
        there = (left > 0) & (right > 0)
        self._columns.append(np.where(there, _mixed(key), MISSING))

    def rows(self) -> Coordinates:
        """(rows, features): coordinates, `ABSENT` where a feature is missing."""
        return self._placed(np.concatenate(self._columns, axis=1))

    def rows_by_class(self, classes: int) -> Coordinates:
        """(rows, classes, features): every feature crossed with every class."""
        keys = np.concatenate(self._columns, axis=1)[:, None]
        step = np.arange(1, classes + 1, dtype=np.uint64) * np.uint64(0xD1B54A32D192ED03)
        crossed = _mixed(keys + step[:, None])
        return self._placed(np.where(keys == MISSING, MISSING, crossed))

    def _placed(self, keys: Keys) -> Coordinates:
        place = np.maximum((keys >> self._bits).astype(np.int32), 1)
        return np.where(keys == MISSING, ABSENT, place).astype(np.int32)


def _mixed(key: Keys) -> Keys:
    """Two rounds of multiply and shift: neighbouring keys, unrelated places."""
    key = (key ^ (key >> np.uint64(31))) * np.uint64(0x9E3779B97F4A7C15)
    return (key ^ (key >> np.uint64(29))) * np.uint64(0xBF58476D1CE4E5B9)
