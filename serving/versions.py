"""Which versions are served, and how a new one comes in: fetched aside, heard, swapped at once.

A source says which version stands behind each arm of the traffic (an alias of the registry, or one
folder). `refresh` loads what has moved, or was published anew, beside what is served, lets it
answer the bundle's recorded requests, and replaces the whole mapping in one assignment: a request
that runs keeps the version it began with. A version that does not load or answers otherwise is
refused, and what was served before keeps serving; so it is with an arm that names no version. A
refused version is tried again when its bundle was published anew or an alias has come back to it;
where only something around it failed (the store, MLflow, the disk), after a pause that grows.
Rolling back is the same: the alias moved.
"""

import logging
import shutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from infra.errors import (
    ConfigError,
    DupnError,
    PartitionCorrupt,
    RegistryError,
    RegistryUnavailable,
    StoreError,
)
from infra.mlflow_client import require_there
from infra.registry import Registry, Version
from infra.store import Partition
from serving import published
from serving import served as disassembled
from serving.bundle import LOGGED
from serving.reading import Reading
from serving.served import Name, Served
from serving.user_part import DEFAULT, Runtime

logger = logging.getLogger(__name__)

CHAMPION = "champion"
"""The arm that answers for those that are not loaded."""
LONGEST_PAUSE = 32
"""Looks between two tries of a version around which something fails: 5 minutes of `poll_s`."""


class Source(Protocol):
    """Where versions come from."""

    def wanted(self) -> Mapping[str, str | None]:
        """Arm -> number of the version that should answer it; None where it names none."""
        ...

    def fetch(self, number: str) -> tuple[Name, Path]:
        """A version's name and its bundle, on this machine."""
        ...

    def stamp(self, number: str) -> str:
        """Another text once a version's bundle was published anew."""
        ...


@dataclass(frozen=True)
class OneFolder:
    """A bundle on this machine; no registry is asked."""

    bundle: Path
    name: Name
    arms: tuple[str, ...] = (CHAMPION,)

    def wanted(self) -> Mapping[str, str | None]:
        """See `Source`."""
        return dict.fromkeys(self.arms, self.name.version)

    def fetch(self, number: str) -> tuple[Name, Path]:
        """See `Source`."""
        del number
        return self.name, self.bundle

    def stamp(self, number: str) -> str:
        """See `Source`: it stays as it is."""
        del number
        return ""


@dataclass(frozen=True)
class FromRegistry:
    """Versions of the registered model: an arm is an alias, a version number, or a line in place.

    The champion is wanted always: it answers for an arm that is not loaded.

    A version's bundle of the store is served as it lies. A version without one (an alias was moved
    by hand to a version that dupn did not register), or whose bundle is spoilt, is taken from
    MLflow and disassembled here.
    """

    registry: Registry
    arms: Iterable[str]
    """Asked for at every look."""
    copies: Path
    """A folder of this machine, for bundles of an object store."""
    own: Path
    """`Versions.work`: for what comes from MLflow."""
    reading: Reading = field(default_factory=Reading)
    """Told of every look."""

    def wanted(self) -> Mapping[str, str | None]:
        """See `Source`.

        Raises:
            RegistryError: MLflow does not answer.
        """
        found: dict[str, str | None] = {}
        with self.reading.look():
            require_there(self.registry.uri)
            for arm in dict.fromkeys((*self.arms, CHAMPION)):
                version = self.registry.version(arm) or self._of_line(arm)
                found[arm] = version.number if version else None
        return found

    def _of_line(self, line: str) -> Version | None:
        """The newest promoted version of a line (an arm of an experiment)."""
        for alias in (CHAMPION, "challenger"):
            version = self.registry.version(alias)
            if version is not None and version.tags.get("line") == line:
                return version
        return None

    def fetch(self, number: str) -> tuple[Name, Path]:
        """See `Source`."""
        version, name, place = self._find(number)
        try:
            return published.fetch(place, self.copies, version.tags.get("model_uri"))
        except StoreError as error:
            logger.warning("%s Version %s is taken from MLflow instead.", error, number)
        return name, self.registry.download(number, LOGGED, _folder(self.own, number))

    def stamp(self, number: str) -> str:
        """See `Source`."""
        return self._find(number)[2].stamp()

    def _find(self, number: str) -> tuple[Version, Name, Partition]:
        version = self.registry.version(number)
        if version is None:
            raise RegistryError(
                f"version {number} is gone from the registry: it was deleted in MLflow. "
                "Let the alias or serve.shares name one that is there (`dupn rollback`)."
            )
        name = published.name_of(version)
        run = name.run or "none"
        return version, name, published.place(self.registry.ledger.store, run, number)


def _folder(work: Path, number: str) -> Path:
    """What a process keeps of a version that it disassembled itself."""
    return work / f"v{number}"


@dataclass
class _Refusal:
    """When a refused version is tried again.

    Args:
        stamp: of its bundle; another one is tried at once.
        pause: looks until the next try; 0: only another stamp is tried.
        waited: looks that have passed.
    """

    stamp: str
    pause: int = 0
    waited: int = 0


@dataclass
class Versions:
    """What is served, by arm.

    Args:
        source: says what should be served.
        work: a folder of this process for item tables and recall indexes.
        tolerance: largest difference from a recorded score.
        runtime: answers the user part of each version.
        zone: in which the service's days end; a version of another one is refused. Empty: none is.
        remember: told what is served, by arm, whenever that has moved.
        reading: of the source's registry, which tells the log of looks that fail.
    """

    source: Source
    work: Path
    tolerance: float
    runtime: Runtime = DEFAULT
    zone: str = ""
    remember: Callable[[Mapping[str, Name]], None] = lambda served: None
    reading: Reading = field(default_factory=Reading)
    served: Mapping[str, Served] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)
    """Version -> why it is refused."""
    missing: tuple[str, ...] = ()
    """Arms that named no version at the last look."""
    _refusals: dict[str, "_Refusal"] = field(default_factory=dict)
    _stamps: dict[str, str] = field(default_factory=dict)
    """Version -> of the bundle that is served."""

    def refresh(self, keep: Iterable[str] = ()) -> bool:
        """Take over what has moved; whether anything is served anew. Never raises.

        Args:
            keep: arms that go on being served though they are not wanted any more.
        """
        self.reading.serves = bool(self.served)
        try:
            named = self.source.wanted()
        except DupnError:  # `reading` tells it, not at every look
            return False
        wanted = {arm: number for arm, number in named.items() if number is not None}
        self._miss(tuple(arm for arm in named if arm not in wanted))
        known = {one.name.version: one for one in self.served.values()}
        for number in set(self.refused).difference(wanted.values()):
            self._forget(number)
        for number in dict.fromkeys(wanted.values()):
            if (number not in known or self._renewed(number)) and self._may_try(number):
                loaded = self._load(number)
                if loaded is not None:
                    known[number] = loaded
        changed = {arm: known[number] for arm, number in wanted.items() if number in known}
        kept = [arm for arm in (*named, *keep) if arm in self.served]
        merged = {**{arm: self.served[arm] for arm in kept}, **changed}
        before, self.served = self.served, merged
        anew = any(before.get(arm) is not one for arm, one in merged.items())
        if anew or len(merged) < len(before):
            self._tidy()
            self.remember({arm: one.name for arm, one in merged.items()})
        return anew

    def _miss(self, arms: tuple[str, ...]) -> None:
        """Remember the arms that name no version; told when they change, not at every look."""
        for arm in arms:
            if arm not in self.missing:
                meanwhile = "what it had keeps serving" if arm in self.served else "it is left out"
                logger.warning(
                    "no version is %s: %s. Promote one, or change serve.shares.", arm, meanwhile
                )
        self.missing = arms

    def _tidy(self) -> None:
        """Give back the disk of versions served no more; what is mapped stays readable."""
        kept = {f"v{one.name.version}" for one in self.served.values()}
        for folder in self.work.glob("v*"):
            if folder.name not in kept:
                shutil.rmtree(folder, ignore_errors=True)

    def _renewed(self, number: str) -> bool:
        """Whether the bundle of a version that is served was published anew."""
        held = self._stamps.get(number, "")
        return self._stamp(number, held) not in ("", held)

    def _may_try(self, number: str) -> bool:
        refusal = self._refusals.get(number)
        if refusal is None:
            return True
        refusal.waited += 1
        due = 0 < refusal.pause <= refusal.waited
        return due or self._stamp(number, refusal.stamp) != refusal.stamp

    def _stamp(self, number: str, otherwise: str = "") -> str:
        try:
            return self.source.stamp(number)
        except Exception:  # one bundle that cannot be read keeps no other arm from moving
            return otherwise

    def _load(self, number: str) -> Served | None:
        """A version that has answered its recorded requests; None if it is refused."""
        stamp = self._stamp(number)
        try:
            loaded, worst = self._fetch(number)
        except Exception as error:  # whatever is wrong with it, the old version keeps serving
            why = f"{type(error).__name__}: {error}"
            self._refuse(number, why, stamp, passing=_is_passing(error))
            return None
        if not worst <= self.tolerance:
            why = f"its scores differ by {worst:.3g} from the recorded ones"
            self._refuse(number, why, stamp, passing=False)
            return None
        self._forget(number)
        self._stamps[number] = stamp
        logger.info(
            "version %s (%s) is loaded; recorded scores within %.1e", number, loaded.name.run, worst
        )
        return loaded

    def _fetch(self, number: str) -> tuple[Served, float]:
        """A version, and how far its answers are from the recorded ones."""
        shutil.rmtree(_folder(self.work, number), ignore_errors=True)
        name, bundle = self._fetched(number)
        folder = bundle / disassembled.FOLDER
        if not folder.exists():
            folder = _folder(self.work, number)
            disassembled.disassemble(bundle, folder)
        loaded = disassembled.load(bundle, folder, name, self.runtime)
        self._require_zone(loaded)
        return loaded, disassembled.worst_difference(loaded, bundle)

    def _fetched(self, number: str) -> tuple[Name, Path]:
        try:
            return self.source.fetch(number)
        except DupnError:
            raise
        except Exception as error:  # each object store has its own words for a lost connection
            raise StoreError(
                f"the bundle of version {number} could not be fetched "
                f"({type(error).__name__}: {error}). See to the store, or the way to it."
            ) from error

    def _require_zone(self, loaded: Served) -> None:
        zone = loaded.bundle.world.clock.zone
        if self.zone and zone != self.zone:
            raise ConfigError(
                f"the days of {loaded.name.run or 'the version'} end at midnight in {zone}, those "
                f"of this service in {self.zone}. Stop it, and start it with the data set that the "
                "version learnt from: `dupn --set dataset=NAME serve` (or `up`)."
            )

    def _refuse(self, number: str, why: str, stamp: str, *, passing: bool) -> None:
        before = self._refusals.get(number)
        pause = min(2 * before.pause or 1, LONGEST_PAUSE) if before else 1
        self._refusals[number] = _Refusal(stamp, pause if passing else 0)
        self.refused[number] = why
        meanwhile = "what was served before keeps serving" if self.served else "nothing is served"
        again = f" The next try is look {pause} from now." if passing else ""
        logger.error("version %s is refused, %s: %s%s", number, meanwhile, why, again)

    def _forget(self, number: str) -> None:
        self.refused.pop(number, None)
        self._refusals.pop(number, None)


def _is_passing(error: Exception) -> bool:
    """Whether something around a version failed, rather than what it holds."""
    if isinstance(error, OSError):
        return error.errno is not None  # Arrow's about the content have no number
    return isinstance(error, RegistryUnavailable | StoreError) and not isinstance(
        error, PartitionCorrupt
    )
