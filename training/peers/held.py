"""Samples of some days held in memory: small data that many networks learn from many times.

Production streams (`training.data`); a study trains dozens of networks on the same days, so it
unpacks them once. What a question is asked of may be a share of the users, by task: clicks are
many and price questions few, so a study can afford all of these and some of those. Moments that
then ask nothing are left out. Memory grows with the moments of the days.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

import numpy as np
from numpy.typing import NDArray

from features.catalog import CatalogArrays
from features.schemas import QUESTIONS
from infra.errors import TrainingError
from infra.store import Store
from training.batch import Batch, VocabularySizes
from training.collate import collate
from training.config import Task
from training.data import Reader, Samples, Window, grouped
from training.moments import IntArray, Lists, MomentInfo, Moments

Mask = NDArray[np.bool_]
CANDIDATES = frozenset({Task.CTR, Task.L2R})
WHOLE = 1 << 32
"""A user's share is their hash modulo this, over this."""


@dataclass(frozen=True)
class Held:
    """Moments of some days, and what turns them into batches.

    Args:
        moments: all of them.
        catalogs: by day; `moments.day` is the place of each moment's own.
        sizes: of the networks that read them.
    """

    moments: Moments
    catalogs: Sequence[CatalogArrays]
    sizes: VocabularySizes

    @classmethod
    def read(
        cls, store: Store, days: Sequence[date], sizes: VocabularySizes | None = None
    ) -> "Held":
        """Everything published of some days.

        Args:
            store: where the samples are.
            days: in order.
            sizes: of the networks; by default of the last day's vocabulary.

        Raises:
            TrainingError: nothing is in them.
        """
        samples = Samples(store, days, sizes)
        reader = Reader(samples, batch_size=1, buffer=max(samples.moments, 1), shuffle=False)
        whole: Window = reader.windows(0)[0]
        return cls(samples.load(whole), samples.catalogs, samples.sizes)

    def asking(self, tasks: Sequence[Task], shares: Mapping[Task, float] | None = None) -> "Held":
        """Only the questions of some tasks, and of each only those of a share of the users.

        Args:
            tasks: CTR and L2R ask of the same candidates and share the larger of their shares.
            shares: of users, by their hash; 1 where not named.

        Raises:
            TrainingError: nothing is left.
        """
        by_task = {task: (shares or {}).get(task, 1.0) for task in tasks}

        def mine(*which: Task) -> Mask:
            return of_share(self.moments.user_hash, max(by_task.get(task, 0.0) for task in which))

        price = np.where(mine(Task.PPP), self.moments.price_level, 0).astype(np.int8)
        found = replace(
            self.moments,
            price_level=price,
            candidates=_only(self.moments.candidates, mine(*CANDIDATES)),
            icons=_only(self.moments.icons, mine(Task.FIFP)),
            shops=_only(self.moments.shops, mine(Task.SPP)),
        )
        if not asked(found).any():
            raise TrainingError(
                f"none of the tasks {', '.join(tasks)} is asked in these days. "
                "Check the counts of `dupn samples`."
            )
        return replace(self, moments=found)

    @property
    def rows(self) -> IntArray:
        """Moments that ask something."""
        return np.flatnonzero(asked(self.moments))

    def batches(
        self, size: int, rng: np.random.Generator | None = None
    ) -> Iterator[tuple[Batch, MomentInfo]]:
        """All moments that ask something, once.

        Args:
            size: moments of a batch.
            rng: mixes them, like lengths together; published order when absent.
        """
        rows = self.rows
        parts = -(-len(rows) // size)
        if rng is None:
            cut = np.array_split(rows, parts)
        else:
            lengths = self.moments.sequence.lengths[rows]
            cut = [rows[part] for part in grouped(lengths, parts, rng)]
        for part in cut:
            batch = collate(self.moments, part, self.catalogs, self.sizes)
            yield batch, MomentInfo.of(self.moments, part)


def of_share(users: NDArray[np.uint64], share: float) -> Mask:
    """Whether a user, given by their hash, is of a share of all users; shares are nested."""
    return (users % np.uint64(WHOLE)).astype(np.float64) / WHOLE < share


def asked(moments: Moments) -> Mask:
    """Moments that ask anything."""
    many: dict[str, NDArray[np.integer[Any]]] = {
        "cand_item": moments.candidates.lengths,
        "price_level": moments.price_level,
        "icon": moments.icons.lengths,
        "shop": moments.shops.lengths,
    }
    return np.any([many[column] > 0 for column in QUESTIONS], axis=0)


def _only(lists: Lists, keep: Mask) -> Lists:
    """The lists of some rows, the others' empty."""
    return replace(lists, lengths=np.where(keep, lists.lengths, 0))
