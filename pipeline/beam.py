"""How Beam jobs run here: the runner, bucketed elements, files as the result.

Elements are Arrow tables or bucket indices, never single events. A job ends in `Publish`, which
gathers file entries (a few hundred bytes each), not rows.
"""

import logging
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions
from pydantic import Field

from infra.config import Config
from infra.store import Attempt, FileEntry


class BeamConfig(Config):
    """Where and how wide jobs run."""

    runner: str = "inprocess"
    """`inprocess`, `multiprocess`, or the name of a Beam runner (FlinkRunner, SparkRunner, ...)."""

    workers: int = Field(1, ge=1)
    """Worker processes of `multiprocess`; threads of `inprocess`, in jobs that use them."""

    buckets: int = Field(16, ge=1)
    """Ranges of the user hash. Memory of a step grows with the largest bucket times `workers`."""

    passes: int = Field(1, ge=1)
    """Local runners hold a day's shuffle in memory: more passes, less memory, more reading."""

    options: tuple[str, ...] = ()
    """Passed to the runner as they stand, for example `--flink_master=host:8081`."""


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


def passes(config: BeamConfig) -> list[range]:
    """Bucket indices worked through at a time; their union is all buckets."""
    edges = [config.buckets * i // config.passes for i in range(config.passes + 1)]
    return [range(a, b) for a, b in pairwise(edges) if b > a]


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
