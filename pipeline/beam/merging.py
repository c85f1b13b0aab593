"""Partial counts of a key, put together as they come.

A day is counted batch by batch, and every batch names the popular ids anew: kept apart until the
merge, the parts would take memory with the day and not with its ids. Beam applies this combiner
before the shuffle as well.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import apache_beam as beam
import pyarrow as pa

Settle = Callable[[Sequence[pa.Table]], list[pa.Table]]
"""Tables -> fewer rows that say the same."""
AT_LEAST = 20_000
"""Rows below which putting together is not worth a call."""


class Gathered:
    """Tables so far, and how many rows were left when they were last put together."""

    def __init__(self) -> None:
        self.tables: list[pa.Table] = []
        self.settled = 0

    @property
    def rows(self) -> int:
        """Of all tables."""
        return sum(table.num_rows for table in self.tables)


class Together(beam.CombineFn):
    """Tables of a key (None: nothing) -> a list of tables with each id about once."""

    def __init__(self, settle: Settle) -> None:
        super().__init__()
        self.settle = settle

    def create_accumulator(self, *_: Any) -> Gathered:
        """Nothing yet."""
        return Gathered()

    def add_input(self, mutable_accumulator: Gathered, element: pa.Table | None) -> Gathered:
        """One more table; all are put together whenever rows have doubled."""
        if element is not None:
            mutable_accumulator.tables.append(element)
        return self._bounded(mutable_accumulator)

    def merge_accumulators(self, accumulators: Iterable[Gathered]) -> Gathered:
        """Of several bundles."""
        whole = Gathered()
        for one in accumulators:
            whole.tables += one.tables
            whole.settled += one.settled
            whole = self._bounded(whole)
        return whole

    def compact(self, accumulator: Gathered) -> Gathered:
        """What is handed over is as small as can be."""
        accumulator.tables = self.settle(accumulator.tables)
        accumulator.settled = accumulator.rows
        return accumulator

    def extract_output(self, accumulator: Gathered) -> list[pa.Table]:
        """The tables."""
        return self.compact(accumulator).tables

    def _bounded(self, gathered: Gathered) -> Gathered:
        if gathered.rows > max(2 * gathered.settled, AT_LEAST):
            return self.compact(gathered)
        return gathered
