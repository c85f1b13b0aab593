"""Precision and recall of each price level, arm by arm (Figure 10), clustered by user.

A question is a page on which something was bought: what the arm's PPP said there against the level
of what was bought. Both shares are ratios over users (`ratios`), so their intervals hold however
alike a user's purchases are; they are for one look, since nothing is decided on them. Users who
saw several arms are left out, as of all estimates, and a share of few questions or users, or one in
which all users are alike, has no interval.
"""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from evaluation.abtest import always_valid
from evaluation.abtest.ratios import Ratio, ratio
from evaluation.metrics import AnyArray, Floats
from evaluation.results import ClassResult, Estimate, Record, finite

LEVELS = 7
FEWEST, FEWEST_USERS = 30, 20
"""Questions, and users asked, below which a share has no interval (offline: `evaluate.min_*`)."""
CONFIDENCE = 0.95
"""Level of the intervals."""
COLUMNS = ("user", "arm", "ppp_said", "ppp_true")
"""Of `features.abtest.readout.READOUT`."""


class ArmLevels(Record):
    """One arm."""

    arm: str
    questions: int
    precision: Estimate
    """Share of levels that were right (micro precision, as in Table 3)."""
    classes: tuple[ClassResult, ...]
    confusion: tuple[tuple[int, ...], ...]
    """Rows are true levels, columns the levels that were said."""


def of_arms(rows: pa.Table, arms: Sequence[str]) -> tuple[ArmLevels, ...]:
    """Every arm's price levels.

    Args:
        rows: COLUMNS of all days, in any order.
        arms: as logged.
    """
    z = always_valid.fixed(1 - CONFIDENCE)
    seen = _of_one_arm(rows.filter(pc.is_in(rows["arm"], pa.array(list(arms), pa.string()))))
    return tuple(_of_arm(seen.filter(pc.equal(seen["arm"], arm)), arm, z) for arm in arms)


def _of_one_arm(rows: pa.Table) -> pa.Table:
    """The rows of users who saw one arm only."""
    arms = rows.group_by("user", use_threads=False).aggregate([("arm", "count_distinct")])
    several = arms.filter(pc.greater(arms["arm_count_distinct"], 1))
    return rows.filter(pc.invert(pc.is_in(rows["user"], several["user"])))


def _of_arm(rows: pa.Table, arm: str, z: float) -> ArmLevels:
    said, true = (_flat(rows[name]) for name in ("ppp_said", "ppp_true"))
    lengths = rows["ppp_said"].combine_chunks().value_lengths().to_numpy()
    users, user = np.unique(np.repeat(rows["user"].to_numpy(), lengths), return_inverse=True)
    confusion = np.zeros((LEVELS, LEVELS), np.int64)
    np.add.at(confusion, (true - 1, said - 1), 1)

    def share(part: AnyArray, whole: AnyArray) -> Estimate:
        questions = _sum(user, whole, len(users))
        found = ratio(_sum(user, part, len(users)), questions)
        few = questions.sum() < FEWEST or np.count_nonzero(questions) < FEWEST_USERS
        return Estimate(value=finite(found.value)) if few else _estimate(found, z)

    right = said == true
    return ArmLevels(
        arm=arm,
        questions=len(said),
        precision=share(right, np.ones(len(said), np.bool_)),
        classes=tuple(
            ClassResult(
                level=one,
                questions=int((true == one).sum()),
                precision=share(right & (said == one), said == one),
                recall=share(right & (true == one), true == one),
            )
            for one in range(1, LEVELS + 1)
        ),
        confusion=tuple(tuple(row) for row in confusion.tolist()),
    )


def _sum(user: AnyArray, value: AnyArray, users: int) -> Floats:
    return np.bincount(user, value, minlength=users).astype(np.float64)


def _estimate(found: Ratio, z: float) -> Estimate:
    if not found.variance > 0:
        return Estimate(value=finite(found.value))
    reach = z * found.variance**0.5
    return Estimate(
        value=finite(found.value),
        low=finite(max(found.value - reach, 0.0)),
        high=finite(min(found.value + reach, 1.0)),
    )


def _flat(lists: pa.ChunkedArray) -> AnyArray:
    return np.asarray(lists.combine_chunks().flatten().to_numpy(zero_copy_only=False), np.int64)
