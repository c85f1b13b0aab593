"""What a night does around its steps, by tasks of Airflow as by `dupn run nightly`.

Whether a day that fails quality goes on, what is told of what a step answers, and how a night ends.
The order of the steps stands twice, in `pipeline.chain` and in the DAGs; this stands once, so that
both tell the same. Each says how it tells: a task's alert names the task.
"""

from collections.abc import Callable, Mapping
from datetime import date
from typing import Any

from infra.errors import QualityFailed
from pipeline import steps
from pipeline.learn import recipes
from pipeline.nights import alerting, night_page, nightly
from pipeline.nights.alerting import Words
from pipeline.nights.nightly import Night
from pipeline.nights.outcomes import Learnt
from pipeline.quality import judged
from pipeline.settings import Settings
from pipeline.upkeep import afterwards

Tell = Callable[[Words], object]
"""Sends what it is given."""


def judge(settings: Settings, day: date, of: str, tell: Tell, *, leave_out: bool) -> None:
    """Quality of the day's events or samples; a day that is left out goes on if it fails.

    Raises:
        QualityFailed: it failed, and nobody leaves the day out.
    """
    try:
        steps.quality(settings, day, of)
    except QualityFailed as failed:
        if not leave_out:
            raise
        tell(alerting.left_out(day, str(failed)))


def learn(settings: Settings, day: date, tell: Tell, *, leave_out: bool) -> Mapping[str, Any]:
    """The night's update, unless a person leaves the day out, which is noted for nights to come.

    Args:
        settings: without a recipe; that of the line which a night updates is put on them.
        day: the data day.
        tell: sends what is told of the update.
        leave_out: whether a person leaves the day out.
    """
    judged.leave_out(settings.store, day, out=leave_out)
    if leave_out:
        return {"run": "", "outcome": Learnt.LEFT_OUT.value}
    learnt = steps.update(recipes.tonight(settings), day)
    for words in alerting.of_update(day, learnt):
        tell(words)
    return learnt


def close(settings: Settings, day: date, run: str, outcome: str, tell: Tell) -> Night | None:
    """End the night; the one after it, if that asked for its turn too early.

    Args:
        settings: whose night.
        day: the data day.
        run: who holds the night.
        outcome: how it ends (`pipeline.nights.outcomes`).
        tell: sends what is told of days that have to be made again.
    """
    nightly.end(settings, day, run, outcome)
    night_page.draw_unwatched(settings, day)
    if again := afterwards.sentences(settings.store):
        tell(alerting.changed(again))
    return nightly.waiting(settings, day)
