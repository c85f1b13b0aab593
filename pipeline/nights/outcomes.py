"""In which words a night ends: those of the gate, or of why it was not asked."""

from enum import StrEnum

from infra.store import Store
from pipeline.release import verdicts


class Learnt(StrEnum):
    """What became of a night's update."""

    TRAINED = "trained"
    FINISHED_BEFORE = "finished before"
    """There is a candidate already, which may still be judged."""
    SKIPPED = "skipped"
    """There was nothing to learn, and there is no candidate."""
    LEFT_OUT = "left out"
    """A person leaves the day out of what is learnt."""


def of(store: Store, run: str, *, leave_out: bool) -> str:
    """What the gate said of the night's candidate, or why it said nothing.

    Args:
        store: keeps its verdicts.
        run: key of the candidate; empty if there is none.
        leave_out: whether a person leaves the day out.
    """
    if leave_out:
        return Learnt.LEFT_OUT.value
    return (verdicts.outcome(store, run) if run else "") or Learnt.SKIPPED.value
