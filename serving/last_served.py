"""What was served last, kept on the machine: a process that finds no champion begins with it.

A service whose MLflow is away goes on with what it has. A worker that is replaced meanwhile has
nothing yet, though the bundles lie whole in the store: it takes the versions that the processes
before it served, until the registry answers it for the first time. Where that answers that nobody
is champion (his version was deleted, a hand took the alias away) the processes that run serve on
whom they had; one that starts begins with him, too, or it would answer nobody, unless a rollback
has left him. Of other arms this is not so: their users are answered by the champion, and who stood
there may be long gone.
"""

import json
import logging
import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path

from infra.errors import PartitionCorrupt, RegistryError, StoreError
from infra.ledger import Ledger
from infra.store import Store
from infra.succession import left
from serving import published
from serving.served import Name
from serving.versions import CHAMPION, Source

logger = logging.getLogger(__name__)

FILE = "last-served.json"
"""In `serve.work`; services that share the folder keep their arms beside one another."""


@dataclass
class LastServed:
    """A source that remembers.

    Args:
        source: asked first, and alone once it has answered and said who is champion.
        arms: that the service has now.
        store: of the bundles.
        work: the service's folder.
        copies: as of `FromRegistry`.
    """

    source: Source
    arms: Iterable[str]
    store: Store
    work: Path
    copies: Path
    _answered: bool = False
    _known: dict[str, Name] = field(default_factory=dict)
    """Version -> its name, of those that are remembered and wanted."""
    _began: bool = False
    """Whether a champion has been served."""
    _unsure: str = ""
    """Why it is not known whether a rollback left him; told when it changes, not at every look."""

    def wanted(self) -> Mapping[str, str | None]:
        """See `Source`.

        Raises:
            RegistryError: MLflow does not answer, and has before, or nothing is remembered.
            StoreError: so it is with its database: the disk is full, or takes no writes.
        """
        try:
            found = self.source.wanted()
        except (RegistryError, StoreError) as error:
            last = {} if self._answered else self._read()
            arms = {arm: last[arm] for arm in dict.fromkeys((*self.arms, CHAMPION)) if arm in last}
            if not arms:
                raise
            if not self._known:
                told = ", ".join(f"{arm} {name.version}" for arm, name in arms.items())
                logger.warning("what was served last is served (%s): %s", told, error)
            self._known = {name.version: name for name in arms.values()}
            return {arm: name.version for arm, name in arms.items()}
        self._answered = True
        was = None if self._began or found.get(CHAMPION) else self._was_champion()
        if was is None:
            self._known = {}
            return found
        if was.version not in self._known:
            logger.warning(
                "nobody is champion: what was served last is served (%s). `dupn status` says how "
                "somebody is champion again.",
                was.version,
            )
        self._known = {was.version: was}
        return {**found, CHAMPION: was.version}

    def fetch(self, number: str) -> tuple[Name, Path]:
        """See `Source`."""
        if number not in self._known:
            return self.source.fetch(number)
        place = published.place(self.store, self._known[number].run, number)
        try:
            return published.fetch(place, self.copies)
        except StoreError as error:
            if not self._answered:
                raise
            kind = PartitionCorrupt if isinstance(error, PartitionCorrupt) else StoreError
            raise kind(
                f"nobody is champion, and version {number}, which was it last, cannot be had: "
                f"{error} `dupn status` says how somebody is champion again."
            ) from error

    def stamp(self, number: str) -> str:
        """See `Source`.

        Once the registry names a version that was refused from memory, it is another: that one may
        come from MLflow.
        """
        if number not in self._known:
            return self.source.stamp(number)
        stamp = published.place(self.store, self._known[number].run, number).stamp()
        return f"remembered {stamp}" if self._answered else stamp

    def remember(self, served: Mapping[str, Name]) -> None:
        """Keep what is served now, by arm; a disk that does not take it only says so."""
        self._began = CHAMPION in served
        kept = {arm: asdict(name) for arm, name in {**self._read(), **served}.items()}
        file = self.work / FILE
        aside = file.with_name(f".{FILE}.{os.getpid()}")
        try:
            aside.write_text(json.dumps({"home": self.store.root, "arms": kept}))
            aside.replace(file)
        except OSError as error:
            logger.warning("%s could not be written: %s", file, error)

    def _was_champion(self) -> Name | None:
        """Who was served last as champion; nobody if a rollback left him since, or may have."""
        was = self._read().get(CHAMPION)
        if was is None:
            return None
        try:
            gone = left(self._ledger.entries())
        except Exception as error:  # each store's client has its own; other arms are served
            if self._unsure != (told := str(error)):
                logger.warning(
                    "nobody is champion, and version %s, which was it last, is not served: whether "
                    "a rollback left it is not known (%s).",
                    was.version, told,
                )  # fmt: skip
            self._unsure = told
            return None
        self._unsure = ""
        return None if was.version in gone else was

    @cached_property
    def _ledger(self) -> Ledger:
        """Kept, as it reads no entry twice."""
        return Ledger(self.store)

    def _read(self) -> dict[str, Name]:
        """What was kept of this home; nothing where it cannot be read."""
        try:
            kept = json.loads((self.work / FILE).read_text())
            if kept["home"] != self.store.root:
                return {}
            return {arm: Name(**name) for arm, name in kept["arms"].items()}
        except (OSError, ValueError, LookupError, TypeError, AttributeError):
            return {}
