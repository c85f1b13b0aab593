"""`dupn represent`: the champion's representation of every user with a behaviour, as a table.

For other teams. A user is encoded as of the end of the day: the last 100 behaviours of
`sequences(D)`, the profile, no query. Only users who did something since the newest table of the
same version of the dimensions are encoded anew; the others are carried over with the day and model
that they are from, also if their profile has changed. That table is the champion's own or an
ancestor's, so nothing of a model that was rolled back is carried on; where there is none whose
histories still stand (`carrying`), everybody is encoded. Who has a profile and no behaviour has no
row, and nobody is carried over who has no history any more.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from features import catalog
from features.catalog import CatalogArrays
from features.profiles import Hashes, Profiles
from features.property import LocalClock
from features.raw.dataset import load as load_dataset
from infra.errors import DupnError, RegistryError
from infra.registry import Version
from infra.store import FileEntry, Partition, Store
from pipeline.learn import learning
from pipeline.release import bundling
from pipeline.release.incumbent import registry_of, replaced, representation_of, vacancy
from pipeline.represent.as_of import HISTORY, encode, moments_of
from pipeline.represent.carrying import Earlier, followed, histories, newest
from pipeline.represent.represented import days_of, keys_of, made_by, point, table_of
from pipeline.settings import Settings
from serving import published
from training.model.dupn import Dupn

logger = logging.getLogger(__name__)

COUNTED = ("encoded", "carried", "older")
"""Rows of a table; `older` are those of the carried ones that another model encoded."""


def run(settings: Settings, day: date) -> Mapping[str, Any]:
    """Publish `representations/<run key>/dt=day` of the champion.

    Raises:
        RegistryError: nobody is champion.
        PartitionMissing: the sequences or the catalog of the day are not published.
    """
    store = settings.store
    registry = registry_of(settings)
    champion = registry.champion()
    if champion is None or "run_key" not in champion.tags:
        said = vacancy(registry.look(), registry)
        raise RegistryError(
            "no version of dupn's own is champion, so there is nobody to represent users. "
            f"{said or 'Run `dupn promote` first, or see `dupn log`.'}"
        )
    key = champion.tags["run_key"]
    number = representation_of(champion)
    found = newest(store, key, day, number, champion.number, settings.represent.carry)
    before = followed(store, found, day)
    task = _Task.of(settings, day, champion, number, before)
    target = table_of(store, key, day)
    lineage = {
        "run": key,
        "version": champion.number,
        "representation": number,
        "day": day.isoformat(),
        "carried_from": before.key if before else "",
        "histories": task.history.stamp(),
    }
    counts = dict.fromkeys(COUNTED, 0)
    with target.publish(**lineage) as out:
        for entry in task.history.manifest().files:
            table, found_here = task.bucket(entry)
            counts = {name: counts[name] + found_here[name] for name in COUNTED}
            if table.num_rows:
                name = entry.name.rsplit("-", 1)[0]
                between = {"low": entry.low, "high": entry.high}
                out.record([out.write_table(name, table, **between, counts=found_here)])
    now = registry.champion()
    if now is not None and now.number == champion.number:  # not rolled back meanwhile
        point(store, key, champion.number)
    removed = sweep(settings, day)
    logger.info(
        "represent %s: %s users encoded by %s, %s carried over, %s of them of older models",
        day, f"{counts['encoded']:,}", key, f"{counts['carried']:,}", f"{counts['older']:,}",
    )  # fmt: skip
    users = counts["encoded"] + counts["carried"]
    where = store.address(*target.key.split("/"))
    return {"run": key, "representation": number, "users": users, **counts, **_told(where, removed)}


def restore(settings: Settings) -> str:
    """After a rollback: the champion's table of the newest day that has one of anybody's.

    What it published while it was champion is still there, and is current from now on; it is
    brought up to that day. Why it could not be is said, not raised: the alias has moved, and its
    older tables stand.
    """
    store = settings.store
    days = [day for key in keys_of(store) for day in days_of(store, key)]
    champion = registry_of(settings).champion()
    if not days or champion is None or not _key(champion):
        return "none"
    target = table_of(store, _key(champion), max(days))
    try:
        point(store, _key(champion), champion.number)
        if not (target.exists() and _stands(store, target, champion, max(days))):
            run(settings, max(days))
    except DupnError as error:
        logger.warning("the champion has no table of %s: %s", max(days), error)
        return f"none of {max(days)}: {error}"
    return store.address(*target.key.split("/"))


def _stands(store: Store, table: Partition, champion: Version, day: date) -> bool:
    """Whether a table of the day is the champion's own, of the histories that are there now."""
    encoded, there = table.manifest().lineage.get("histories", ""), histories(store, day)
    return made_by(table, champion.number) and (encoded == there or not (encoded and there))


def _told(where: str, removed: int) -> dict[str, Any]:
    return {"table": where, "removed": removed}


def sweep(settings: Settings, day: date) -> int:
    """Remove tables past their days; how many. The newest of champion and previous stay."""
    store = settings.store
    registry = registry_of(settings)
    named = [registry.version(alias) for alias in ("champion", "previous")]
    kept = {_key(version) for version in named if version is not None}
    oldest = day - timedelta(days=settings.represent.keep_days)
    removed = 0
    for key in keys_of(store):
        days = days_of(store, key)
        old = [one for one in days if one <= oldest and (key not in kept or one != days[-1])]
        for one in old:
            table_of(store, key, one).remove()
        removed += len(old)
    return removed


def _key(version: Version) -> str:
    return version.tags.get("run_key", "")


def _network(settings: Settings, version: Version) -> Dupn:
    """Of the version itself; its run key may have been trained again since."""
    place = bundling.whole(settings, version)
    if place is None and replaced(settings.store, _key(version), version.run_id):
        bundling.ensure(settings, registry_of(settings), version.number)
        place = bundling.whole(settings, version)
    return published.network(place) if place else learning.load(settings.store, _key(version))


@dataclass(frozen=True)
class _Task:
    """What every bucket needs."""

    model: Dupn
    key: str
    version: str
    """Of the registered model."""
    number: int
    """Version of the dimensions."""
    day: date
    history: Partition
    catalog: CatalogArrays
    clock: LocalClock
    profiles: Profiles
    before: Earlier | None
    """None for nobody, when everybody is encoded."""
    batch_size: int

    @classmethod
    def of(
        cls, settings: Settings, day: date, version: Version, number: int, before: Partition | None
    ) -> "_Task":
        store, model = settings.store, _network(settings, version)
        return cls(
            model=model,
            key=_key(version),
            version=version.number,
            number=number,
            day=day,
            history=store.partition("sequences", day, "history").require(),
            catalog=catalog.load(store, day),
            clock=LocalClock(load_dataset(settings.dataset).time_zone),
            profiles=Profiles.of(store, day).ordered(model.sizes.profile_names),
            before=None if before is None else Earlier.of(store, before, day),
            batch_size=settings.represent.batch_size,
        )

    def bucket(self, entry: FileEntry) -> tuple[pa.Table, dict[str, int]]:
        """The table of a bucket's users in hash order, and its rows as `COUNTED` names them."""
        past = self.history.table(HISTORY, [entry])
        users = past["user_hash"].unique().to_numpy()
        if self.before is not None:
            past = past.filter(pa.array(self.before.anew(past, self.clock)))
        fresh = self._encoded(past.combine_chunks())
        quiet = np.setdiff1d(users, fresh["user_hash"].to_numpy())
        carried = self._carried(entry, quiet)
        tables = [fresh] if carried is None else [fresh, carried]
        whole = pa.concat_tables(tables, promote_options="default")  # older ones lack a column
        order = [("user_hash", "ascending"), ("user_id", "ascending")]
        encoded = fresh.num_rows
        older = whole.num_rows - pc.sum(pc.equal(whole["model"], self.key), min_count=0).as_py()
        counts = (encoded, whole.num_rows - encoded, older)
        return whole.sort_by(order), dict(zip(COUNTED, counts, strict=True))

    def _encoded(self, past: pa.Table) -> pa.Table:
        asked = moments_of(past, self.catalog, self.clock, self.day, self.profiles)
        rep = encode(self.model, asked, self.catalog, self.batch_size)
        users = asked.num_rows
        flat = pa.array(rep.ravel(), pa.float32())
        return pa.table(
            {
                "user_hash": asked["user_hash"],
                "user_id": asked["user_id"],
                "representation": pa.FixedSizeListArray.from_arrays(flat, rep.shape[1]),
                "model": pa.array([self.key] * users, pa.string()),
                "model_version": pa.array([self.version] * users, pa.string()),
                "version": pa.array(np.full(users, self.number, np.int32)),
                "as_of": pa.array([self.day] * users, pa.date32()),
            }
        )

    def _carried(self, entry: FileEntry, quiet: Hashes) -> pa.Table | None:
        """Rows of those with a history who did nothing since; who was taken out has none."""
        if self.before is None:
            return None
        low, high = entry.low or 0, entry.high or 2**64
        files = [
            one
            for one in self.before.table.manifest().files
            if (one.low or 0) < high and (one.high or 2**64) > low
        ]
        if not files:
            return None
        table = _with_versions(self.before.table.table(entries=files), self.before.table)
        return table.filter(pa.array(np.isin(table["user_hash"].to_numpy(), quiet)))


def _with_versions(table: pa.Table, of: Partition) -> pa.Table:
    """Which registered version made each row; older tables say it of their own model's alone."""
    if "model_version" in table.column_names:
        return table
    lineage = of.manifest().lineage
    own, none = pc.equal(table["model"], lineage["run"]), pa.scalar(None, pa.string())
    made = pc.if_else(own, pa.scalar(str(lineage["version"])), none)
    return table.append_column("model_version", made)
