"""What a moment's own history says in the simplest terms: inputs of the yardsticks.

Everything works on flat arrays: a behaviour knows its moment and its place, and (moment, key)
pairs are looked up in one sorted array, never moment by moment.
"""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from evaluation.metrics import AnyArray, Floats, Ints
from features.schemas import PRICE_LEVELS, BehaviorType

RECENT = 10
"""Behaviours that count as recent in the price history."""


@dataclass(frozen=True)
class History:
    """Behaviours of a file's moments, oldest first, one moment after the other."""

    moment: Ints  # 0-based within the file
    item: Ints  # catalog rows
    type: Ints
    ago: Ints  # 0 for the newest behaviour of the moment
    moments: int

    @classmethod
    def of(cls, table: pa.Table) -> "History":
        """From the columns `seq_item` and `seq_type` of some samples."""
        lengths = pc.fill_null(pc.list_value_length(table["seq_item"]), 0).to_numpy()
        lengths = lengths.astype(np.int64)
        moment = np.repeat(np.arange(len(lengths)), lengths)
        end = np.cumsum(lengths)[moment]
        return cls(
            moment=moment,
            item=pc.list_flatten(table["seq_item"]).to_numpy().astype(np.int64),
            type=pc.list_flatten(table["seq_type"]).to_numpy().astype(np.int64),
            ago=end - 1 - np.arange(len(moment)),
            moments=len(lengths),
        )

    def recency(self, key: AnyArray, moment: Ints, wanted: AnyArray) -> Floats:
        """How lately each (moment, wanted) pair occurs among (its moment's) keys.

        1 for the newest behaviour, falling to 0, and -1 where it does not occur.

        Args:
            key: of every behaviour (its item, its category); negative never matches.
            moment: of every question.
            wanted: the key that every question asks for.
        """
        known = np.flatnonzero(np.asarray(key) >= 0)
        span = int(max(np.max(key, initial=0), np.max(wanted, initial=0))) + 1
        code = self.moment[known] * span + np.asarray(key, np.int64)[known]
        order = np.argsort(code, kind="stable")  # oldest first within a code: the last is newest
        code, ago = code[order], self.ago[known][order]
        asked = np.asarray(moment, np.int64) * span + np.asarray(wanted, np.int64)
        place = np.searchsorted(code, asked, side="right") - 1
        hit = (place >= 0) & (np.asarray(wanted) >= 0)
        hit[hit] = code[place[hit]] == asked[hit]
        score = np.full(len(asked), -1.0)
        score[hit] = 1.0 / (1.0 + ago[place[hit]])
        return score

    def price_levels(self, level_of: AnyArray) -> Floats:
        """MaxEnt's view of each moment (moments x 28): shares of the price levels.

        Among all behaviours, among purchases, among the last 10, and the newest known level.

        Args:
            level_of: price level by catalog row, 1..7; 0 where unknown.
        """
        level = level_of[np.minimum(self.item, len(level_of) - 1)].astype(np.int64)
        priced = level > 0
        views = (
            priced,
            priced & (self.type == BehaviorType.PURCHASE),
            priced & (self.ago < RECENT),
            self._newest(priced),
        )
        return np.concatenate([self._shares(level, view) for view in views], axis=1)

    def _newest(self, keep: AnyArray) -> AnyArray:
        """Only the newest behaviour in `keep` of each moment."""
        rows = np.flatnonzero(keep)
        last = np.r_[self.moment[rows][1:] != self.moment[rows][:-1], True][: len(rows)]
        out = np.zeros(len(self.moment), bool)
        out[rows[last]] = True
        return out

    def _shares(self, level: Ints, keep: AnyArray) -> Floats:
        cell = self.moment[keep] * PRICE_LEVELS + level[keep] - 1
        count = np.bincount(cell, minlength=self.moments * PRICE_LEVELS)
        table = count.reshape(self.moments, PRICE_LEVELS).astype(np.float64)
        total = table.sum(1, keepdims=True)
        return np.divide(table, total, out=np.zeros_like(table), where=total > 0)
