"""Runs a stage of a day of the synthetic log and prints by how many MB its peak memory grew.

    python one_stage.py HOME STAGE DAY BUCKETS ROWS

ROWS is how many rows are counted at a time, and how many clicks the pool of `sequences` has at
most. A process of its own, because a peak never falls.
"""

import sys
from datetime import date
from pathlib import Path

from features.items.statistics import StatisticsConfig
from features.samples import SamplesConfig
from features.sequence import SequencesConfig
from features.vocabulary import VocabularyConfig
from infra.store import Store
from pipeline.beam.run import BeamConfig
from pipeline.jobs import samples, sequences, statistics, vocabulary


def run(
    store: Store, stage: str, day: date, beam: BeamConfig, rows: int, per_range: int = 500_000
) -> None:
    if stage == "vocabulary":
        config = VocabularyConfig(rows_per_batch=rows, rows_per_range=per_range)
        vocabulary.run(store, day, config=config, beam=beam)
    elif stage == "statistics":
        statistics.run(store, day, config=StatisticsConfig(rows_per_batch=rows), beam=beam)
    elif stage == "sequences":
        config = SequencesConfig(pool_size=min(rows, SequencesConfig().pool_size))
        sequences.run(store, day, config=config, time_zone="UTC", beam=beam)
    else:
        samples.run(store, day, config=SamplesConfig(), time_zone="UTC", beam=beam, seed=7)


def memory_mb(name: str) -> float:
    """`VmHWM` is this process's peak; ru_maxrss starts at the parent's."""
    status = Path("/proc/self/status").read_text()
    found = next(line for line in status.splitlines() if line.startswith(name))
    return int(found.split()[1]) / 1024


if __name__ == "__main__":
    home, stage, day, buckets, rows = sys.argv[1:]
    before = memory_mb("VmRSS")
    beam = BeamConfig(buckets=int(buckets))
    run(Store(home), stage, date.fromisoformat(day), beam, int(rows))
    print(memory_mb("VmHWM") - before)
