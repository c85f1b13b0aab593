"""On which moments of a day a candidate may be judged: those that neither model has learnt.

An initial training leaves the day after it untouched, so all of that day's users judge it. A
night's update learns its own day but for the users held out on it, so only those judge it. What a
model has learnt stands in its ancestry; a day that leaves nothing is refused by name.
"""

from collections.abc import Mapping
from datetime import date

from infra.errors import TrainingError
from training.ancestry import Ancestry, Part, Share


def unseen(models: Mapping[str, Ancestry], day: date) -> Part | None:
    """The users of `day` whose moments none of the models has learnt; None for everybody.

    Args:
        models: ancestry by run key, the candidate's first.
        day: to be judged on.

    Raises:
        TrainingError: a model has learnt the whole day, or the moments of its held-out users.
    """
    shares = []
    for key, ancestry in models.items():
        if not ancestry.has(day):
            continue
        held = ancestry.held(day)
        if held is None:
            raise TrainingError(
                f"{key} has learnt every moment of {day}: nothing of that day is left to judge it "
                "on. Evaluate on a day that neither candidate nor champion has learnt whole."
            )
        shares.append(held)
    # A smaller share holds out some of the users of a larger one, so the smallest suits all.
    return Part(day=day, share=Share.HOLDOUT, held=min(shares)) if shares else None


def words(some: Part | None, day: date) -> str:
    """How the report says who was asked, and who knows what of that day."""
    if some is None:
        return f"{day}; no moment of it was trained on"
    return (
        f"{day}; only the users held out from training on that day ({some.held:.0%} of all, drawn "
        "afresh every day by a day-salted hash). A night's candidate has learnt that day of the "
        "other users; yardsticks, and a champion from before it, know the days before it only"
    )
