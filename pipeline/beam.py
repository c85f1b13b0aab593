"""How Beam jobs run here: the runner, bucketed elements, files as the result.

Elements are Arrow tables or bucket indices, never single events. A job ends in `Publish`, which
gathers file entries (a few hundred bytes each), not rows.
"""

import logging
from collections.abc import Sequence
from typing import Any

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions

from infra.store import Attempt, FileEntry
from pipeline.runner import BeamConfig, passes

__all__ = ["BeamConfig", "Publish", "options", "passes", "pipeline"]


def options(config: BeamConfig) -> PipelineOptions:
    """Options for the configured runner (FnApiRunner pinned: Prism would be downloaded)."""
    logging.getLogger("apache_beam").setLevel(logging.WARNING)
    if config.runner == "inprocess":
        flags = ["--runner=FnApiRunner", *config.options]
    elif config.runner == "multiprocess":
        flags = [
            "--runner=FnApiRunner",
            "--direct_running_mode=multi_processing",
            f"--direct_num_workers={config.workers}",
            *config.options,
        ]
    else:
        flags = [f"--runner={config.runner}", *config.options]
    return PipelineOptions(flags)


def pipeline(config: BeamConfig) -> beam.Pipeline:
    """A pipeline for a `with` block; leaving the block runs it and waits."""
    return beam.Pipeline(options=options(config))


class Publish(beam.PTransform):
    """File entries -> recorded with the attempt; the caller's `publish()` block then commits."""

    def __init__(self, attempt: Attempt) -> None:
        super().__init__()
        self.attempt = attempt

    def expand(self, entries: Any) -> Any:
        """Gather the entries (small) and note them in one write."""
        return (
            entries
            | "Gather file entries" >> beam.combiners.ToList()
            | "Record them" >> beam.Map(_record, self.attempt)
        )


def _record(entries: Sequence[FileEntry], attempt: Attempt) -> int:
    attempt.record(sorted(entries, key=lambda entry: entry.name))
    return len(entries)
