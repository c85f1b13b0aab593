"""`dupn backfill`: past days published again, and everything after them that follows from it.

The plan lists all that may have to be redone, before anything is. Then events of the day, or of the
days of a range, are read again, and each later stage is redone only if what it was made from (the
stamps in its lineage) is not what is there now; so a day that comes out as it was costs one pass
over its raw files, and a run that was killed goes on where it stood. Samples that were trained stay
in the models that saw them: facts are not unlearned, and the plan says which models those are.
"""

import json
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime
from typing import Any

from features import carry, inputs
from features.carry import ONE_DAY
from infra.errors import ConfigError, PartitionMissing, QualityFailed, RecordCorrupt
from infra.record import loaded
from infra.store import Store
from pipeline import steps
from pipeline.quality import judged
from pipeline.settings import Settings
from pipeline.upkeep import again, otherwise, rebuilding

logger = logging.getLogger(__name__)

NOTES = "reports/backfill"
STATE = ("vocabulary", "statistics", "sequences")


@dataclass(frozen=True, kw_only=True)
class Redo:
    """One stage of one day, and why it may have to be redone."""

    stage: str
    """A step; `quality_samples` is `quality --of samples`."""
    day: date
    why: str
    sure: bool
    """Whether it is redone in any case; otherwise only if its inputs come out otherwise."""


def plan(settings: Settings, day: date, last: date | None = None) -> list[Redo]:
    """What a backfill may redo, in the order in which it would: each stage of a day once.

    Args:
        settings: whose days.
        day: the first day whose raw rows are read again.
        last: the last one; without it that day alone. A backfill from the same day that was cut
            off is gone on with to its own last day.

    Raises:
        ConfigError: the last day is before the first.
        PartitionMissing: there is no raw data of one of these days; or events are gone from which
            state of the days before, or after, would have to be built.
    """
    store = settings.store
    if last and last < day:
        raise ConfigError(f"the days from {day} to {last} are none: name the older day first.")
    asked = span(day, max(last or day, unfinished(store).get(day, day)))
    for one in asked:
        if not store.partition("raw", one, "behaviors").names():
            raise PartitionMissing(
                f"raw/dt={one}/behaviors is not there, so {one} cannot be read again. "
                "Put the day's files there first."
            )
    end = _last(store, asked[-1])
    _require(store, day, end)
    found = []
    for one in asked:
        found += [
            Redo(stage="events", day=one, why="its raw rows are read again", sure=True),
            Redo(stage="quality", day=one, why="its events are judged again", sure=True),
        ]
    for one in span(day, end):
        found += _of_day(settings, asked, one)
    return found


def span(first: date, last: date) -> list[date]:
    """The days from one to another, both among them."""
    return [first + ONE_DAY * n for n in range((last - first).days + 1)]


def _require(store: Store, day: date, last: date) -> None:
    """What a backfill may need is there, or can be built: asked before anything is replaced."""
    for before in _swept(store, "samples", day):
        rebuilding.walks(store, before)
    rebuilding.require_events(store, span(day + ONE_DAY, last))


def _of_day(settings: Settings, asked: Sequence[date], day: date) -> Iterator[Redo]:
    store = settings.store
    reasons = ["events of the day change"] if day in asked else []
    if day != asked[0]:
        earlier = asked[0] if len(asked) == 1 else "a day before"
        reasons.append(f"{earlier} changes what is carried")
    reason = " or ".join(reasons)
    for stage in inputs.STAGES:
        there = inputs.published(store, stage, day).exists()
        stale = inputs.changed(store, stage, day) if there else []
        if not there and day in asked:
            yield Redo(stage=stage, day=day, why="it is not published", sure=True)
        elif stale:
            why = f"it was made from another {stale[0]}"
            yield Redo(stage=stage, day=day, why=why, sure=True)
        elif there or stage in STATE:
            made = inputs.published(store, stage, day)
            other = there and otherwise.is_other(settings, stage, made)
            why = f"if {reason}{', then with other settings than before' if other else ''}"
            yield Redo(stage=stage, day=day, why=why, sure=False)
        if stage == "samples" and (there or day in asked):
            why = "if its samples change"
            yield Redo(stage="quality_samples", day=day, why=why, sure=False)


def _last(store: Store, day: date) -> date:
    """The newest day that has anything to redo."""
    days = [store.days("samples"), store.days("sequences", "history"), store.days("catalog")]
    return max([day, *[found[-1] for found in days if found]])


def models(settings: Settings, days: Iterable[date]) -> list[str]:
    """Run keys of models that were trained on any of the days: they keep what they learned."""
    store = settings.store
    found, asked = [], {one.isoformat() for one in days}
    for key in store.names("checkpoints"):
        final = store.partition("checkpoints", None, key, "final")
        if final.exists() and asked & set(final.manifest().lineage.get("days", [])):
            found.append(key)
    return found


def unfinished(store: Store) -> dict[date, date]:
    """Backfills that were begun and have not ended: the last day of each, by its first.

    A writer that was killed may have left its scratch file, whose name begins with a dot.
    """
    found = sorted(store.names(NOTES))
    names = [one for one in found if one.endswith(".json") and not one.startswith(".")]
    notes = [(name, _note(store, name)) for name in names]
    return {
        date.fromisoformat(name[:10]): date.fromisoformat(note.get("last", name[:10]))
        for name, note in notes
        if note.get("open")
    }


def _note(store: Store, name: str) -> Mapping[str, Any]:
    """What is kept of a backfill; one that cannot be read may not have ended."""
    key = f"{NOTES}/{name}"
    content = store.get(key)
    try:
        remedy = "Its backfill counts as one of that day alone that has not ended."
        return {} if content is None else loaded(content, key, remedy)
    except RecordCorrupt as error:
        logger.warning("%s", error)
        return {"open": True}


def describe(settings: Settings, day: date, last: date | None = None) -> Mapping[str, Any]:
    """The plan and the models as something to print."""
    redo = plan(settings, day, last)
    asked = _asked(redo)
    return {
        "day": day.isoformat(),
        "last": asked[-1].isoformat(),
        "plan": [{**asdict(one), "day": one.day.isoformat()} for one in redo],
        "models": models(settings, asked),
    }


def _asked(redo: Iterable[Redo]) -> list[date]:
    """The days of a plan whose raw rows are read again."""
    return [one.day for one in redo if one.stage == "events"]


def run(settings: Settings, day: date, last: date | None = None) -> Mapping[str, Any]:
    """Redo the days and what follows from them; what was redone, and what came out as it was."""
    done: list[str] = []
    kept: list[Redo] = []
    store = settings.store
    todo = plan(settings, day, last)
    asked = _asked(todo)
    # those that were cut off and end with this one: they do not tell what came out otherwise so
    # far, so anything may have; whom they would have let in may pass now
    within = [f"{one}.json" for one, to in unfinished(store).items() if {one, to} <= {*asked}]
    begun = {name: store.get(f"{NOTES}/{name}") for name in within}
    differs = bool(begun)
    known = [one for name in begun for one in _note(store, name).get("left_out", [])]
    left_out = sorted({*_left_out(store, asked), *map(date.fromisoformat, known)} & {*asked})
    of = {"day": day.isoformat(), "last": asked[-1].isoformat()}
    waiting = [one.isoformat() for one in left_out]
    at = datetime.now(UTC).isoformat()  # another of the same day has another note
    mine = json.dumps({"open": True, "at": at, "left_out": waiting, **of}).encode()
    store.put(f"{NOTES}/{day}.json", mine)
    begun[f"{day}.json"] = mine
    for redo in todo:
        name = f"{redo.stage} {redo.day}"
        if not _wanted(settings, redo, differs=differs):
            kept.append(redo)
            continue
        logger.info("backfill %s: %s is made again (%s)", day, name, redo.why)
        before = _stamps(settings.store, redo)
        _redo(settings, redo)
        done.append(name)
        differs |= _stamps(settings.store, redo) != before
    told = {
        **of,
        "redone": done,
        "as they were": [f"{one.stage} {one.day}" for one in kept],
        "models": models(settings, asked),
        "left out no more": _let_in(store, left_out),
    }
    for name, content in begun.items():
        if store.get(f"{NOTES}/{name}") == content:
            store.put(f"{NOTES}/{name}", json.dumps({"open": False, **told}, indent=1))
    _warn(settings, asked[0], kept)
    return told


def _left_out(store: Store, asked: Sequence[date]) -> list[date]:
    """Days that a person left out and that this backfill may let in, if they pass after it.

    Of several, those that did not pass: who leaves out a day that passes knows more than quality
    does, and has to name it alone.
    """
    out = [day for day in asked if judged.is_left_out(store, day)]
    return out if len(asked) == 1 else [day for day in out if not _passes(store, day)]


def _passes(store: Store, day: date) -> bool:
    return all(judged.passed(store, day, of) for of in judged.GROUPS)


def _let_in(store: Store, left_out: Iterable[date]) -> list[str]:
    """Days that were read again and pass now: nights may learn them."""
    mended = [day for day in left_out if _passes(store, day)]
    for day in mended:
        judged.leave_out(store, day, out=False)
        logger.warning(
            "%s was left out by a person and passes quality now: it is left out no more, and the "
            "next night learns it", day,
        )  # fmt: skip
    return [day.isoformat() for day in mended]


def _warn(settings: Settings, asked: date, kept: Sequence[Redo]) -> None:
    """Say which stages stay as other settings made them: data alone decides what is made again."""
    for stage in inputs.STAGES:
        days = [
            one.day
            for one in kept
            if one.stage == stage
            and (made := inputs.published(settings.store, stage, one.day)).exists()
            and otherwise.is_other(settings, stage, made)
        ]
        if days:
            logger.warning(
                "%d days of %s were made with other settings than those of now, or by a release "
                "that had other ones, and stay so, since their data is the same; %s makes them "
                "again, and `dupn backfill --day %s` after it what follows from them",
                len(days),
                stage,
                made_by(stage, days),
                asked if again.lacking(settings.store, days[:1]) else days[0],
            )


def made_by(stage: str, days: Sequence[date]) -> str:
    """Commands that make a stage of these days again, and none of those between them."""
    starts = [day for day in days if day - ONE_DAY not in days]
    ends = [day for day in days if day + ONE_DAY not in days]
    each = [
        f"--day {one}" if one == last else f"--from {one} --to {last}"
        for one, last in zip(starts, ends, strict=True)
    ]
    return ", ".join(f"`{' '.join(('dupn', stage, span))}`" for span in each)


def _wanted(settings: Settings, redo: Redo, *, differs: bool) -> bool:
    store = settings.store
    if redo.stage in ("events", "quality"):
        return True
    if redo.stage == "quality_samples":
        return not judged.is_current(store, redo.day, "samples")
    if not inputs.published(store, redo.stage, redo.day).exists():
        return redo.sure or differs  # swept state, in the way of a change
    return bool(inputs.changed(store, redo.stage, redo.day))


def _redo(settings: Settings, redo: Redo) -> None:
    if redo.stage == "events":
        steps.events(settings, redo.day)
    elif redo.stage == "quality":
        _judge(settings, redo.day, "events")
    elif redo.stage == "quality_samples":
        _judge(settings, redo.day, "samples")
    else:
        _have_yesterday(settings, redo)
        getattr(steps, redo.stage)(settings, redo.day)


def _judge(settings: Settings, day: date, of: str) -> None:
    """As a night does: a day that a person left out may be bad, for nothing learns it anyway.

    Raises:
        QualityFailed: nobody left the day out, and it is bad.
    """
    try:
        steps.quality(settings, day, of)
    except QualityFailed as error:
        if judged.objections(settings.store, day) != judged.LEFT_OUT:
            raise
        logger.warning("%s is left out of what is learnt, and carried on: %s", day, error)


def _have_yesterday(settings: Settings, redo: Redo) -> None:
    """State of the days before that has been swept is built again."""
    for day in _swept(settings.store, redo.stage, redo.day):
        rebuilding.run(settings, day)


def _swept(store: Store, stage: str, day: date) -> list[date]:
    """The days before, oldest first, of which `stage` reads state that is not there.

    None before the first day of the log.
    """
    back = 2 if stage == "samples" else 1
    days = [day - ONE_DAY * n for n in range(back, 0, -1)]
    return [
        one for one in days if not _has_state(store, one) and carry.oldest(store, one + ONE_DAY)
    ]


def _has_state(store: Store, day: date) -> bool:
    return all(inputs.published(store, stage, day).exists() for stage in STATE)


def _stamps(store: Store, redo: Redo) -> dict[str, str]:
    if redo.stage.startswith("quality"):
        return {}
    if redo.stage == "events":
        names = store.partition("events", redo.day).names()
        parts = [store.partition("events", redo.day, name) for name in names]
    else:
        parts = inputs.written(store, redo.stage, redo.day)
    return {part.key: part.stamp() for part in parts}
