"""Tables on their way from one step to the next: by reference within a process, else as bytes.

A local runner copies whatever it shuffles several times, into fresh pages each time. So steps that
run in one process leave their tables on a shelf and shuffle tickets of a few bytes; between
processes the tickets are the tables themselves.
"""

import itertools
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pyarrow as pa

from infra.errors import ConfigError
from pipeline.beam.runner import BeamConfig

_SHELVES: dict[str, dict[int, pa.Table]] = {}
_NUMBERS = itertools.count()


@dataclass(frozen=True)
class Parcels:
    """How the steps of one pipeline hand tables over; picklable."""

    shelf: str
    """Empty: as bytes."""

    @classmethod
    @contextmanager
    def of(cls, config: BeamConfig) -> Iterator["Parcels"]:
        """For one pipeline; what lies on the shelf at the end of the block is let go."""
        if config.runner != "inprocess":
            yield BYTES
            return
        shelf = uuid.uuid4().hex
        _SHELVES[shelf] = {}
        try:
            yield cls(shelf)
        finally:
            del _SHELVES[shelf]

    def pack(self, table: pa.Table) -> bytes:
        """A ticket for the table, or the table."""
        if not self.shelf:
            sink = pa.BufferOutputStream()
            with pa.ipc.new_stream(sink, table.schema) as writer:
                writer.write_table(table)
            return bytes(sink.getvalue())
        number = next(_NUMBERS)
        _SHELVES[self.shelf][number] = table
        return number.to_bytes(8, "big")

    def unpack(self, parcel: bytes) -> pa.Table:
        """The table; it stays on the shelf, because a runner may ask twice.

        Raises:
            ConfigError: it was packed in another process.
        """
        if not self.shelf:
            return pa.ipc.open_stream(parcel).read_all()
        if self.shelf not in _SHELVES:
            raise ConfigError(
                "beam.options puts workers into other processes than beam.runner says. "
                "Set beam.runner to multiprocess."
            )
        return _SHELVES[self.shelf][int.from_bytes(parcel, "big")]


BYTES = Parcels("")
"""Between processes."""
