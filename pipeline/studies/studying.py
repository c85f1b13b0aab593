"""`dupn study NAME` and the `dupn_study` DAG: a study's cells, run once each, then its report.

A study that is cut off goes on where it was: a finished cell is not run again. Cells of a stage run
side by side, in as many processes as there is room for; each then has one thread.
"""

import multiprocessing
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from typing import Any

from infra.errors import ConfigError, OrchestrationError
from infra.orphans import end_with_parent
from infra.progress import Progress, quiet, track
from pipeline.settings import Settings
from pipeline.studies.attention import AttentionStudy
from pipeline.studies.base import Study
from pipeline.studies.by_seed import AbtestStudy, DriftStudy
from pipeline.studies.diary import Diary
from pipeline.studies.excerpts import ExcerptsStudy
from pipeline.studies.letter import LetterStudy
from pipeline.studies.multitask import MultitaskStudy
from pipeline.studies.table2 import Table2Study
from pipeline.studies.transfer import TransferStudy

KINDS: tuple[type[Study[Any]], ...] = (
    Table2Study,
    LetterStudy,
    MultitaskStudy,
    TransferStudy,
    AttentionStudy,
    ExcerptsStudy,
    DriftStudy,
    AbtestStudy,
)
STUDIES = {kind.title: kind for kind in KINDS}


def make(settings: Settings, name: str, seeds: int, *, quick: bool) -> Study[Any]:
    """A study by its name.

    Args:
        settings: of the study's preset (`preset_of`).
        name: one of `STUDIES`.
        seeds: worlds: the seeds 1, 2, ...
        quick: a size that only shows that it runs, reported under `<name>-quick`.
    """
    return _kind(name)(settings, seeds, quick)


def preset_of(name: str) -> str:
    """The preset that a study takes its settings from."""
    return _kind(name).preset


def run(
    settings: Settings, name: str, *, seeds: int, quick: bool, jobs: int = 1, record: bool = True
) -> Mapping[str, Any]:
    """Run a study, or what is left of it; its report.

    Args:
        settings: of the study's preset.
        name: one of `STUDIES`.
        seeds: worlds: the seeds 1, 2, ...
        quick: a size that only shows that it runs.
        jobs: cells at once.
        record: whether MLflow is told.

    Raises:
        ConfigError: a package is not installed that a cell works with; nothing has been run.
        OrchestrationError: a process that ran cells was killed.
    """
    study = make(settings, name, seeds, quick=quick)
    study.left()
    diary = Diary(study) if record else None
    stages = study.stages()
    total = sum(study.steps(key) for stage in stages for key in stage)
    with track(study.name, total=total, unit="steps") as progress:
        for keys in stages:
            if diary is not None:
                diary.catch_up(keys)
            cells = (
                _one_by_one(study, keys, progress)
                if jobs == 1
                else _together(_Order(settings, name, seeds, quick), study, keys, jobs, progress)
            )
            for key in cells:
                if diary is not None:
                    diary.cell(key)
    return report(study, diary)


def cell(settings: Settings, name: str, key: str, *, seeds: int, quick: bool) -> None:
    """Run one cell, unless it is there, and tell MLflow: a mapped task of `dupn_study`."""
    study = make(settings, name, seeds, quick=quick)
    diary = Diary(study)
    diary.catch_up([key])
    with track(key, total=study.steps(key), unit="steps") as progress:
        if study.cell(key, progress):
            diary.cell(key)


def report(study: Study[Any], diary: Diary | None) -> Mapping[str, Any]:
    """What the cells show together, in the store and, with the page, in MLflow."""
    found = study.report()
    if diary is not None:
        diary.end(found)
    return found


@dataclass(frozen=True)
class _Order:
    """What another process needs to know of a study."""

    settings: Settings
    name: str
    seeds: int
    quick: bool

    def cell(self, key: str) -> str:
        """Run one cell here; its key."""
        import torch

        torch.set_num_threads(1)
        study = make(self.settings, self.name, self.seeds, quick=self.quick)
        with quiet() as silent:
            study.cell(key, silent)
        return key


def _one_by_one(study: Study[Any], keys: Sequence[str], progress: Progress) -> Iterator[str]:
    """Keys of the cells that were run now."""
    for key in keys:
        if study.cell(key, progress):
            yield key


def _together(
    order: _Order, study: Study[Any], keys: Sequence[str], jobs: int, progress: Progress
) -> Iterator[str]:
    left = [key for key in keys if study.kept(key) is None]
    for key in set(keys) - set(left):
        progress.advance(study.steps(key))
    if not left:
        return
    context = multiprocessing.get_context("spawn")
    at_once = min(jobs, len(left))
    with ProcessPoolExecutor(at_once, mp_context=context, initializer=end_with_parent) as pool:
        try:
            for key in _as_done(pool, order, left):
                progress.advance(study.steps(key))
                yield key
        except BrokenProcessPool:
            raise OrchestrationError(
                f"study {study.name}: one of {at_once} processes that ran cells was killed, mostly "
                "for want of memory. Run it again with a smaller --jobs, or with more memory; "
                "finished cells are kept."
            ) from None


def _as_done(pool: ProcessPoolExecutor, order: _Order, keys: Sequence[str]) -> Iterator[str]:
    waiting = [pool.submit(order.cell, key) for key in keys]
    try:
        for one in as_completed(waiting):
            yield one.result()
    except BaseException:
        for one in waiting:
            one.cancel()  # cells that have begun end by themselves; the others do not begin
        raise


def _kind(name: str) -> type[Study[Any]]:
    if name not in STUDIES:
        raise ConfigError(f"study {name} does not exist. Choose one of {', '.join(STUDIES)}.")
    return STUDIES[name]
