"""Where and how wide Beam jobs run.

Settings only: whoever reads settings (every command, every Airflow task) need not import Beam.
"""

from itertools import pairwise
from typing import Annotated

from pydantic import Field

from infra.config import UNTOLD, Config


class BeamConfig(Config):
    """Where and how wide jobs run."""

    runner: str = "inprocess"
    """`inprocess`, `multiprocess`, or the name of a Beam runner (FlinkRunner, SparkRunner, ...)."""

    workers: int = Field(1, ge=1)
    """Worker processes of `multiprocess`; threads of `inprocess`."""

    buckets: int = Field(16, ge=1)
    """Ranges of the user hash. Memory of a step grows with the largest bucket times `workers`. One
    user is never split: `samples` takes about 4 GB for a user with a million clicks in a day (a
    bot, a shared account); leave such ids out of raw."""

    passes: int = Field(1, ge=1)
    """Of `events`, whose shuffle local runners hold in memory: more passes, less memory, more
    reading. `vocabulary` and `statistics` shuffle counts of the ids that the day names (on the day
    of an `items` snapshot its rows, some 800 bytes each with a title), and at most a million rows
    of the catalog at a time. The others work bucket by bucket."""

    options: Annotated[tuple[str, ...], UNTOLD] = ()
    """Passed to the runner as they stand, for example `--flink_master=host:8081`. Jobs are waited
    for: `--no_wait_until_finish` is refused."""

    @property
    def threads(self) -> int:
        """Elements that one worker may have under way at a time."""
        return self.workers if self.runner == "inprocess" else 1


def passes(config: BeamConfig) -> list[range]:
    """Bucket indices worked through at a time; their union is all buckets."""
    edges = [config.buckets * i // config.passes for i in range(config.passes + 1)]
    return [range(a, b) for a, b in pairwise(edges) if b > a]
