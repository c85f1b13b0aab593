"""Raw Parquet to published samples by two workers, beside a hand-written Polars script.

0.1 moments a behaviour, every history at the cap of 100, 10 candidates a moment. Both sides read
the same raw day and the same state of the day before and write the same columns; the figures say
behaviours and moments a second, seconds a stage, and the largest memory in bytes a behaviour: of a
process that makes the day anew, and has made none before it.
"""

import multiprocessing
import threading
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl
import psutil

from features.events import EventsConfig
from features.items.statistics import StatisticsConfig
from features.raw.dataset import load
from features.samples import SamplesConfig
from features.sequence import SequencesConfig
from features.vocabulary import VocabularyConfig
from infra import cores, logs
from infra.orphans import end_with_parent
from infra.progress import track
from infra.scratch import scratch_folder
from infra.store import Store
from pipeline.beam.run import BeamConfig
from pipeline.bench import day as synthetic
from pipeline.bench import polars_script
from pipeline.bench.day import BEFORE, DAY, Size
from pipeline.bench.load import figure
from pipeline.jobs import events, samples, sequences, statistics, vocabulary
from pipeline.steps import DATA

TWO_THREADS = BeamConfig(buckets=16, workers=2)
PROTOCOL = (
    "{:,} behaviours, {:,} items, {} cores, {} workers, 0.1 moments a behaviour, histories of 100, "
    "10 candidates, 50 behaviours a user"
)


def run(*, quick: bool = False) -> list[dict[str, Any]]:
    """Figures of one run; `quick` only shows that it runs."""
    size = Size(20_000, 2_000) if quick else Size(2_000_000)
    with (
        scratch_folder() as home,
        track("bench samples", total=len(DATA) * 2 + 2, unit="stages") as progress,
    ):
        store = Store(home)
        synthetic.write(home, size)
        progress.advance()
        for name in DATA[:4]:
            stage(store, name, BEFORE)
            progress.advance()
        synthetic.write_history(store, size)
        seconds = {}
        for name in DATA:
            seconds[name] = _timed(partial(stage, store, name, DAY))
            progress.advance()
        grown = _grown_alone(home)
        progress.advance()
        moments = store.partition("samples", DAY).manifest().rows
        theirs = _timed(partial(polars_script.run, home, DAY, BEFORE, home / "polars.parquet"))
        progress.advance()
    ours = sum(seconds.values())
    said = PROTOCOL.format(size.behaviors, size.items, cores.usable(), TWO_THREADS.workers)
    beside = f"{said}; Polars with {pl.thread_pool_size()} threads"
    figures = [
        ("samples_behaviors_per_s", size.behaviors / ours, "behaviours/s"),
        ("samples_moments_per_s", moments / ours, "moments/s"),
        ("samples_job_moments_per_s", moments / seconds["samples"], "moments/s"),
        ("samples_polars_behaviors_per_s", size.behaviors / theirs, "behaviours/s"),
        ("samples_speed_to_polars", theirs / ours, "x"),
        ("samples_peak_bytes_per_behavior", grown / size.behaviors, "bytes"),
        *[(f"samples_{name}_s", value, "s") for name, value in seconds.items()],
    ]
    return [
        figure(name, value, unit, beside if "polars" in name else said)
        for name, value, unit in figures
    ]


def stage(store: Store, name: str, day: date) -> None:
    """One stage of one day, two threads wide."""
    beam = TWO_THREADS
    if name == "events":
        dataset = load("marketplace")
        events.run(store, day, dataset=dataset, config=EventsConfig(), beam=beam)
    elif name == "vocabulary":
        vocabulary.run(store, day, config=VocabularyConfig(), beam=beam)
    elif name == "statistics":
        statistics.run(store, day, config=StatisticsConfig(), beam=beam)
    elif name == "sequences":
        sequences.run(store, day, config=SequencesConfig(), time_zone="UTC", beam=beam)
    else:
        samples.run(store, day, config=SamplesConfig(), time_zone="UTC", beam=beam, seed=7)


def _timed(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def _grown_alone(home: Path) -> int:
    """Bytes that a process takes for the day which has made no other."""
    fresh, quiet = multiprocessing.get_context("spawn"), partial(logs.configure, quiet=True)
    with ProcessPoolExecutor(1, mp_context=fresh, initializer=quiet) as one:
        return one.submit(_grown, home).result()


def _grown(home: Path) -> int:
    end_with_parent()
    memory = _Memory()
    with memory:
        for name in DATA:
            stage(Store(home), name, DAY)
    return memory.grown


class _Memory:
    """The largest resident memory of this process while the block runs, above where it began."""

    def __init__(self) -> None:
        self._done = threading.Event()
        self._start = self._peak = 0

    @property
    def grown(self) -> int:
        """Bytes."""
        return self._peak - self._start

    def __enter__(self) -> "_Memory":
        self._start = psutil.Process().memory_info().rss
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _watch(self) -> None:
        process = psutil.Process()
        while not self._done.wait(0.05):
            self._peak = max(self._peak, process.memory_info().rss)
