"""Files of attempts that were lost: old, and in no manifest.

Most folders of a store have not changed for months, and nothing is lost in them that an earlier
sweep has not removed. So a stage is listed once, a thousand files a question across a network, and
a manifest is read only where something has come since: `swept` says since when. Without that file
the next sweep looks at everything.
"""

import logging
import re
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from evaluation import filed
from features.raw import raw_names
from infra.errors import PartitionCorrupt
from infra.files import modified, put_there
from infra.partition import Lying
from infra.store import Partition, Store, is_published
from pipeline.represent import represented

logger = logging.getLogger(__name__)

STAGES = ("sequences", "statistics", "vocabulary", "catalog", "samples", "events", "rejects")
SWEPT = "swept"
"""Key of the file with the time (UTC) up to which nothing is lost where nothing has changed, and
how many kinds of folders that is said of."""
_KINDS = 2
"""One before answers and first days of experiments were swept: such a file says nothing now."""
SLACK_S = 3600.0
"""How far clocks of those who write may be apart."""
_NEVER = datetime.min.replace(tzinfo=UTC)
_BUNDLES = re.compile(r"bundles/[^/]+(/v\d+)?")
_ANSWERS = re.compile(rf"{filed.OFFLINE}/[^/]+/{filed.ANSWERS}")


def sweep(store: Store, older_than_s: float) -> int:
    """Remove them wherever partitions are published; how many.

    That is by day, and among bundles, reports on models, and experiments. In raw only what an
    import of ours replaced, so that rows which a shop took out are gone, and what one left that did
    not end; other files there are the shop's, and may be all that there is.
    """
    since, until = _since(store), time.time() - older_than_s - SLACK_S
    removed, sound = 0, True
    for place in _places(store):
        if is_published(place.lying) and _changed(place.lying) < since:
            continue
        try:
            removed += place.partition.sweep(older_than_s, place.may_go, place.lying)
        except PartitionCorrupt as error:
            logger.warning("%s", error)
            sound = False
    if sound:  # else the next one looks there again
        store.put(SWEPT, f"{datetime.fromtimestamp(until, UTC).isoformat()} {_KINDS}")
    return removed


@dataclass(frozen=True)
class Place:
    """A folder in which files may be lost."""

    partition: Partition
    lying: Lying
    """All that is there."""
    may_go: Callable[[str], bool]
    """Whether a file of that name is one of an attempt."""


def _places(store: Store) -> Iterator[Place]:
    for folder in _by_day(store):
        for partition, lying in store.lying_by_day(folder).items():
            name = partition.key.rpartition("/")[2]
            # A name with a point is somebody's, but for columns of a shop.
            if "." not in name or (folder == "vocabulary" and is_published(lying)):
                yield Place(partition, lying, _any)
    befores = [f"experiments/{one}/before" for one in store.names("experiments")]
    for folder in ("bundles", filed.OFFLINE, *befores):
        for partition, lying in store.lying(folder).items():
            key = partition.key
            if key in befores or _BUNDLES.fullmatch(key) or _ANSWERS.fullmatch(key):
                yield Place(partition, lying, _any)
    yield from _imports(store)


def _any(name: str) -> bool:
    """Only attempts write there."""
    del name
    return True


def _imports(store: Store) -> Iterator[Place]:
    for partition, lying in store.lying_by_day("raw").items():
        names = {path: path.rpartition("/")[2] for path in lying}
        attempts = raw_names.unended(names.values())
        ours = {*attempts}
        if is_published(lying):
            ours.update(filter(raw_names.is_imported, names.values()))
        whose = {path: attempts[name] for path, name in names.items() if name in attempts}
        yield Place(partition, _as_old_as_their_attempt(lying, whose), ours.__contains__)


def _as_old_as_their_attempt(lying: Lying, whose: Mapping[str, str]) -> Lying:
    """An attempt goes whole, when its newest file is old: one of its files alone tells nothing.

    Args:
        lying: in one folder.
        whose: the attempts of those files that are one's.
    """
    by_age = sorted(whose, key=lambda path: max(map(modified, lying[path])))
    newest = {whose[path]: lying[path] for path in by_age}
    return {path: [*found, *newest.get(whose.get(path, ""), ())] for path, found in lying.items()}


def _by_day(store: Store) -> list[str]:
    tables = [f"{represented.ROOT}/{key}" for key in represented.keys_of(store)]
    parts = ("readout", "hours")
    experiments = [f"experiments/{one}/{p}" for one in store.names("experiments") for p in parts]
    return [*STAGES, "quality", *tables, *experiments]


def _changed(lying: Lying) -> datetime:
    """When a file there last came or was changed."""
    return max(max(modified(info), put_there(info)) for infos in lying.values() for info in infos)


def _since(store: Store) -> datetime:
    when, _, kinds = (store.get(SWEPT) or b"").decode(errors="replace").rpartition(" ")
    try:
        since = datetime.fromisoformat(when) if kinds == str(_KINDS) else _NEVER
    except ValueError:  # of a hand
        since = _NEVER
    return since if since.tzinfo else since.replace(tzinfo=UTC)
