"""What each stage of a day reads, as partitions: the one list of who depends on what.

The jobs keep the stamps of these partitions in the lineage of what they publish, so that anybody
can tell later whether a partition is still what its inputs would give (`changed`). A stage reads
its own day, the day before, and for moments opened on the day before the statistics before that;
nothing older (but the newest catalog snapshot, which holds until the next).
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import date
from typing import Any

from features import held
from features.carry import ONE_DAY
from features.catalog import INDEX, columns
from features.raw.raw_table import LOGS, SNAPSHOTS
from features.schemas import FEATURES
from infra.installed import CODE
from infra.store import Partition, Store

STATISTICS = ("item", "shop", "brand", "category", "price", "overall", "lr_ctr")
"""What a day counts for those after it; LR-CTR's weights close the day."""
LR_SAMPLE = "lr_sample"
"""Beside them: what the weights are learnt from, which nobody but its own day reads."""
CARRIED = ("history", "open", "pool")
HANDED_ON = ("window_ms", "click_share", "derived")
"""What samples take from the lineage of the day's sequences, which no stamp tells."""

STAGES = ("vocabulary", "statistics", "sequences", "samples")
"""Stages that go from day to day, in the order in which a day runs them."""

Stamps = Mapping[str, str]
"""Stamp by key of a partition."""


def stamps(store: Store, stage: str, day: date) -> dict[str, str]:
    """Of everything that `stage` reads on `day`; what is not published is not in it."""
    reads = _READS[stage](store.resolved(), day)
    return {one.key: stamp for one in reads if (stamp := one.stamp())}


def written(store: Store, stage: str, day: date) -> list[Partition]:
    """The partitions of a stage and day; the one that is published last stands last.

    Of a vocabulary, those that every day has and those that were found in profiles, lost or not.
    """
    if stage == "vocabulary":
        always = [store.partition("vocabulary", day, name) for name in FEATURES]
        lost = [store.partition("vocabulary", day, name) for name in columns(store, day)]
        found = {one.key: one for one in (*lost, *_vocabularies(store, day))}
        words = [*always, *[one for key, one in sorted(found.items()) if one not in always]]
        return [*words, store.partition("catalog", day, INDEX), store.partition("catalog", day)]
    counted = (*STATISTICS[:-1], LR_SAMPLE, STATISTICS[-1])
    names = {"statistics": counted, "sequences": tuple(reversed(CARRIED))}.get(stage)
    if names is None:
        return [store.partition(stage, day)]
    return [store.partition(stage, day, name) for name in names]


def published(store: Store, stage: str, day: date) -> Partition:
    """The partition whose manifest closes the stage of a day (published or not)."""
    return written(store, stage, day)[-1]


def changed(store: Store, stage: str, day: date) -> list[str]:
    """Keys of inputs that are not what the published stage was made from; none: it is current.

    A partition that does not say what it was made from counts as changed in everything it reads.
    State that is gone says nothing: it has been swept, and built again it would be the same; but a
    vocabulary alone of its day was taken back, since its column is no more. Nor do pages of the day
    before say anything of statistics that were made before lineages named their code: those did
    not read them, and where every page is logged they had counted the same.

    Raises:
        PartitionMissing: the stage of that day is not published.
    """
    store = store.resolved()
    lineage = published(store, stage, day).manifest().lineage
    then: Stamps = lineage.get("inputs") or {}
    now = stamps(store, stage, day)
    if CODE not in lineage and stage == "statistics" and then:
        now.pop(_pages_before(store, day).key, None)
    gone = {key for key in then if key not in now and not key.startswith("events/")}
    swept = {key for key in gone if not _taken_back(store, key)}
    others = {key for key in {*then, *now} - swept if then.get(key) != now.get(key)}
    return sorted(others | _handed_otherwise(store, stage, day, lineage))


def _handed_otherwise(store: Store, stage: str, day: date, made_so: Mapping[str, Any]) -> set[str]:
    """The sequences whose settings are not those that samples of the day were made by."""
    pool = store.partition("sequences", day, "pool")
    if stage != "samples" or not pool.exists():
        return set()
    now = pool.manifest().lineage
    same = all(made_so[name] == now.get(name) for name in HANDED_ON if name in made_so)
    return set() if same else {pool.key}


def _taken_back(store: Store, key: str) -> bool:
    """Whether a vocabulary is gone that no sweep has removed: sweeps begin with the first name.

    One that the day's catalog names is lost, and built again it is the same.
    """
    stage, _, rest = key.partition("/dt=")
    if stage != "vocabulary":
        return False
    day = date.fromisoformat(rest.partition("/")[0])
    name = rest.partition("/")[2]
    whole = store.partition("vocabulary", day, min(FEATURES)).exists()
    return whole and name not in columns(store, day)


def _vocabulary(store: Store, day: date) -> Sequence[Partition]:
    before = day - ONE_DAY
    index = store.partition("catalog", before, INDEX)
    events = [store.partition("events", day, name) for name in LOGS]
    snapshots = [store.partition("events", day, name) for name in SNAPSHOTS]
    if not index.exists():
        latest = [store.latest("events", day, name) for name in SNAPSHOTS]
        return [*events, *[one for one in latest if one]]
    figures = [store.partition("statistics", before, n) for n in ("item", "price", "overall")]
    return [*events, *snapshots, *_vocabularies(store, before), index, *figures]


def _statistics(store: Store, day: date) -> Sequence[Partition]:
    before = day - ONE_DAY
    events = [store.partition("events", day, name) for name in ("behaviors", "impressions")]
    events.append(_pages_before(store, day))
    return [*events, *_catalog(store, day), *_figures(store, before)]


def _pages_before(store: Store, day: date) -> Partition:
    """Those whose clicks may come late."""
    return store.partition("events", day - ONE_DAY, "impressions")


def _sequences(store: Store, day: date) -> Sequence[Partition]:
    events = [store.partition("events", day, name) for name in LOGS]
    return [*events, store.partition("sequences", day - ONE_DAY, "history")]


def _samples(store: Store, day: date) -> Sequence[Partition]:
    before = day - ONE_DAY
    users = [held.newest(store, one, "users") for one in (before, day)]
    return [
        *[store.partition("events", day, name) for name in LOGS],
        *{one.key: one for one in users if one}.values(),
        *[store.partition("sequences", before, name) for name in CARRIED],
        store.partition("sequences", day, "pool"),
        *[part for one in (before, day) for part in _catalog(store, one)],
        *[part for one in (before, day) for part in _asked(store, one)],
        *[part for one in (before - ONE_DAY, before) for part in _figures(store, one)],
    ]


def _asked(store: Store, day: date) -> list[Partition]:
    """Vocabularies of what moments name themselves; items come through the catalog."""
    mine = ("token", "icon")
    return [
        one
        for one in _vocabularies(store, day)
        if one.key.rsplit("/", 1)[-1] in mine or "/profile_" in one.key
    ]


def _vocabularies(store: Store, day: date) -> list[Partition]:
    names = store.partition("vocabulary", day).names()
    found = [store.partition("vocabulary", day, name) for name in names]
    return [one for one in found if one.exists()]


def _catalog(store: Store, day: date) -> list[Partition]:
    return [store.partition("catalog", day), store.partition("catalog", day, INDEX)]


def _figures(store: Store, day: date) -> list[Partition]:
    return [store.partition("statistics", day, name) for name in STATISTICS]


_READS: Mapping[str, Callable[[Store, date], Sequence[Partition]]] = {
    "vocabulary": _vocabulary,
    "statistics": _statistics,
    "sequences": _sequences,
    "samples": _samples,
}
