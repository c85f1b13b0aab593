"""Who is champion and why: moving it by hand, back, and reading it.

Everything is resolved through the ledger's newest entry, after a look at the registry: its facts
name run key, bundle and representations of what is champion from now on, so a rollback brings the
three back together. Facts (sequences, samples) stay as they are.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from evaluation import filed
from features.raw.dataset import load as load_dataset
from infra.addresses import bare
from infra.errors import (
    ConfigError,
    PartitionCorrupt,
    PartitionMissing,
    RecordCorrupt,
    RegistryUnavailable,
)
from infra.ledger import Entry, LedgerBroken
from infra.mlflow_client import briefly
from infra.store import Store
from pipeline.nights import night_page, nightly
from pipeline.nights.nightly import State
from pipeline.quality import quality_page
from pipeline.raw import arrival, rawday
from pipeline.release import recording, unlearnt_days
from pipeline.release.incumbent import instead, registry_of, replaced, vacancy
from pipeline.represent import represented
from pipeline.settings import Settings
from pipeline.upkeep import afterwards
from serving import tables

logger = logging.getLogger(__name__)

NO_TABLE = "none: run `dupn represent --day D` for the newest day of sequences"
"""What a person is told where no table of representations is current."""
PLACES = ("bundle", "representations")
"""Facts of an entry that name a place in the store."""
_LEAF = {"events": ("behaviors",), "samples": ()}


@dataclass(frozen=True)
class _Moves:
    """The ledger; `note` says so where MLflow could not be asked what it does not know yet.

    Where the ledger cannot be read, `unknown` is what is said instead of what it would say.
    `vacancy` is what is said where nobody is champion any more.
    """

    entries: list[Entry]
    note: str = ""
    vacancy: str = ""
    unknown: str = ""

    @property
    def last(self) -> Entry | None:
        """The newest that was not given up: after a look there is no other."""
        return next((one for one in reversed(self.entries) if not one.given_up), None)


def rollback(settings: Settings, why: str) -> Mapping[str, Any]:
    """Make the previous champion champion again, with its bundle and representations.

    Each goes one further back, never to whom another one left; `previous` is whom the next one
    goes to. The bundle of the very version that it goes to is whole before the alias moves, its
    table of the newest represented day is there after. Killed in between, the next call goes on
    from there, and `note` says that it did no more than that.
    """
    from pipeline.release import bundling
    from pipeline.represent import representing

    registry = registry_of(settings)
    before = registry.ledger.count()
    entry = registry.rollback(why, ready=lambda number: bundling.ensure(settings, registry, number))
    made = representing.restore(settings)  # before the places are told: its folder may be new
    told = moved(settings, entry) | {"previous": entry.aliases.get("previous", "none")}
    told["represented"] = made
    registry.ledger.end(entry)
    return told | (_finished(entry) if entry.number <= before else {})


def _finished(entry: Entry) -> dict[str, str]:
    return {
        "note": f"entry {entry.number} of the ledger is a rollback of {entry.at} that was cut off "
        "before its end; that was finished, and nothing else moved. Ask again to go one further."
    }


def moved(settings: Settings, entry: Entry) -> dict[str, Any]:
    """What an entry of the ledger put in place.

    `warning` says so if no night can go on from it, or goes without days that it has not learnt.
    """
    key, run_id = entry.facts.get("run_key", ""), entry.facts.get("run_id")
    said = replaced(settings.store, key, run_id) if run_id else ""  # an old entry has none
    if said:
        warning = f"{said} {instead(key, rival=False)}"
    else:
        warning = unlearnt_days.lost(settings.store.resolved(), key)
    return {
        "champion": entry.aliases.get("champion", "none"),
        "why": entry.why,
        "ledger": entry.number,
        "run": key,
        **({"warning": warning} if warning else {}),
        **_places(settings, entry),
    }


def _moves(settings: Settings) -> _Moves:
    """After a look; as the ledger has them where MLflow does not answer within seconds."""
    registry = registry_of(settings)
    try:
        with briefly():
            entries = registry.look()
            return _Moves(entries, vacancy=vacancy(entries, registry))
    except RegistryUnavailable as error:
        moves = _Moves(registry.ledger.entries())
        last = moves.last
        if last is None:
            known = "the ledger has no entry"
        elif last.done:
            known = f"aliases and champion are as of ledger entry {last.number} ({last.at})"
        else:
            known = f"aliases and champion are as ledger entry {last.number} will have them"
        note = f"The registry was not read, so {known}: {error}"
        return _Moves(moves.entries, note, vacancy(moves.entries, None))


def _readable(settings: Settings) -> _Moves:
    """The same, where one file of the ledger shall not hide all else."""
    try:
        return _moves(settings)
    except (LedgerBroken, RecordCorrupt) as error:
        return _Moves([], f"Nobody is promoted or rolled back, since {error}", unknown="not known")


def status(settings: Settings) -> Mapping[str, Any]:
    """What is published, who is champion, where the reports are.

    All but the aliases is of the store, and told without MLflow, too: `note` says so. What cannot
    be read is told in its place, and the rest all the same.
    """
    store, moves = settings.store.resolved(), _readable(settings)
    published = {stage: store.days(stage, *_LEAF[stage]) for stage in _LEAF}
    days = {"raw": rawday.there(store), **published}
    reports = store.names(filed.OFFLINE)
    said = (settings.store.nothing_yet(), moves.note, moves.vacancy)
    notes = [note for note in said if note]
    last, none = moves.last, moves.unknown or "none"
    facts = last.facts if last else {}
    places = dict.fromkeys(PLACES, none) if moves.unknown else _places(settings, last)
    table = represented.current(store)
    return {
        "home": bare(store.root),
        **({"note": " ".join(notes)} if notes else {}),
        **{
            f"{stage} days": f"{found[0]} to {found[-1]} ({len(found)})" if found else "none"
            for stage, found in days.items()
        },
        "aliases": dict(last.aliases) if last and last.aliases else none,
        "champion": facts.get("run_key", none),
        "trained on": facts.get("trained_on", none),
        "representation": facts.get("representation", none),
        **places,
        "representations": table.path if table else None,
        "last move": f"{last.at} {last.why}" if last else none,
        **nights(settings, store),
        "raw files that are not read": arrival.unread(store) or "none",
        "reports": [store.address(filed.offline(name)) for name in reports] or "none",
        "experiment reports": _looks(store) or "none",
        "page of nights": night_page.there(store, facts.get("line") or settings.line) or "none",
        "quality page": quality_page.there(store) or "none",
    }


def nights(settings: Settings, store: Store) -> Mapping[str, Any]:
    """The last night, those that have not ended, and days whose raw data changed afterwards.

    The store may be a resolved one. A night that only waits, and whose day is published all the
    same, never had to be. Of one that has begun it says how to end it.
    """
    days, samples = store.dates(filed.nightly(settings.line)), store.days("samples")
    found, spoilt = {}, list[str]()
    for day in days[-arrival.LOOK_BACK :]:
        try:
            if night := nightly.read(settings, day):
                found[day] = night
        except RecordCorrupt as error:  # it may have ended or not
            spoilt.append(str(error))
    ended = [night for night in found.values() if night.state is State.ENDED]
    unfinished = [
        f"{night.day} {night.state} since {night.at} ({night.run})"
        f"{nightly.mend(night) if night.state is State.BEGUN else ''}"
        for day, night in found.items()
        if night.state is State.BEGUN or (night.state is State.WAITING and day not in samples)
    ]
    return {
        "last night": f"{ended[-1].day}: {ended[-1].outcome}" if ended else "none",
        "nights that have not ended": [*unfinished, *spoilt] or "none",
        "raw data that arrived again": afterwards.arrived_again(store) or "none",
        "days that are behind": afterwards.behind(store) or "none",
    }


def _looks(store: Store) -> list[str]:
    """Of every experiment the newest report."""
    found = []
    for experiment in store.names(filed.EXPERIMENTS):
        folder = filed.experiment(experiment)
        keys = [store.partition(folder, day).key for day in reversed(store.dates(folder))]
        newest = next((key for key in keys if "report.html" in store.names(key)), "")
        found += [store.address(newest, "report.html")] if newest else []
    return found


def log(settings: Settings) -> list[Mapping[str, Any]]:
    """Every move of an alias, oldest first, with the data that the champion was trained on.

    Without MLflow those that the ledger has, which is warned of.
    """
    moves = _moves(settings)
    if moves.note:
        logger.warning("%s", moves.note)
    return [
        {
            "number": entry.number,
            "at": entry.at,
            "action": entry.action,
            "aliases": dict(entry.aliases),
            "run": entry.facts.get("run_key", ""),
            "trained_on": entry.facts.get("trained_on", ""),
            "watermark": entry.facts.get("watermark", ""),
            "why": f"{entry.why} (not made: {entry.given_up})" if entry.given_up else entry.why,
            "who": entry.who,
        }
        for entry in moves.entries
    ]


def _places(settings: Settings, entry: Entry | None) -> dict[str, str]:
    """Addresses of what belongs to the champion: the bundle of that very version, the tables."""
    facts: Mapping[str, str] = entry.facts if entry else {}
    places = {name: facts.get(name, "") for name in PLACES}
    if entry and places["bundle"]:
        places["bundle"] += f"/v{entry.aliases.get('champion')}"
    found = {name: _address(settings, place) for name, place in places.items()}
    return {**found, "bundle": found["bundle"] + _aged(settings, places["bundle"])}


def _aged(settings: Settings, place: str) -> str:
    """Where its day was made again since, how it is taken over."""
    store = settings.store
    target = store.partition(place) if place else None
    try:
        if target is None or not target.exists() or not tables.made_again(target, store.resolved()):
            return ""
        day = target.manifest().lineage["day"]
        asks = _asks(settings, date.fromisoformat(day))
    except (PartitionCorrupt, PartitionMissing):  # whoever reads those says so
        return ""
    how = "no moment of it has candidates to compare by: those of the next day take their place"
    return (
        f" (tables of {day} from before it was made again: "
        f"{f'`dupn refresh --day {day}`' if asks else how})"
    )


def _asks(settings: Settings, day: date) -> bool:
    """Whether `refresh` has moments of the day to compare by; what is not there, it says itself.

    Of samples that have candidates one file is read, or more where all are of the evening before.
    """
    samples = settings.store.partition("samples", day)
    if not samples.exists():
        return True
    manifest = samples.manifest()
    if not manifest.rows or not manifest.counts.get("candidates", 1):
        return False
    try:
        zone = load_dataset(settings.dataset).time_zone
    except ConfigError:
        return True
    return any(map(len, recording.askers(settings.store, day, zone)))


def _address(settings: Settings, place: str) -> str:
    if not place:
        return "none"
    there = bool(settings.store.names(place))
    if there:
        return settings.store.address(*place.split("/"))
    again = place.rpartition("/v")[2] if place.startswith("bundles/") else ""
    how = f": `dupn bundle --version {again}` makes it again" if again.isdigit() else ""
    return f"none ({place} is not there{how})"
