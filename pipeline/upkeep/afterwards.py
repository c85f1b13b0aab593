"""What changed after its night: raw data, or a day before it; and what `dupn backfill` then does.

A night reads what the day before left. When a day is made again, those after it stay what they were
until they are made again too: `dupn backfill` does both, a step by hand or a backfill that was cut
off only the first. Of a day whose raw rows are gone, which a backfill refuses, other commands are
told (`pipeline.upkeep.again`).
"""

from collections.abc import Callable, Iterable, Sequence
from datetime import date
from itertools import islice

from features import inputs
from infra.errors import PartitionCorrupt, RecordCorrupt
from infra.store import Store
from pipeline.quality import judged
from pipeline.raw import arrival
from pipeline.upkeep import again, backfill


def sentences(store: Store) -> list[str]:
    """All of it; of a manifest that cannot be read, that it cannot."""
    store = store.resolved()
    return list(dict.fromkeys([*arrived_again(store), *behind(store)]))


def arrived_again(store: Store) -> list[str]:
    """One sentence for each day whose raw data is not what its events were made of."""
    days = _newest(store, "events", "behaviors")
    return _each(days, lambda day: _other(store, day))


def behind(store: Store) -> list[str]:
    """One sentence for each day that has to be made again since its own input was.

    Of days whose sequences are kept: those of which a stage was made from something else than what
    is there now. What follows from it is made again with it. Of days whose samples are kept: those
    made again, by hand, that quality has not judged since. And backfills without an end.
    """
    store = store.resolved()
    days, made = _newest(store, "sequences", "history"), _newest(store, "samples")
    told = _each(sorted({*days, *made}), lambda day: _of_day(store, day, days, made))
    return told + [
        f"{day}: its backfill has not ended. {_unended(store, day, last)}"
        for day, last in backfill.unfinished(store).items()
    ]


def _unended(store: Store, day: date, last: date) -> str:
    if gone := again.lacking(store, backfill.span(day, last)):
        return (
            f"It cannot go on, since raw/dt={gone[0]}/behaviors is not there. Bring it back; or, "
            "where no other day is named here as behind, remove "
            f"{store.address(backfill.NOTES, f'{day}.json')}."
        )
    to = "" if last == day else f", to {last}"
    return f"If nobody works on it, {again.backfill(day)} goes on with it{to}."


def _newest(store: Store, *stage: str) -> list[date]:
    """Of its days those that are looked at, oldest first."""
    return list(islice(store.backwards(*stage), arrival.LOOK_BACK))[::-1]


def _each(days: Iterable[date], say: Callable[[date], str]) -> list[str]:
    """What is said of days; one whose manifest is spoilt hides no other, and ends no night badly.

    The next day reads that manifest, too, and would say the same.
    """
    found = []
    for day in days:
        try:
            found.append(say(day))
        except (PartitionCorrupt, RecordCorrupt) as error:
            found.append(str(error))
    return list(dict.fromkeys(sentence for sentence in found if sentence))


def _other(store: Store, day: date) -> str:
    if not arrival.arrived_again(store, [day]):
        return ""
    return f"{day}: {again.backfill(day)} takes it in.{_let_in(store, day)}"


def _let_in(store: Store, day: date) -> str:
    """What a backfill of the day alone does besides, where a person left the day out."""
    if not judged.is_left_out(store, day) or again.lacking(store, [day]):
        return ""
    return " A person left the day out: if it passes quality then, nights learn it."


def _of_day(store: Store, day: date, kept: Sequence[date], made: Sequence[date]) -> str:
    """One sentence: what makes a day again has it judged, too."""
    if said := _stale(store, day) if day in kept else "":
        return said
    told = judged.unjudged(store, day) if day in made else ""
    return "" if told and _other(store, day) else told


def _stale(store: Store, day: date) -> str:
    """Of the first stage of a day that is not what its inputs would give."""
    for stage in inputs.STAGES:
        there = inputs.published(store, stage, day).exists()
        if there and (changed := inputs.changed(store, stage, day)):
            return (
                f"{day}: its stage {stage} was made from another {changed[0]}. "
                f"{again.stage(store, day, stage)}{_let_in(store, day)}"
            )
    return ""
