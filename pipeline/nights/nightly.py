"""A night's turn and its record: nights go by data day, one after another, and none is skipped.

A night needs the state that the day before left, so it begins only when that day's night has
ended (or when the day belongs to the initial training). `reports/nightly/<line>/dt=D/night.json`
says how far the night of D is: `waiting` for an older one, `begun`, or `ended`. The record lies in
the store, not in Airflow, so nights by the command and by the DAG take turns with one another. Of
two that begin one night at once, one writes the record and the other is refused; a night is taken
over by creating `turn-<n>` beside it, which one of two can do. The newest turn holds the night.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from typing import Any
from zoneinfo import ZoneInfo

from evaluation import filed
from features.carry import ONE_DAY
from features.raw import dataset
from infra import run_key
from infra.errors import OutOfTurn, PartitionMissing
from infra.record import as_object, reading
from pipeline.nights import workers
from pipeline.raw import arrival, one_log, simulated_days
from pipeline.raw.arrival import LOOK_BACK
from pipeline.settings import Settings


class State(StrEnum):
    """How far a night is."""

    WAITING = "waiting"
    """It was refused because an older night has not ended; it is started again after that."""
    BEGUN = "begun"
    ENDED = "ended"


@dataclass(frozen=True, kw_only=True)
class Night:
    """What is kept of one night."""

    day: str
    state: State
    run: str
    """The DAG run that works on it, or the process (`pipeline.nights.workers`)."""
    at: str
    """When it came into this state (UTC)."""
    conf: Mapping[str, Any] = field(default_factory=dict)
    """Params of the run, to start it again with."""
    outcome: str = ""
    """Of the gate; else why nothing was judged."""
    late: bool = False
    """Whether somebody was told that its raw data is late."""
    turn: int = 0
    """How many times it was taken over."""


@dataclass(frozen=True, kw_only=True)
class Look:
    """What a waiting night sees."""

    ready: bool
    late: bool
    """Whether the deadline has passed."""
    sentence: str


def key(settings: Settings, day: date) -> str:
    """Where the record of a night lies."""
    return f"{_folder(settings, day)}/night.json"


def read(settings: Settings, day: date) -> Night | None:
    """The record of a night, if it ever wanted to begin; `RecordCorrupt` if it cannot be read."""
    content = settings.store.get(key(settings, day))
    if content is None:
        return None
    redo = f"if that night had not ended, `dupn run nightly --day {day}` does it again."
    with reading(key(settings, day), f"Remove it, and any turn-* beside it; {redo}"):
        data = as_object(content)
        return Night(**{**data, "state": State(data["state"])})


def obstacle(settings: Settings, day: date) -> str:
    """The older night that comes before that of `day`, in a sentence; empty if none does."""
    eve = day - ONE_DAY
    # one that only waits and whose day is published all the same never had to be: training was
    while (night := read(settings, eve)) and _waits(night) and not _is_built(settings, eve):
        eve -= ONE_DAY
    first = eve + ONE_DAY  # the oldest that waits, or the night that asks
    if night and night.state is State.BEGUN:
        return (
            f"the night of {eve} has not ended (begun since {night.at}, {night.run}), and that of "
            f"{day} needs what it leaves. Mend it first{mend(night)}; this one goes on after it."
        )
    if not _is_built(settings, eve):
        newest = _newest(settings, first)
        if newest is None:
            return (
                f"no day before {first} is published under {settings.home}. Train first: trigger "
                "dupn_initial_train, or `dupn run initial`."
            )
        return (
            f"samples/dt={eve} is not published, and the night of {day} needs what that day "
            f"leaves. The newest day is {newest}: run the night of {newest + ONE_DAY} first."
        )
    if first != day:
        return (
            f"the night of {first} only waits, and that of {day} needs what it leaves. Clear its "
            f"task `raw`, or `dupn run nightly --day {first}`; this one goes on after it."
        )
    return ""


def mend(night: Night) -> str:
    """How to end a night that has begun, to set after what is said of it; empty while it runs."""
    if not workers.is_command(night.run):
        return (
            ": if a task of that run has failed, clear it and its downstream tasks; if the run was "
            "deleted, or marked as a whole, trigger its day again"
        )
    if workers.alive(night.run):
        return ""
    return f": that process is gone, and `dupn run nightly --day {night.day}` goes on with it"


def tell_late(settings: Settings, day: date, tell: Callable[[], bool]) -> None:
    """Tell somebody once a night; at the next look again if nobody was reached."""
    night = read(settings, day)
    if night and not night.late and tell() and read(settings, day) == night:
        _write(settings, replace(night, late=True))


def begin(
    settings: Settings,
    day: date,
    run: str,
    conf: Mapping[str, Any] | None = None,
    *,
    take_over: bool = False,
) -> None:
    """Take the turn.

    Args:
        settings: whose night.
        day: the data day.
        run: who asks; asking again is harmless.
        conf: Params to start it again with.
        take_over: also from a run that may still be at work.

    Raises:
        OutOfTurn: another night comes first (the record then says that a DAG run waits), somebody
            else works on this one, or the day's turn is over.
        InputError: the data set is not that of the day before.
    """
    one_log.require_next(settings.store, dataset.load(settings.dataset).name, day)
    reason = obstacle(settings, day)
    if reason:
        _note_waiting(settings, _new(day, State.WAITING, run, conf))
        raise OutOfTurn(reason)
    _require_not_over(settings, day)
    _require_unlearnt(settings, day)
    mine = _new(day, State.BEGUN, run, conf)
    if _note_first(settings, mine):
        return
    night = _held(settings, day) or mine
    if night.state is State.BEGUN and night.run == run:
        written = read(settings, day)
        if night.turn > (written.turn if written else 0):  # killed before its record, tried again
            _write(settings, replace(mine, turn=night.turn))
        return
    if night.state is State.BEGUN and not take_over and _at_work(night.run, run):
        raise OutOfTurn(
            f"the night of {day} is being worked on since {night.at} ({night.run}). Wait for its "
            f"end; if it is dead, take it over: `dupn run nightly --day {day} --take-over`."
        )
    turn = night.turn + 1
    if not settings.store.put_new(_turn(settings, day, turn), run):
        raise OutOfTurn(
            f"the night of {day} was taken at the same moment by somebody else. `dupn status` "
            "says who works on it; wait for its end."
        )
    _write(settings, replace(mine, turn=turn))


def look(settings: Settings, day: date, waited: timedelta) -> Look:
    """Whether the raw data of the day is there; what is missing if it is not.

    Raises:
        PartitionMissing: the night has waited for `nightly.give_up_hours`.
    """
    config = settings.nightly
    found = arrival.look(settings.store, day, config)
    if simulated_days.is_next(settings, day):
        return Look(ready=True, late=False, sentence=f"{day} is simulated next.")
    if found.ready and not _may_grow(settings, day, found):
        return Look(ready=True, late=False, sentence=found.sentence)
    if found.ready:
        zone = dataset.load(settings.dataset).time_zone
        return Look(ready=False, late=False, sentence=f"{day} is not over in {zone}.")
    if waited >= timedelta(hours=config.give_up_hours):
        raise PartitionMissing(
            f"{found.sentence} The night gave up after {config.give_up_hours:g} h "
            "(nightly.give_up_hours). When the data is there, clear this task."
        )
    late = waited >= timedelta(hours=config.deadline_hours)
    return Look(ready=False, late=late, sentence=found.sentence)


def end(settings: Settings, day: date, run: str, outcome: str) -> Night:
    """Give the turn back; the record as it stands then.

    A night that somebody else has taken over and ended stays as it is.

    Raises:
        OutOfTurn: somebody else has taken it over and works on it.
    """
    night = _held(settings, day) or _new(day, State.BEGUN, run, None)
    if night.run != run:
        if night.state is State.ENDED:
            return night
        raise OutOfTurn(
            f"the night of {day} was taken over from {run} and is {night.state} since {night.at} "
            f"({night.run}), which will end it. There is nothing to do here."
        )
    ended = replace(night, state=State.ENDED, at=_now(), outcome=outcome)
    _write(settings, ended)
    return ended


def waiting(settings: Settings, day: date) -> Night | None:
    """The night after `day`, if it wanted to begin before its turn."""
    after = read(settings, day + ONE_DAY)
    return after if after is not None and _waits(after) else None


def _may_grow(settings: Settings, day: date, found: arrival.Arrival) -> bool:
    """Whether nobody said that the day is whole, and it is not over where its data comes from."""
    zone = ZoneInfo(dataset.load(settings.dataset).time_zone)
    over = datetime.combine(day + ONE_DAY, datetime.min.time(), zone)
    said = all(table.changed is None for table in found.here)
    return not said and datetime.now(UTC) < over


def _require_not_over(settings: Settings, day: date) -> None:
    """Refuse a night on which a later one was built: it would wait for nothing that ever ends."""
    after = read(settings, day + ONE_DAY)
    if after is not None and not _waits(after):
        raise OutOfTurn(
            f"the night of {day + ONE_DAY} was built on that of {day} already. "
            f"`dupn backfill --day {day}` makes {day} again and everything after it."
        )


def _require_unlearnt(settings: Settings, day: date) -> None:
    """Refuse the first night of a day that a training from nothing has learnt."""
    store, line = settings.store, settings.line
    night = read(settings, day)
    if night is not None and not _waits(night):
        return
    for run in store.names("checkpoints"):
        if run_key.line(run) != line or run_key.until(run) < day.isoformat():
            continue
        final = store.partition("checkpoints", None, run, "final")
        lineage = final.manifest().lineage if final.exists() else {"parent": ""}
        if "parent" not in lineage and day.isoformat() in lineage["days"]:
            raise OutOfTurn(
                f"{run} has learnt {day} already, in a training that was no night. "
                f"`dupn backfill --day {day}` makes the data of the day again, and all that rests "
                "on it."
            )


def _held(settings: Settings, day: date) -> Night | None:
    """The record, held by whoever took the newest turn, even if he died before he wrote it."""
    night = read(settings, day)
    names = settings.store.names(_folder(settings, day)) if night else []
    newest = max((int(name[5:]) for name in names if name.startswith("turn-")), default=0)
    if night is None or newest <= night.turn:
        return night
    run = (settings.store.get(_turn(settings, day, newest)) or b"").decode()
    return replace(night, state=State.BEGUN, run=run, turn=newest)


def _waits(night: Night) -> bool:
    return night.state is State.WAITING


def _is_built(settings: Settings, day: date) -> bool:
    return settings.store.partition("samples", day).exists()


def _newest(settings: Settings, before: date) -> date | None:
    return next((day for day in settings.store.backwards("samples") if day < before), None)


def _folder(settings: Settings, day: date) -> str:
    return settings.store.partition(filed.nightly(settings.line), day).key


def _turn(settings: Settings, day: date, number: int) -> str:
    """What is created, once, by whoever takes a night over: 1 at first, then 2."""
    return f"{_folder(settings, day)}/turn-{number}"


def _new(day: date, state: State, run: str, conf: Mapping[str, Any] | None) -> Night:
    return Night(day=day.isoformat(), state=state, run=run, at=_now(), conf=dict(conf or {}))


def _at_work(holder: str, asking: str) -> bool:
    """Whether a night's holder may still be at work, so that `asking` must not begin it too."""
    if workers.is_command(holder):
        return workers.alive(holder)
    return workers.is_command(asking)  # Airflow keeps DAG runs apart, but for a Backfill's


def _note_waiting(settings: Settings, night: Night) -> None:
    """Of those that ask for a night in vain the last is started again, with its Params.

    Nobody starts a command again. Without a day that was built no night ever ends here, and one far
    from it is mistyped.
    """
    day = date.fromisoformat(night.day)
    built = _newest(settings, day)
    if workers.is_command(night.run) or built is None or (day - built).days > LOOK_BACK:
        return
    there = read(settings, day)
    if there is not None and _waits(there) and there.run != night.run:
        _write(settings, night)
    else:
        _note_first(settings, night)


def _note_first(settings: Settings, night: Night) -> bool:
    """Write a night's record if it has none; of two that do so at once, one succeeds."""
    return settings.store.put_new(key(settings, date.fromisoformat(night.day)), _content(night))


def _write(settings: Settings, night: Night) -> None:
    settings.store.put(key(settings, date.fromisoformat(night.day)), _content(night))


def _content(night: Night) -> str:
    return json.dumps(asdict(night), indent=1)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
