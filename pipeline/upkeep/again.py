"""What makes a past day again: a backfill, which reads its raw rows; without those, single stages.

dupn never removes raw, but who owns it may, and a backfill refuses a day that it cannot read. What
comes after events needs a day's events alone; without those too, the day stays as it is.
"""

from collections.abc import Sequence
from datetime import date

from features import inputs
from infra.store import Store
from pipeline.raw import arrival


def backfill(day: date) -> str:
    """The command, as it is told."""
    return f"`dupn backfill --day {day}`"


def stage(store: Store, day: date, stage: str) -> str:
    """How a stage of a day, and what follows from it, is made again, in sentences."""
    if arrival.is_there(store, day):
        return f"{backfill(day)} makes it again, and what follows from it."
    after = inputs.STAGES[inputs.STAGES.index(stage) :]
    there = [one for one in after if inputs.published(store, one, day).exists()]
    return _without_raw(store, day, there, " `dupn status` names then what follows from it.")


def samples(store: Store, day: date) -> str:
    """How samples that are gone are made again, in sentences."""
    if arrival.is_there(store, day):
        return f"{backfill(day)} makes them again from raw, and the next night learns them."
    return _without_raw(store, day, ["rebuild", "samples"], " The next night learns them.")


def lacking(store: Store, days: Sequence[date]) -> list[date]:
    """Those of which there is no raw behaviour (any more)."""
    return [day for day in days if not arrival.is_there(store, day)]


def _without_raw(store: Store, day: date, steps: Sequence[str], then: str) -> str:
    gone = f"raw/dt={day}/behaviors, which a backfill reads, is not there"
    if not store.partition("events", day, "behaviors").exists():
        return f"{gone}, and neither are its events: without one of them nothing makes it again."
    commands = [f"`dupn {step} --day {day}`" for step in steps]
    if "samples" in steps:
        commands.append(f"`dupn quality --day {day} --of samples`")
    told = commands[0] if len(commands) == 1 else f"{', '.join(commands)} (in this order)"
    return f"{gone}: from events, {told}.{then}"
