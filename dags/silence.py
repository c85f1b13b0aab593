"""Looks of a waiting task that nobody answered, and who was told of them: what Airflow keeps.

A task in mode `reschedule` is a new process at each look, its XComs are cleared before it, and the
store, in which such a note might lie, is what does not answer. Airflow's state of a task is left.
"""

from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from typing import Any

KEY = "unanswered"
SOON = 3
"""Looks in a row after which somebody hears of it."""
AGAIN = timedelta(hours=1)
"""Somebody who was told is left alone for so long."""


@dataclass(frozen=True, kw_only=True)
class Silence:
    """As of the look that went unanswered last."""

    look: int
    """Its number, of those of the task's try."""
    row: int
    """How many in a row, up to this one, went unanswered."""
    heard: bool
    """Whether somebody was told since the first of the row."""
    told: str
    """When somebody was told last, of this row or one before; empty: never."""

    def is_to_be_told(self, now: datetime, *, again: bool) -> bool:
        """Whether somebody should hear of it now; of what was told already only if `again`."""
        left_alone = bool(self.told) and now - datetime.fromisoformat(self.told) < AGAIN
        return self.row >= SOON and (again or not self.heard) and not left_alone

    def after_telling(self, now: datetime) -> "Silence":
        """The same, heard of."""
        return replace(self, heard=True, told=now.isoformat())


def of_this_look(context: Any) -> Silence:
    """With the running look, which nobody answered."""
    look, kept = context["task_reschedule_count"], context["task_state_store"].get(KEY)
    if kept is None:
        return Silence(look=look, row=1, heard=False, told="")
    before = Silence(**kept)
    if before.look != look - 1:  # the one before was answered
        return replace(before, look=look, row=1, heard=False)
    return replace(before, look=look, row=before.row + 1)


def keep(context: Any, silence: Silence) -> None:
    """For the looks to come."""
    context["task_state_store"].set(KEY, asdict(silence))
