"""What changed after its night: raw data, or a day before it; and what `dupn backfill` then does.

A night reads what the day before left. When a day is made again, those after it stay what they were
until they are made again too: `dupn backfill` does both, a step by hand or a backfill that was cut
off only the first.
"""

from datetime import date

from features import inputs
from infra.store import Store
from pipeline import arrival, backfill


def sentences(store: Store) -> list[str]:
    """All of it."""
    store = store.resolved()
    return [*arrived_again(store), *behind(store)]


def arrived_again(store: Store) -> list[str]:
    """One sentence for each day whose raw data is not what its events were made of."""
    days = store.days("events", "behaviors")[-arrival.LOOK_BACK :]
    return [f"{day}: {_command(day)} takes it in." for day in arrival.arrived_again(store, days)]


def behind(store: Store) -> list[str]:
    """One sentence for each day that has to be made again since its own input was.

    Of days whose sequences are kept: those of which a stage was made from something else than what
    is there now. What follows from it is made again with it. And backfills without an end.
    """
    store = store.resolved()
    days = store.days("sequences", "history")[-arrival.LOOK_BACK :]
    found = [sentence for day in days if (sentence := _stale(store, day))]
    return found + [
        f"{day}: its backfill has not ended. If nobody works on it, {_command(day)} goes on with "
        f"it{'' if last == day else f', to {last}'}."
        for day, last in backfill.unfinished(store).items()
    ]


def _stale(store: Store, day: date) -> str:
    """Of the first stage of a day that is not what its inputs would give."""
    for stage in inputs.STAGES:
        there = inputs.published(store, stage, day).exists()
        if there and (changed := inputs.changed(store, stage, day)):
            return (
                f"{day}: its stage {stage} was made from another {changed[0]}. {_command(day)} "
                "makes it again, and what follows from it."
            )
    return ""


def _command(day: date) -> str:
    return f"`dupn backfill --day {day}`"
