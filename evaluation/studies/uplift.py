"""What a day earned by arm, and how much more one arm earned than another (Table 3).

In twin worlds (one seed, everybody in one arm) the totals of a day are compared as they are: the
people, what they want on the first day and when they come are the same. From the first page on that
differs, chance is drawn apart: a click more is a draw more. So totals differ by the ranking and by
chance, and intervals are over worlds. CTR is clicks per item shown; sales are the prices of what is
bought on pages.
"""

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from evaluation.marketplace.effects import LEVELS, NAMES, Effects
from evaluation.results import Record
from features.schemas import PRICE_LEVELS


class Lived(Record):
    """One arm on one day of one world."""

    world: str
    """The arm that everybody is in, or `split`."""
    day: int
    """Days since the first, from 1."""
    arm: str
    users: int
    """In the arm, whether they came or not."""
    sums: dict[str, float]
    """By name of `marketplace.effects.NAMES`."""
    bought: tuple[tuple[float, ...], ...]
    """Expected orders by said level and level bought, from 0 (not known)."""

    @property
    def ctr(self) -> float:
        """Expected clicks per item shown."""
        return self.sums["clicks"] / self.sums["shown"] if self.sums["shown"] else float("nan")

    @property
    def price_precision(self) -> float:
        """Share of the expected orders whose price level was the said one."""
        known = np.array(self.bought)[1:, 1:]
        return float(np.trace(known) / known.sum()) if known.sum() > 0 else float("nan")


def of_effects(
    effects: Effects, arm_of: NDArray[np.int8], names: Sequence[str], world: str, day: int
) -> list[Lived]:
    """The day's totals by arm.

    Args:
        effects: of all users.
        arm_of: number of each user's arm.
        names: of the arms.
        world: see `Lived`.
        day: the same.
    """
    return [
        Lived(
            world=world,
            day=day,
            arm=name,
            users=int((arm_of == arm).sum()),
            sums={one: float(effects.by_user[one][arm_of == arm].sum()) for one in NAMES},
            bought=tuple(tuple(map(float, row)) for row in effects.bought[arm]),
        )
        for arm, name in enumerate(names)
    ]


def total(days: Iterable[Lived]) -> Lived:
    """Several days of one arm as one."""
    days = list(days)
    first = days[0]
    bought = np.sum([one.bought for one in days], axis=0)
    sums = {name: sum(one.sums[name] for one in days) for name in NAMES}
    return first.model_copy(update={"sums": sums, "bought": tuple(map(tuple, bought.tolist()))})


def uplift(new: Lived, old: Lived, what: str) -> float:
    """Relative gain of `new` over `old`.

    Args:
        new: an arm.
        old: the arm that it is held against; of the same number of users, or sums are per user.
        what: `ctr`, `price_precision`, or a name of `sums`, which is taken per user.
    """
    if what in NAMES:
        mine, theirs = new.sums[what] / new.users, old.sums[what] / old.users
    else:
        mine, theirs = getattr(new, what), getattr(old, what)
    return mine / theirs - 1 if theirs else float("nan")


def by_class(lived: Lived) -> tuple[list[float], list[float]]:
    """Recall and precision of each price level, cheapest first (Figure 10); NaN: never there."""
    known = np.array(lived.bought)[1:, 1:]
    hits = np.diag(known)
    with np.errstate(divide="ignore", invalid="ignore"):
        recall, precision = hits / known.sum(axis=0), hits / known.sum(axis=1)
    return recall.tolist(), precision.tolist()


assert LEVELS == PRICE_LEVELS + 1
