"""Whom a candidate is held against, found through the ledger so that hand moves are obeyed.

The champion if it is of the candidate's line, else the challenger if that is, else the champion of
the other line. A candidate whose very model is champion already is held against whoever was before
it, so that a release may be run again and says the same; one whose key was trained over by force
since is another model.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from infra import run_key
from infra.errors import PartitionCorrupt, RegistryError
from infra.ledger import Entry
from infra.mlflow_client import briefly
from infra.registry import MODEL, Registry, Version
from infra.store import Store
from infra.succession import before, dethroned, is_it, left
from infra.tracking import address
from pipeline.represent import represented
from pipeline.settings import Settings
from training.ancestry import Ancestry, Part


@dataclass(frozen=True)
class Incumbent:
    """A version in place."""

    key: str
    """Its run key."""
    line: str
    version: Version

    @property
    def representation(self) -> int:
        """The version of the 256 dimensions that it speaks."""
        return representation_of(self.version)


def representation_of(version: Version) -> int:
    """The version of the 256 dimensions that a registered version speaks, by its tag.

    Raises:
        RegistryError: the tag is no number; somebody has edited it.
    """
    tag = version.tags.get("representation", "1")
    if not tag.isdecimal():
        raise RegistryError(
            f"version {version.number} of {MODEL} has the tag representation = {tag!r}, which is "
            "no number. Set it in MLflow to the number that its tables under representations/ have "
            "(column `version`), or to one that no other version has."
        )
    return int(tag)


def registry_of(settings: Settings) -> Registry:
    """The registry of the settings' tracking server, with the ledger of their store.

    Whoever only asks makes nothing where nothing is: what is registered was logged before.
    """
    store = settings.store
    return Registry(address(settings.tracking, store), store, partial(represented.follow, store))


def vacancy(entries: Sequence[Entry], registry: Registry | None) -> str:
    """Since when nobody is champion, and how somebody is again; empty if nobody ever was, or is.

    Args:
        entries: the ledger.
        registry: says which versions are there; None: it does not answer.
    """
    made = [entry for entry in entries if not entry.given_up]
    last = next((n for n in reversed(range(len(made))) if "champion" in made[n].aliases), None)
    if last is None or last + 1 == len(made):
        return ""
    taken = made[last + 1]
    since = f"Nobody is champion since ledger entry {taken.number} ({taken.why})."
    return f"{since} {_again(entries, registry)}" if registry else since


def _again(entries: Sequence[Entry], registry: Registry) -> str:
    """How somebody is champion again, of the versions that are there."""
    known = {one.number: one.tags.get("run_key", "") for one in registry.versions()}
    there = {number: key for number, key in known.items() if is_it(entries, number, key)}
    made = [entry.aliases.get("champion", "") for entry in entries if not entry.given_up]
    worse = left(entries)
    last = next((one for one in reversed(made) if one in there and one not in worse), None)
    ways = ["`dupn rollback --why ...`"] if there.keys() & before(entries) else []
    ways += [f"`dupn promote --version {last} --why ...`"] if last else []
    if ways:
        return f"Let somebody be: {', or '.join(ways)}."
    return (
        f"{_moved_away(entries, there) or 'None of those who were is there to be it again.'} "
        "Promote another version (`dupn promote --version N --why ...`), or train and release one "
        "with `dupn run initial`."
    )


def _moved_away(entries: Sequence[Entry], there: Mapping[str, str]) -> str:
    """Who was champion and is there, but was left by a rollback: by which; empty if nobody.

    Args:
        entries: the ledger.
        there: number -> run key.
    """
    gone = {
        away.number: (one, away.why)
        for one in left(entries)
        if one in there and (away := dethroned(entries, one, there[one]))
    }
    if not gone:
        return ""
    newest_first = sorted(gone.items(), reverse=True)
    told = [f"version {one} (ledger entry {n}: {why})" for n, (one, why) in newest_first]
    return (
        f"Those who were and are still there were moved away from: {', '.join(told)}. "
        f"`dupn promote --version {newest_first[0][1][0]} --why ...` brings one back."
    )


def require_own(settings: Settings) -> None:
    """Before hours of work that end in a registry which others may use: its aliases are ours.

    Raises:
        RegistryError: one names a version that another home registered.
    """
    if settings.tracking.uri is not None:  # the embedded one is this home's alone
        registry_of(settings).aliases()


def require_answering(settings: Settings) -> None:
    """Before a command that a person waits for: MLflow answers, or the command ends in seconds.

    What follows is asked with all patience: a server that is there may be slow.

    Raises:
        RegistryUnavailable: it does not answer.
    """
    with briefly():
        registry_of(settings).aliases()


def is_of(run_id: str, trained: str, learnt: Iterable[Part]) -> bool:
    """Whether a checkpoint is that of a version of its run key.

    A forced training under the key of a version is another model. One that nobody forced is the
    same: `learning.require_free` lets no other be; it has a run of its own where the checkpoint was
    lost.

    Args:
        run_id: MLflow run of the version.
        trained: MLflow run of the checkpoint.
        learnt: what its own training added.
    """
    return run_id == trained or not any(part.forced for part in learnt)


def replaced(store: Store, key: str, run_id: str) -> str:
    """Of a version whose checkpoint another model took the place of, that it did; else empty.

    Of a spoilt one it is not known, which is told by whoever needs it.

    Args:
        store: has the checkpoints.
        key: run key of the version; empty where dupn did not register it.
        run_id: MLflow run of the version.
    """
    if not key:
        return ""
    final = store.partition("checkpoints", None, key, "final")
    if not final.exists():
        return ""
    try:
        lineage = final.manifest().lineage
    except PartitionCorrupt:
        return ""
    learnt = Ancestry.of_plain(lineage.get("learnt", ())).parts
    if is_of(run_id, lineage.get("run_id", ""), learnt):
        return ""
    return (
        f"{final.key} is another model's: {key} was trained anew by force since, and no night can "
        "go on from the version."
    )


def instead(key: str, *, rival: bool) -> str:
    """What to do about a version whose checkpoint is gone, or another model's.

    Args:
        key: its run key.
        rival: its line is not in production (`is_rival`): a rollback would move who is.
    """
    restore = f"Restore checkpoints/{key} from a backup, or let a version"
    if rival:
        return (
            f"{restore} of its line be challenger whose own checkpoint is there: "
            f"{by_version('N', rival=True)}."
        )
    return (
        f"{restore} be champion whose own checkpoint is there: `dupn rollback --why ...`, or "
        f"{by_version('N', rival=False)}."
    )


def by_version(number: str, *, rival: bool) -> str:
    """The command that promotes a version whatever the gate said; of a rival, what it must have."""
    if not rival:
        return f"`dupn promote --version {number} --why ...`"
    return (
        f"`dupn promote --version {number} --challenger --why ...` (without --challenger it would "
        "be champion, in place of the line in production)"
    )


def is_rival(registry: Registry, line: str) -> bool:
    """Whether another line is in production; where none is, whether this one was the rival."""
    champion, challenger = registry.champion(), registry.challenger()
    if champion is not None:
        return line_in(champion) != line
    return challenger is not None and line_in(challenger) == line


def role(registry: Registry, against: str, line: str) -> str:
    """What a candidate of a line would be in place of whom it is held against, by his run key.

    Empty where there is no such place yet: it is the first, or the first of a rival line.
    """
    if not against or not is_rival(registry, line):
        return "champion" if against else ""
    challenger = registry.challenger()
    if challenger is None or line_in(challenger) != line:
        return ""
    return "challenger" if challenger.tags.get("run_key") == against else ""


def line_in(version: Version) -> str:
    """Of a version; where a hand took the tag away, that of its run key."""
    return version.tags.get("line") or run_key.line(version.tags.get("run_key", ""))


def of(settings: Settings, key: str) -> Incumbent | None:
    """Whom the candidate of a run key is held against; None: it is the first.

    Raises:
        RegistryError: the version in place was not made by dupn, so nothing is known of it.
    """
    registry = registry_of(settings)
    for entry in reversed(registry.look()):
        if entry.given_up:
            continue
        found = _of_entry(registry, entry, run_key.line(key))
        if found is None:
            return None
        if found.key != key or replaced(settings.store, key, found.version.run_id):
            return found
    return None


def _of_entry(registry: Registry, entry: Entry, line: str) -> Incumbent | None:
    champion, challenger = (
        _named(registry, entry.aliases.get(alias)) for alias in ("champion", "challenger")
    )
    if champion is not None and not is_it([entry], champion.version.number, champion.key):
        champion = None  # of another MLflow: its number is somebody else's here
    if champion is not None and champion.line == line:
        return champion
    return challenger if challenger is not None and challenger.line == line else champion


def _named(registry: Registry, number: str | None) -> Incumbent | None:
    version = registry.version(number) if number else None
    if version is None:
        return None
    key = version.tags.get("run_key", "")
    if not key:
        raise RegistryError(
            f"version {version.number} of {MODEL} has no tag run_key: it was not registered by "
            "dupn and cannot be compared with. Move the alias to a version that `dupn log` knows."
        )
    return Incumbent(key, version.tags.get("line", run_key.line(key)), version)
