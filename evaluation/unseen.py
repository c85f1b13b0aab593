"""On which moments of a day a candidate may be judged: those that neither model has learnt.

An initial training leaves the day after it untouched, so all of that day's users judge it. A
night's update learns its own day but for the users held out on it, so only those judge it. What a
model has learnt stands in its ancestry; a day that leaves nothing is refused by name. Of a day that
leaves more moments than `evaluate.moments` some of these users answer for all.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

from infra.errors import TrainingError
from infra.store import Store
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


@dataclass(frozen=True)
class Asked:
    """Whose moments of a day are asked."""

    day: date
    unseen: Part | None = None
    """The users whose moments no model has learnt; None for everybody."""
    share: float = 1.0
    """Of them; less than 1 where they have more moments than are asked."""

    @property
    def part(self) -> Part | None:
        """Their moments; None for the whole day."""
        if self.share >= 1:
            return self.unseen
        held = self.unseen.held if self.unseen else 1.0
        return Part(day=self.day, share=Share.HOLDOUT, held=held * self.share)

    @property
    def when(self) -> str:
        """What the report calls them beside a figure."""
        return "next day" if self.unseen is None else "held-out users of the day"

    @property
    def words(self) -> str:
        """How the report says who was asked, and who knows what of that day."""
        whose = "its users" if self.unseen is None else "these users"
        drawn = f"; {100 * self.share:.3g} % of {whose}, drawn by a day-salted hash, answer for all"
        some = f"{drawn} (evaluate.moments)" if self.share < 1 else ""
        if self.unseen is None:
            return f"{self.day}; no moment of it was trained on{some}"
        return (
            f"{self.day}; only the users held out from training on that day "
            f"({self.unseen.held:.0%} of all, drawn afresh every day by a day-salted hash){some}. "
            "A night's candidate has learnt that day of the other users; yardsticks, and a "
            "champion from before it, know the days before it only"
        )


def bounded(store: Store, day: date, some: Part | None, moments: int) -> Asked:
    """So many of some users of a day that they have some `moments`; all who have not more.

    Users are drawn whole, so there may be a few moments more. The draw is that of the hold-out, of
    which a smaller share has users of a larger one: nobody comes in whose moments were learnt.
    """
    partition = store.partition("samples", day)
    asked = 0
    for entry in partition.manifest().files:  # one at a time: bounds memory
        hashes = partition.table(["user_hash"], [entry])["user_hash"].to_numpy() if some else None
        mask = some.mask(hashes) if some is not None and hashes is not None else None
        asked += entry.rows if mask is None else int(mask.sum())
    return Asked(day, some, min(1.0, moments / asked) if asked else 1.0)
