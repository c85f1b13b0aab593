"""Steps in a row, for those who run without Airflow, and the demo, which runs with it."""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date, timedelta
from functools import partial
from typing import Any

from features.carry import ONE_DAY
from infra.errors import PartitionMissing, QualityFailed
from infra.progress import Progress, track
from infra.tracking import address
from pipeline import steps
from pipeline.days import span
from pipeline.learn import recipes
from pipeline.nights import alerting, night_page, workers
from pipeline.nights import nightly as nights
from pipeline.quality import judged
from pipeline.raw import simulated_days
from pipeline.settings import Settings
from pipeline.upkeep import afterwards

logger = logging.getLogger(__name__)

RELEASE = ("evaluate", "bundle", "gate", "canary", "register", "promote", "check")


def initial(settings: Settings, first: date, days: int) -> Mapping[str, Any]:
    """`dupn_initial_train` in this process: `days` days of training, the day after to evaluate.

    Alerts are those of the DAG.
    """
    address(settings.tracking, settings.store)  # refused before anything is made
    last = first + ONE_DAY * days
    with alerting.failures(settings, last, f"the initial training from {first}"):
        verdict = _initial(settings, first, last, days)
    if not verdict["promoted"]:
        alerting.tell(settings, last, alerting.kept(verdict))
    return verdict


def _initial(settings: Settings, first: date, last: date, days: int) -> Mapping[str, Any]:
    for start, length in simulated_days.stretches(settings, span(first, days + 1)):
        steps.simulate(settings, start, length)
    wanted = steps.data_days(settings, first, last)
    with track("stages", total=len(wanted) * 7 + 1 + len(RELEASE), unit="stages") as progress:
        for work in _data(settings, wanted):
            _counted(progress, work)
        mine = recipes.of_line(settings)
        _counted(progress, partial(steps.train, mine, last - ONE_DAY, days))
        return _release(mine, last, f"{mine.line}-{last - ONE_DAY}", progress)


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
    total = 8 + len(RELEASE) + 3
    with track("stages", total=total, unit="stages") as progress:
        for work in _data(settings, [day]):
            _counted(progress, partial(_forgiving, settings, day, work) if leave_out else work)
        judged.leave_out(settings.store, day, out=leave_out)
        mine = settings if leave_out else recipes.tonight(settings)
        learnt = {} if leave_out else _learn(mine, day, progress)
        verdict: dict[str, Any] = {"run": learnt.get("run", ""), "promoted": None}
        verdict["outcome"] = "left out" if leave_out else learnt["outcome"]
        if learnt.get("left_out"):
            verdict["left_out"] = learnt["left_out"]
        if verdict["run"]:
            verdict |= _release(mine, day, verdict["run"], progress)
            if not verdict["promoted"]:
                alerting.tell(settings, day, alerting.kept(verdict))
            verdict |= _after(mine, day, verdict["run"], progress)
    steps.sweep(settings, day)
    nights.end(settings, day, workers.this(), verdict["outcome"])
    night_page.draw_unwatched(settings, day)
    if again := afterwards.sentences(settings.store):
        alerting.tell(settings, day, alerting.changed(again))
    after = nights.waiting(settings, day)
    if after is not None:
        logger.warning(
            "the night of %s waited for this one (%s): clear its task `raw`, or run it: "
            "`dupn run nightly --day %s`", after.day, after.run, after.day,
        )  # fmt: skip
        verdict["waits"] = after.day
    return verdict


def _forgiving(settings: Settings, day: date, work: Callable[[], object]) -> object:
    try:
        return work()
    except QualityFailed as error:
        alerting.tell(settings, day, alerting.left_out(day, str(error)))
        return None


def _learn(settings: Settings, day: date, progress: Progress) -> Mapping[str, Any]:
    learnt: Mapping[str, Any] = _counted(progress, partial(steps.update, settings, day))
    for words in alerting.of_update(day, learnt):
        alerting.tell(settings, day, words)
    return learnt


def _after(settings: Settings, day: date, run: str, progress: Progress) -> Mapping[str, Any]:
    for step in (steps.refresh, steps.represent):
        _counted(progress, partial(step, settings, day))
    seen = _counted(progress, partial(steps.watch, settings, day, run=run))
    for sentence in seen["alerts"]:
        alerting.tell(settings, day, alerting.worse(day, sentence))
    return {"auc_alerts": seen["alerts"], "page": seen["page"]}


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
