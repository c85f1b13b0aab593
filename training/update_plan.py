"""What a night's update learns, decided before anything is read but the users' column.

Everything that the parent has not learnt and that passed quality, oldest first: whole days that it
missed, the held-out users of days that it learnt but for those, and the night's own day but for
its held-out users. A refused or rolled-back night is never lost: the next one starts from the
version that is promoted, to which that night is missing.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import date

import numpy as np

from infra import run_key
from infra.errors import TrainingError
from infra.store import Partition, Store
from training.ancestry import Ancestry, Part, Share
from training.pieces import row_groups
from training.slices import Draw, Slice, groups_of
from training.update_config import UpdateConfig

UNPUBLISHED = "its samples, or their catalog, are not published"
"""Why a day that waits is left out."""
OVERSAMPLED = 4
"""Replay reads this many times the moments it wants, so that they come from many users."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A night's update: what it starts from and what it learns."""

    parent: Partition
    """The final checkpoint that it starts from."""
    ancestry: Ancestry
    """Of the parent."""
    day: date
    """The night's data day."""
    parts: tuple[Part, ...]
    """To be learnt, oldest first; days may repeat."""

    @property
    def parent_key(self) -> str:
        """The run key of the parent."""
        return run_key.of_checkpoint(self.parent.key)

    @property
    def after(self) -> Ancestry:
        """Of the version that the update makes."""
        return self.ancestry.grown(self.parts)

    @property
    def moments(self) -> int:
        """New ones, of all parts."""
        return sum(part.moments for part in self.parts)


def plan(  # noqa: PLR0913  # what is there, what may be learnt, and what somebody insists on
    store: Store,
    parent: Partition,
    day: date,
    config: UpdateConfig,
    *,
    days: Collection[date] | None = None,
    weights: Mapping[date, float] | None = None,
    forced: str = "",
) -> Plan:
    """The update of a night.

    Args:
        store: where the samples are.
        parent: a final checkpoint.
        day: the night's data day; its held-out users are left for evaluation.
        config: says how many.
        days: days that may be learnt from; by default all that are published.
        weights: of days whose moments count for less.
        forced: why `day` is learnt although a rule forbids it.

    Raises:
        TrainingError: the parent has learnt `day` already, and nobody forces it.
    """
    ancestry = Ancestry.of_lineage(parent.manifest().lineage)
    if not forced:
        require_unlearnt(parent, day)
    usable = set(store.days("samples") if days is None else days)
    tonight = Part(day=day, share=Share.REST, held=config.holdout_share, forced=forced)
    found = [part for part in ancestry.waiting(day) if part.day != day and part.day in usable]
    if day in usable:
        found.append(tonight)
    weighed = [replace(part, weight=(weights or {}).get(part.day, 1.0)) for part in found]
    parts = tuple(measured(store, part) for part in weighed)
    return Plan(
        parent=parent,
        ancestry=ancestry,
        day=day,
        parts=tuple(part for part in parts if part.moments),
    )


def require_unlearnt(parent: Partition, day: date, command: str = "dupn update") -> None:
    """Refuse a day that a final checkpoint has learnt; asks for no samples.

    Args:
        parent: the final checkpoint.
        day: the day.
        command: what updates its line.

    Raises:
        TrainingError: it has; how it is learnt once more.
    """
    ancestry = Ancestry.of_lineage(parent.manifest().lineage)
    if ancestry.has(day):
        raise TrainingError(
            f"{run_key.of_checkpoint(parent.key)} has learnt {day} already "
            f"({', '.join(part.share for part in ancestry.of(day))}). To learn it once more, say "
            f'why: `{command} --day {day} --force --why "..."`.'
        )


def measured(store: Store, part: Part) -> Part:
    """The part with the digest of its day's samples and the number of its moments."""
    partition = store.partition("samples", part.day)
    manifest = partition.manifest()
    groups = groups_of(Slice(part), partition, manifest) if part.share is not Share.ALL else []
    whole = manifest.rows if part.share is Share.ALL else sum(group.moments for group in groups)
    return replace(part, digest=manifest.content, moments=whole)


def readable(store: Store, day: date) -> bool:
    """Whether a day's samples, and the catalog that they are read with, are (still) published."""
    return store.partition("samples", day).exists() and store.partition("catalog", day).exists()


def slices(store: Store, of: Plan, config: UpdateConfig, seed: int) -> list[Slice]:
    """The plan as a reader reads it: a stage a part, oldest first, replay dealt among them."""
    fresh = [Slice(part, stage) for stage, part in enumerate(of.parts)]
    return fresh + _replayed(store, of, config, seed)


def _replayed(store: Store, of: Plan, config: UpdateConfig, seed: int) -> list[Slice]:
    """Row groups of days learnt before, drawn until they hold several times what is wanted."""
    wanted = config.replay_share * of.moments
    newest = [day for day in of.ancestry.days if day != of.day][-config.replay_days :]
    old = [day for day in newest if readable(store, day)]
    if not wanted or not old:
        return []
    rng = np.random.default_rng([seed, of.day.toordinal()])
    found = [
        (day, file, group, rows)
        for day in old
        for file, entry in enumerate(store.partition("samples", day).manifest().files)
        for group, rows in enumerate(row_groups(store.partition("samples", day), entry))
    ]
    shuffled = [found[index] for index in rng.permutation(len(found))]
    total = np.cumsum([rows for *_, rows in shuffled])
    taken = shuffled[: int(np.searchsorted(total, OVERSAMPLED * wanted)) + 1]
    keep = min(1.0, wanted / max(1, sum(rows for *_, rows in taken)))
    share = np.array([part.moments for part in of.parts]) / of.moments
    stages = rng.choice(len(share), len(taken), p=share)
    dealt: dict[tuple[date, int], set[tuple[int, int]]] = {}
    for (day, file, group, _), stage in zip(taken, stages.tolist(), strict=True):
        dealt.setdefault((day, stage), set()).add((file, group))
    salt = (seed, of.day.toordinal())
    return [
        Slice(_learnt(of.ancestry, day), stage, Draw(frozenset(groups), keep, salt))
        for (day, stage), groups in sorted(dealt.items())
    ]


def _learnt(ancestry: Ancestry, day: date) -> Part:
    """What the parent has learnt of a day, weighed as it was learnt last.

    Held-out users are not replayed before their time.
    """
    held, weight = ancestry.held(day), ancestry.of(day)[-1].weight
    if held is None:
        return Part(day=day, weight=weight)
    return Part(day=day, share=Share.REST, held=held, weight=weight)
