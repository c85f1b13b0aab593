"""Steps in a row, for those who run without Airflow, and the demo, which runs with it."""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date
from functools import partial
from typing import Any

from infra.progress import Progress, track
from pipeline import steps
from pipeline.settings import Settings
from pipeline.steps import ONE_DAY

logger = logging.getLogger(__name__)

RELEASE = ("evaluate", "bundle", "gate", "canary", "register", "promote", "check")


def initial(settings: Settings, first: date, days: int) -> Mapping[str, Any]:
    """`dupn_initial_train` in this process: `days` days of training, the day after to evaluate."""
    last = first + ONE_DAY * days
    if settings.dataset == "marketplace" and not settings.store.days("raw", "behaviors"):
        steps.simulate(settings, first, days + 1)
    wanted = steps.data_days(settings, first, last)
    with track("stages", total=len(wanted) * 7 + 1 + len(RELEASE), unit="stages") as progress:
        for work in _data(settings, wanted):
            _counted(progress, work)
        _counted(progress, partial(steps.train, settings, last - ONE_DAY, days))
        run = f"{settings.line}-{last - ONE_DAY}"
        return _release(settings, last, run, progress)


def _data(settings: Settings, days: Sequence[date]) -> Iterator[Callable[[], object]]:
    for day in days:
        yield partial(steps.events, settings, day)
        yield partial(steps.quality, settings, day, "events")
        yield partial(steps.vocabulary, settings, day)
        yield partial(steps.statistics, settings, day)
        yield partial(steps.sequences, settings, day)
        yield partial(steps.samples, settings, day)
        yield partial(steps.quality, settings, day, "samples")


def _release(settings: Settings, day: date, run: str, progress: Progress) -> Mapping[str, Any]:
    verdict: Mapping[str, Any] = {}
    for name in RELEASE:
        result = _counted(progress, partial(getattr(steps, name), settings, day, run=run))
        if name == "gate":
            verdict = result
            if not verdict["promoted"]:
                break
    return verdict


def _counted(progress: Progress, work: Callable[[], Any]) -> Any:
    result = work()
    progress.advance()
    return result
