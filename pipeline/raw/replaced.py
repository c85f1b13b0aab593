"""What an import leaves as it was: days and tables that its files do not have, events made before.

`import --replace` puts files in the place of others, day by day. Who took rows out of a log, all of
some day's among them, would think them gone.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import date

from features.carry import ONE_DAY
from features.raw import raw_names
from features.raw.raw_table import LOGS
from infra.store import Partition, Store
from pipeline.raw import arrival


def sentences(
    store: Store,
    written: Mapping[str, Collection[date]],
    former: Mapping[str, Collection[str]] | None = None,
    *,
    replace: bool,
) -> list[str]:
    """One for each log that keeps days, and one for events of former files.

    Args:
        store: in which the days have been published.
        written: days by table.
        former: by table, the digests of files that each of these days was imported from before.
        replace: whether the files took the place of others; else they keep nothing from anybody.
    """
    store = store.resolved()
    both = {day for days in written.values() for day in days}
    if not replace:
        return _former(store, both)
    logs = {name: days for name, days in written.items() if name in LOGS}
    replaced = {day for days in logs.values() for day in days}
    return [
        *_untouched(store, logs, former or {}),
        *_not_given(store, replaced, [name for name in LOGS if name not in logs]),
        *_former(store, both),
    ]


def _former(store: Store, days: Iterable[date]) -> list[str]:
    """One sentence about days whose events were made of other raw data than is there now."""
    made = sorted({*days} & {*store.dates("events")})
    found = arrival.arrived_again(store, made)
    if not found:
        return []
    first, last = found[0], found[-1]
    one = f"`dupn backfill --day {first}`"
    several = f"`dupn backfill --from {first} --to {last}`"
    return [
        f"events of {_spans(found)} were made of former files: "
        f"{one if first == last else several} makes them again, and what follows from them."
    ]


def _untouched(
    store: Store,
    logs: Mapping[str, Collection[date]],
    former: Mapping[str, Collection[str]],
) -> Iterator[str]:
    """Of the logs that were given: days of which they have no row, and whose rows may be gone.

    Those between their first and last day; and of the others those of the import that is replaced,
    where all of its files are given again, by name: one was cut.
    """
    for name, days in logs.items():
        given = {one for day in days for one in _sources(store, name, day)}
        there = {day for day in store.dates("raw") if day not in days}
        keep = {day for day in there if min(days) < day < max(days)}
        for day in there - keep if former.get(name) else ():
            theirs = _sources(store, name, day)
            if theirs.keys() <= given and {*theirs.values()}.intersection(former[name]):
                keep.add(day)
        yield from _stay(store, name, keep, "the new files have no row of")


def _sources(store: Store, name: str, day: date) -> Mapping[str, str]:
    """Digests of the files of a day's import, by name; none of what was not imported."""
    part = store.partition("raw", day, name)
    return part.manifest().lineage.get("sha256", {}) if part.exists() else {}


def _not_given(store: Store, days: Collection[date], logs: Iterable[str]) -> Iterator[str]:
    for name in logs:
        yield from _stay(store, name, days, f"no file of {name} was given for")


def _stay(store: Store, name: str, days: Iterable[date], why: str) -> Iterator[str]:
    parts = {day: store.partition("raw", day, name) for day in sorted(days)}
    there = {day: part for day, part in parts.items() if part.exists()}
    if there:
        those = "it" if len(there) == 1 else "them"
        folder = next(iter(there.values())).key + " and so on" * (len(there) > 1)
        yield (
            f"raw of {_spans(list(there))} keeps its {name} ({_files(there.values())}): {why} "
            f"{those}. Remove {folder} where it is withdrawn."
        )


def _files(parts: Iterable[Partition]) -> str:
    lineages = [part.manifest().lineage for part in parts]
    names = dict.fromkeys(name for one in lineages for name in one.get("files", ()))
    return raw_names.some(list(names)) or "not imported"


def _spans(days: list[date]) -> str:
    """`2026-03-03, 2026-03-05 to 2026-03-09`."""
    starts = [day for day in days if day - ONE_DAY not in days]
    ends = [day for day in days if day + ONE_DAY not in days]
    pairs = zip(starts, ends, strict=True)
    return ", ".join(f"{one}" if one == last else f"{one} to {last}" for one, last in pairs)
