"""Steps in a row, for those who run without Airflow."""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date, timedelta
from functools import partial
from typing import Any

from features.carry import ONE_DAY
from infra import run_key
from infra.errors import PartitionMissing
from infra.progress import Progress, track
from infra.tracking import address
from pipeline import steps
from pipeline.days import span
from pipeline.learn import recipes
from pipeline.nights import alerting, conduct, outcomes, workers
from pipeline.nights import nightly as nights
from pipeline.nights.conduct import Tell
from pipeline.raw import simulated_days
from pipeline.settings import Settings

logger = logging.getLogger(__name__)

Judge = Callable[[Settings, date, str], object]
"""Quality of a group on a day."""
RELEASE = ("evaluate", "bundle", "gate", "canary", "register", "promote", "check")


def initial(settings: Settings, first: date, days: int) -> Mapping[str, Any]:
    """`dupn_initial_train` in this process: `days` days of training, the day after to evaluate.

    Alerts are those of the DAG.
    """
    address(settings.tracking, settings.store)  # refused before anything is made
    last = first + ONE_DAY * days
    with alerting.failures(settings, last, f"the initial training from {first}"):
        return _initial(settings, first, last, days)


def _initial(settings: Settings, first: date, last: date, days: int) -> Mapping[str, Any]:
    for start, length in simulated_days.stretches(settings, span(first, days + 1)):
        steps.simulate(settings, start, length)
    wanted = steps.data_days(settings, first, last)
    with track("stages", total=len(wanted) * 7 + 1 + len(RELEASE), unit="stages") as progress:
        for work in _data(settings, wanted, steps.quality):
            _counted(progress, work)
        mine = recipes.of_line(settings)
        _counted(progress, partial(steps.train, mine, last - ONE_DAY, days))
        tell = partial(alerting.tell, settings, last)
        return _release(mine, last, run_key.of(mine.line, last - ONE_DAY), progress, tell)


def nightly(
    settings: Settings, day: date, *, leave_out: bool = False, take_over: bool = False
) -> Mapping[str, Any]:
    """`dupn_nightly_update` and `dupn_release` in this process, without waiting for raw data.

    Args:
        settings: whose night.
        day: the data day.
        leave_out: carry a day that fails quality into the state, but do not learn from it.
        take_over: from a run that began this night and did not end it.

    Alerts are those of the DAGs, but for raw data that is late.

    Raises:
        OutOfTurn: an older night comes first, or somebody else works on this one.
        PartitionMissing: the day's raw data has not arrived.
    """
    seen = nights.look(settings, day, timedelta())
    if not seen.ready:
        raise PartitionMissing(f"{seen.sentence} Run this again when it is complete.")
    with alerting.failures(settings, day, f"the night of {day}"):
        return _night(settings, day, leave_out=leave_out, take_over=take_over)


def _night(settings: Settings, day: date, *, leave_out: bool, take_over: bool) -> Mapping[str, Any]:
    recipes.require_updated(settings)
    nights.begin(settings, day, workers.this(), take_over=take_over)
    if simulated_days.is_next(settings, day):
        steps.simulate(settings, day, 1)
    tell = partial(alerting.tell, settings, day)
    total = 8 + len(RELEASE) + 3
    with track("stages", total=total, unit="stages") as progress:
        for work in _data(settings, [day], partial(conduct.judge, tell=tell, leave_out=leave_out)):
            _counted(progress, work)
        learnt = _counted(
            progress, partial(conduct.learn, settings, day, tell, leave_out=leave_out)
        )
        told: dict[str, Any] = {"run": learnt["run"], "promoted": None}
        if learnt.get("left_out"):
            told["left_out"] = learnt["left_out"]
        if run := told["run"]:
            mine = recipes.by_hand(settings, run)
            told |= _release(mine, day, run, progress, tell)
            told |= _after(mine, day, run, progress, tell)
    steps.sweep(settings, day)
    told["outcome"] = outcomes.of(settings.store, told["run"], leave_out=leave_out)
    after = conduct.close(settings, day, workers.this(), told["outcome"], tell)
    if after is not None:
        logger.warning(
            "the night of %s waited for this one (%s): clear its task `raw`, or run it: "
            "`dupn run nightly --day %s`", after.day, after.run, after.day,
        )  # fmt: skip
        told["waits"] = after.day
    return told


def _after(
    settings: Settings, day: date, run: str, progress: Progress, tell: Tell
) -> dict[str, Any]:
    for step in (steps.refresh, steps.represent):
        _counted(progress, partial(step, settings, day))
    seen = _counted(progress, partial(steps.watch, settings, day, run=run))
    for words in alerting.of_watch(day, seen):
        tell(words)
    return {"auc_alerts": seen["alerts"], "page": seen["page"]}


def _data(settings: Settings, days: Sequence[date], judge: Judge) -> Iterator[Callable[[], object]]:
    for day in days:
        yield partial(steps.events, settings, day)
        yield partial(judge, settings, day, "events")
        yield partial(steps.vocabulary, settings, day)
        yield partial(steps.statistics, settings, day)
        yield partial(steps.sequences, settings, day)
        yield partial(steps.samples, settings, day)
        yield partial(judge, settings, day, "samples")


def _release(
    settings: Settings, day: date, run: str, progress: Progress, tell: Tell
) -> Mapping[str, Any]:
    verdict: Mapping[str, Any] = {}
    for name in RELEASE:
        result = _counted(progress, partial(getattr(steps, name), settings, day, run=run))
        if name == "gate":
            verdict = result
            for words in alerting.of_gate(verdict):
                tell(words)
            if not verdict["promoted"]:
                break
    return verdict


def _counted(progress: Progress, work: Callable[[], Any]) -> Any:
    result = work()
    progress.advance()
    return result
