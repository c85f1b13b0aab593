"""Measures every row of a day for the quality gate: one tally a file, merged to one a day."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import apache_beam as beam
from apache_beam import pvalue

from features.quality import figures, measured
from features.quality.measured import Tally
from infra.errors import PartitionCorrupt
from infra.manifest import mend
from infra.record import as_object
from infra.store import FileEntry, Partition, stamps
from pipeline.beam.run import BeamConfig, Spread, pipeline

Element = tuple[str, Partition, FileEntry]

ROWS = 65_536
"""Of a file that are measured at a time."""


class Measure(beam.DoFn):
    """(table name, partition, file) -> its tally; memory grows with one row group."""

    def process(self, element: Element) -> Iterator[Tally]:
        """Measure row group by row group."""
        import pyarrow as pa

        name, partition, entry = element
        yield {f"sum:{name}.rows": 0}  # a file without rows has no batches
        begun = None
        for batch in partition.batches(entry, ROWS):
            part = pa.Table.from_batches([batch])
            yield measured.measure(name, part)
            if name == "samples":
                again, begun = measured.repeats(part, begun)
                yield again


class Tallied(beam.PTransform):
    """Files -> one tally of all their rows."""

    def expand(self, files: pvalue.PCollection) -> pvalue.PCollection:
        """Measure in parallel, merge to one small dictionary."""
        return (
            files
            | "Spread the files" >> Spread()
            | "Measure each file" >> beam.ParDo(Measure())
            | "Merge the tallies" >> beam.CombineGlobally(figures.merge)
        )


def run(
    tables: Mapping[str, Partition],
    out: Partition,
    beam_config: BeamConfig,
    known: Tally | None = None,
) -> Tally:
    """The tally of published tables (absent ones are left out), also published under `out`.

    Args:
        tables: what is measured, by name.
        out: where it is published.
        beam_config: how it is run.
        known: what others counted of tables that are not measured; published with the rest.
    """
    elements: Sequence[Element] = [
        (name, partition, entry)
        for name, partition in tables.items()
        if partition.exists()
        for entry in partition.manifest().files
        if entry.name.endswith(".parquet")
    ]
    with (
        out.publish(inputs=stamps(tables.values())) as attempt,
        pipeline(beam_config) as p,
    ):
        _ = (
            p
            | "Files of the day" >> beam.Create(elements, reshuffle=False)
            | "Measure" >> Tallied()
            | "Write the tally" >> beam.Map(_write, attempt, known or {})
        )
    return read(out)


def read(partition: Partition) -> Tally:
    """A published tally."""
    entry = partition.manifest().files[0]
    with partition.open(entry) as source:
        content = source.read()
    try:
        return as_object(content)
    except ValueError as error:
        raise PartitionCorrupt(
            f"{partition.key}/{entry.name} cannot be read ({error}). {mend(partition.key)}"
        ) from None


def _write(tally: Tally, attempt: Any, known: Tally) -> None:
    text = json.dumps(dict(sorted({**known, **tally}.items())), indent=1)
    attempt.record([attempt.write_bytes("tally.json", text.encode())])
