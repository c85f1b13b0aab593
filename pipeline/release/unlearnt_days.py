"""Days that the model in place has not learnt: one that judges a first training, or a loss.

An initial training's evaluation asks both models of the day after it (`evaluation.unseen`). A home
with nights has learnt all days but the newest, so this is asked before hours of work, not after.
An older model that is put in place has days to learn again, whose samples may be gone by then.
"""

from collections.abc import Iterable, Mapping
from contextlib import suppress
from datetime import date

from features.carry import ONE_DAY
from infra import run_key
from infra.errors import PartitionCorrupt, PartitionMissing, TrainingError
from infra.store import Partition, Store
from pipeline.raw import rawday
from pipeline.release import incumbent
from pipeline.settings import Settings
from pipeline.upkeep import again
from training.ancestry import Ancestry
from training.update_plan import UNPUBLISHED, readable


def require(settings: Settings, first: date, last: date) -> None:
    """Refuse a training from `first` on whose evaluation, on `last`, would be refused at its end.

    Raises:
        TrainingError: the model in place has learnt `last`; the newest days that would do.
    """
    key = run_key.of(settings.line, last - ONE_DAY)
    against = incumbent.of(settings, key)
    if against is None:
        return
    final = settings.store.partition("checkpoints", None, against.key, "final")
    if not final.exists():  # evaluation says what to do about it
        return
    learnt = Ancestry.of_lineage(final.manifest().lineage)
    if not _whole(learnt, last):
        return
    raise TrainingError(
        f"{against.key} is in place and has learnt every moment of {last}: nothing of that day, on "
        f"which {key} would be evaluated, is left to judge the two on. "
        f"{_newest(settings, learnt, (last - first).days)}"
    )


def lost(store: Store, key: str) -> str:
    """Days that a model has still to learn whose samples are gone, in sentences; empty: none.

    Without those of which there is neither a raw log nor events, and those that its own night told.
    """
    newest = store.days("samples")[-1:]
    if not key or not newest:  # a version that somebody else registered has no key
        return ""
    final = store.partition("checkpoints", None, key, "final")
    if not final.exists():
        return ""
    lineage = final.manifest().lineage
    told = lineage.get("left_out", {})
    there = {*rawday.there(store), *store.days("events", "behaviors")}
    waiting = Ancestry.of_lineage(lineage).waiting(newest[0])
    return _gone(
        store,
        (
            part.day
            for part in waiting
            if part.day in there
            and told.get(str(part.day)) != UNPUBLISHED
            and not readable(store, part.day)
        ),
    )


def newly_gone(store: Store, key: str, parent: Partition, left_out: Mapping[str, str]) -> str:
    """Days that an update left out since their samples are gone, in sentences; each is told once.

    Args:
        store: has the checkpoints.
        key: run key of the update.
        parent: the checkpoint that it began from.
        left_out: its days, each with why.
    """
    days = [day for day, why in left_out.items() if why == UNPUBLISHED]
    told = _told(store, key, parent) if days else {}
    new = (date.fromisoformat(day) for day in days if told.get(day) != UNPUBLISHED)
    return _gone(store, new)


def _told(store: Store, key: str, parent: Partition) -> Mapping[str, str]:
    """What the last night before left out that began from the same version; else that itself."""
    parent_key, line = run_key.of_checkpoint(parent.key), run_key.line(key)
    since, until = run_key.until(parent_key), run_key.until(key)
    for name in reversed(store.names("checkpoints")):  # those of a line are by day
        if run_key.line(name) == line and since < run_key.until(name) < until:
            with suppress(PartitionCorrupt, PartitionMissing):
                lineage = store.partition("checkpoints", None, name, "final").manifest().lineage
                if lineage.get("parent") == parent_key:
                    return dict(lineage.get("left_out", {}))
    return dict(parent.manifest().lineage.get("left_out", {}))


def _gone(store: Store, days: Iterable[date]) -> str:
    """What is said of days that a night goes without since their samples are gone."""
    return " ".join(f"{day}: {UNPUBLISHED}. {again.samples(store, day)}" for day in days)


def _newest(settings: Settings, learnt: Ancestry, days: int) -> str:
    """The newest training of so many days in a row, or fewer, that can be judged."""
    there = set(rawday.there(settings.store))
    left = [day for day in there if day - ONE_DAY in there and not _whole(learnt, day)]
    if not left:
        return "No raw day is there that would do: bring the next one, and end the day before it."
    until = begin = max(left)
    while begin - ONE_DAY in there and (until - begin).days < days:
        begin -= ONE_DAY
    return (
        f"The newest days that would do are those of `run initial --first {begin} --days "
        f"{(until - begin).days}` (in the form First day and Days to train on), judged on "
        f"{until}{_of_its_own(settings, until - ONE_DAY)}."
    )


def _of_its_own(settings: Settings, last: date) -> str:
    """What a training up to a day needs whose key is that of a version, which keeps its checkpoint.

    Empty where there is no such version.
    """
    key = run_key.of(settings.line, last)
    known = incumbent.registry_of(settings).versions()
    same = [one.number for one in known if one.tags.get("run_key") == key]
    if not same:
        return ""
    return (
        f", with a line of its own (--set line=NAME), since {key} is version {same[-1]} of the "
        "registry already"
    )


def _whole(learnt: Ancestry, day: date) -> bool:
    """Whether nobody's moments of the day are unknown."""
    return learnt.has(day) and learnt.held(day) is None
