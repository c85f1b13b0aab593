"""`dupn rebuild`: carried state of a day, missing or spoilt, built again from events.

State of a day follows from the state of the day before and the day's events, so it is walked: from
the newest day whose state is whole (every byte is compared with its manifest) up to the day asked
for, or from the first day of the log where there is none. Where events have been swept, the first
of those that are left is not that day, and a walk from there would forget what was before: it is
refused. The walk is the nightly jobs, so the bytes are those of the nights. Vocabulary, catalog and
statistics go together; sequences go alone.
"""

import logging
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from typing import Any

from features import carry, inputs
from features.carry import ONE_DAY
from infra.errors import PartitionCorrupt, PartitionMissing
from infra.store import Partition, Store
from pipeline import steps
from pipeline.settings import Settings
from pipeline.upkeep import again, otherwise

logger = logging.getLogger(__name__)

CHAINS: tuple[tuple[str, ...], ...] = (("vocabulary", "statistics"), ("sequences",))
"""Stages that read each other's yesterday, in the order of a day."""


LEAF = {
    "vocabulary": ("catalog",),
    "statistics": ("statistics", "item"),
    "sequences": ("sequences", "history"),
}
"""A partition of each stage, as `Store.latest` takes it."""


def run(settings: Settings, day: date) -> Mapping[str, Any]:
    """Make the carried state of `day` whole; what is whole already is left as it is.

    Raises:
        PartitionMissing: events that the walk needs are not published; nothing was touched then.
    """
    built: dict[str, list[str]] = {}
    for chain, days in walks(settings.store, day).items():
        _warn(settings, chain, days)
        for one in days:
            for stage in chain:
                _take_back(settings.store, stage, one)
        for one in days:
            for stage in chain:
                getattr(steps, stage)(settings, one)
                built.setdefault(stage, []).append(one.isoformat())
    if not built:
        logger.info("rebuild %s: vocabulary, statistics and sequences are whole", day)
    _say_otherwise(settings.store, built)
    return {"day": day.isoformat(), "built": built or "nothing: all of it is whole"}


def walks(store: Store, day: date) -> dict[tuple[str, ...], list[date]]:
    """By chain the days to walk, all that they need being there.

    Raises:
        PartitionMissing: events of a day are not published; or a walk would begin from nothing on a
            day that is not the first of the log.
    """
    found = {chain: missing(store, chain, day) for chain in CHAINS}
    for chain, days in found.items():
        if days and not _goes_on(store, chain, days[0]):
            carry.require_first(store, days[0])
        require_events(store, days)
    return found


def _goes_on(store: Store, chain: Sequence[str], day: date) -> bool:
    """Whether the day before is whole, or is one that `require_events` will miss."""
    known = store.days("events", "behaviors")
    if known and known[0] < day:
        return True
    return are_whole(store, chain, day - ONE_DAY)


def missing(store: Store, chain: Sequence[str], day: date) -> list[date]:
    """The days to walk, oldest first: after the newest whole one, up to `day`."""
    known = [one for one in store.days("events", "behaviors") if one <= day]
    first = known[0] if known else day
    walk: list[date] = []
    one = day
    while one >= first and not are_whole(store, chain, one):
        walk.append(one)
        one -= ONE_DAY
    return walk[::-1] or ([] if are_whole(store, chain, day) else [day])


def are_whole(store: Store, chain: Sequence[str], day: date) -> bool:
    """Whether every byte of these stages of a day is what it was; read only where all is there."""
    parts = [part for stage in chain for part in inputs.written(store, stage, day)]
    return all(part.exists() for part in parts) and all(_is_sound(part) for part in parts)


def _is_sound(part: Partition) -> bool:
    try:
        part.verify()
    except PartitionMissing:
        return False
    except PartitionCorrupt as error:
        logger.info("%s", error)
        return False
    return True


def require_events(store: Store, days: Sequence[date]) -> None:
    """Every day of the walk has events.

    Raises:
        PartitionMissing: naming the days from the first to the last that have none.
    """
    gone = [day for day in days if not store.partition("events", day, "behaviors").exists()]
    if gone:
        remedy = f"`dupn events --from {gone[0]} --to {gone[-1]}`"
        if gone[0] == gone[-1]:
            remedy = f"`dupn events --day {gone[0]}`"
        raise PartitionMissing(
            f"events/dt={gone[0]}/behaviors is not published, and state of {days[-1]} cannot be "
            f"built without it. Run {remedy} first."
        )


def _warn(settings: Settings, chain: Sequence[str], days: Sequence[date]) -> None:
    """Say so where the bytes may not be those of the nights."""
    store = settings.store
    for stage in chain if days else ():
        first, *rest = LEAF[stage]
        beside = [store.partition(first, one, *rest) for one in _around(days)]
        near = [one for one in beside if one.exists()]
        newest = store.latest(first, date.max, *rest)
        for one in near or ([newest] if newest else []):
            if otherwise.is_other(settings, stage, one):
                logger.warning(
                    "%s was built with other settings than those of now, or by a release that had "
                    "other ones: what is built now has the same bytes only if they say the same",
                    one.key,
                )
    raw = [one for one in store.days("raw", "behaviors") if days and one < days[0]]
    if raw and not _goes_on(store, chain, days[0]):
        logger.warning(
            "the walk begins on %s, the first day of events, but there are raw days from %s on; if "
            "the nights had those too, run `dupn events --from %s --to %s` first",
            *(days[0], raw[0], raw[0], raw[-1]),
        )


def _around(days: Sequence[date]) -> tuple[date, date]:
    """The day before a walk and the day after it."""
    return days[0] - ONE_DAY, days[-1] + ONE_DAY


def _say_otherwise(store: Store, built: Mapping[str, Sequence[str]]) -> None:
    try:
        for said in _told(store, built):
            logger.warning("%s", said)
    except PartitionCorrupt as error:  # what was to be built is there all the same
        logger.warning("%s", error)


def _told(store: Store, built: Mapping[str, Sequence[str]]) -> Iterator[str]:
    """What was made from state that is there again, though not as it was.

    Settings decide that, and so does what only lays rows in other files.
    """
    store = store.resolved()
    walked = {stage: [date.fromisoformat(day) for day in days] for stage, days in built.items()}
    keys = {
        part.key
        for stage, days in walked.items()
        for day in days
        for part in inputs.written(store, stage, day)
    }
    every = {day for days in walked.values() for day in days}
    for day in sorted(every | {day + ONE_DAY for day in every}):
        there = [one for one in inputs.STAGES if inputs.published(store, one, day).exists()]
        others = {stage: keys & set(inputs.changed(store, stage, day)) for stage in there}
        if any(others.values()):
            yield (
                f"{', '.join(stage for stage in there if others[stage])} of {day}: made from "
                f"another {min(set().union(*others.values()))} than is built now, which has other "
                "settings, other files (`beam.buckets`, `rows_per_range`) or another release. "
                "Build it with those of then. Or else: "
                f"{again.stage(store, day, next(one for one in there if others[one]))}"
            )


def _take_back(store: Store, stage: str, day: date) -> None:
    """A spoilt partition must not be read by anybody, least of all by the walk itself.

    What is sound stays, although it is built again: its ids keep their rows. But what closes the
    day goes first: nobody can tell which vocabularies of profiles a day had once one is gone, so a
    walk that is cut short leaves a day that is not whole.
    """
    parts = inputs.written(store, stage, day)
    spoilt = [part for part in parts if not _is_sound(part)]
    for part in [parts[-1], *spoilt] if spoilt else []:
        part.remove()
