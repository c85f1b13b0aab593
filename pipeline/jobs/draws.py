"""The day's clicks with the smallest draws: of a bundle, and of all bundles."""

from threading import Lock

import apache_beam as beam
import pyarrow as pa

from features.questions import negatives


class Drawn:
    """Pools that threads add, never more than three times the size of one together."""

    def __init__(self, size: int) -> None:
        self.size = size
        self._pools: list[pa.Table] = []
        self._lock = Lock()

    def add(self, pool: pa.Table) -> None:
        """One bucket's clicks."""
        with self._lock:
            self._pools.append(pool)
            if sum(one.num_rows for one in self._pools) > 2 * self.size:
                self._pools = [negatives.merge_pools(self._pools, self.size)]

    def whole(self) -> pa.Table:
        """The pool of all that were added."""
        return negatives.merge_pools(self._pools, self.size)


class SmallestDraws(beam.CombineFn):
    """Pools -> one pool of at most `size` clicks; never a whole day in one element."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size

    def create_accumulator(self) -> list[pa.Table]:
        """Nothing drawn yet."""
        return []

    def add_input(self, accumulator: list[pa.Table], element: pa.Table) -> list[pa.Table]:
        """One bucket's clicks, merged in."""
        return [negatives.merge_pools([*accumulator, element], self.size)]

    def merge_accumulators(self, accumulators: list[list[pa.Table]]) -> list[pa.Table]:
        """Several workers' pools, merged."""
        tables = [table for accumulator in accumulators for table in accumulator]
        return [negatives.merge_pools(tables, self.size)]

    def extract_output(self, accumulator: list[pa.Table]) -> pa.Table:
        """The pool."""
        return negatives.merge_pools(accumulator, self.size)
