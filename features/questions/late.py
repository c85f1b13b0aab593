"""Which late moments may be learnt from: those of which nobody can tell what came by their items.

A late moment is looked up in the catalog of its own day, which knows what had arrived by then. Its
page came afterwards, its clicks perhaps in time: then what was clicked has a row in that catalog,
and what was shown beside it none. So each item of a late page has to be one that the catalog would
hold whatever was done on the day: met before, or named by a snapshot. A click without a page is
asked about beside what others clicked that day, so its item only has to have a row as well.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from features.questions.moments import Moments
from features.questions.world import World
from features.schemas import UNKNOWN_ROW, MomentKind

Bools = NDArray[np.bool_]


def askable(late: Moments, world: World, listed: Callable[[], Bools]) -> Bools:
    """Which moments may be asked.

    Args:
        late: moments that arrived after their own day.
        world: of their own day.
        listed: which rows of its catalog a snapshot has named; asked for where it matters.
    """
    items = late.table.column("item_ids").combine_chunks()
    moment = np.repeat(np.arange(len(late.user)), items.value_lengths().fill_null(0).to_numpy())
    row = world.catalog.rows_of(items.flatten())
    shown = late.table.column("kind").to_numpy()[moment] == MomentKind.PAGE
    new = np.where(shown, world.statistics.first_day[row] == 0, row == UNKNOWN_ROW)
    if (new & (row != UNKNOWN_ROW)).any():
        new &= ~listed()[row]
    found = np.ones(len(late.user), np.bool_)
    found[moment[new]] = False
    return found
