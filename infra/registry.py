"""The MLflow registry, moved through the ledger: register, promote, and obey whoever else moves.

Aliases: `champion` (the line in production), `challenger` (the rival line's newest), `previous`
(what was champion before). No stages. A person may move an alias in the MLflow UI: `look()`
notices, obeys and enters it.
"""

import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infra.errors import RegistryError, StoreError
from infra.ledger import Entry, Ledger, LedgerTaken
from infra.mlflow_client import answering
from infra.store import Store
from infra.tracking import connect

logger = logging.getLogger(__name__)

MODEL = "dupn"
ALIASES = ("champion", "challenger", "previous")


@dataclass(frozen=True, kw_only=True)
class Version:
    """A registered version; `tags` hold the run key, the training days and the report address."""

    number: str
    source: str
    run_id: str
    tags: Mapping[str, str]


OBSERVED = "observed"
"""The action of a move that was made elsewhere and is only entered."""

LOOKS = 5
"""Times that a look is repeated when somebody else enters a move meanwhile."""


class Registry:
    """Registered model `dupn` on a tracking server.

    Args:
        uri: the MLflow tracking URI (absolute).
        store: where the ledger lies.
    """

    def __init__(self, uri: str, store: Store) -> None:
        os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
        import mlflow

        self.uri = uri
        mlflow.set_tracking_uri(uri)  # `models:/m-...` sources are resolved through the global one
        self.client: Any = connect(uri)
        self.ledger = Ledger(store)

    def version(self, number_or_alias: str) -> Version | None:
        """A version by number or alias; None if there is none."""
        from mlflow.exceptions import MlflowException

        try:
            if number_or_alias.isdigit():
                found = self.client.get_model_version(MODEL, number_or_alias)
            else:
                found = self.client.get_model_version_by_alias(MODEL, number_or_alias)
        except MlflowException as error:
            if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
                return None
            raise RegistryError(f"MLflow refused to name {number_or_alias}: {error}.") from error
        return _version(found)

    def aliases(self) -> dict[str, str]:
        """Where each alias points now."""
        from mlflow.exceptions import MlflowException

        try:
            model = self.client.get_registered_model(MODEL)
        except MlflowException as error:
            if error.error_code == "RESOURCE_DOES_NOT_EXIST":
                return {}
            raise RegistryError(f"MLflow refused to show {MODEL}: {error}.") from error
        return {name: str(number) for name, number in model.aliases.items() if name in ALIASES}

    def holds(self, model_uri: str) -> bool:
        """Whether the logged model behind `models:/m-...` is still there."""
        from mlflow.exceptions import MlflowException

        try:
            self.client.get_logged_model(model_uri.removeprefix("models:/"))
        except MlflowException as error:
            if error.error_code == "RESOURCE_DOES_NOT_EXIST":
                return False
            raise RegistryError(f"MLflow refused to show {model_uri}: {error}.") from error
        return True

    def register(self, model_uri: str, run_id: str, tags: Mapping[str, str]) -> Version:
        """A new version of the logged model; the same model is registered once."""
        from mlflow.exceptions import MlflowException

        try:
            self.client.create_registered_model(MODEL, description=_DESCRIPTION)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise RegistryError(f"MLflow refused the model {MODEL}: {error}.") from error
        for known in self.client.search_model_versions(f"name = '{MODEL}'"):
            if known.tags.get("model_uri") == model_uri:
                return self._found(str(known.version))
        made = self.client.create_model_version(
            MODEL, source=model_uri, run_id=run_id or None, tags={**tags, "model_uri": model_uri}
        )
        return self._found(str(made.version))

    def download(self, number: str, path: str, folder: Path) -> Path:
        """Files of a version's logged model, copied into a local folder; where they lie there.

        Args:
            number: of the version.
            path: of a file or folder inside the model.
            folder: local; made if it is absent.

        Raises:
            RegistryError: the version has no such files.
            RegistryUnavailable: MLflow does not answer.
        """
        import mlflow
        from mlflow.exceptions import MlflowException

        folder.mkdir(parents=True, exist_ok=True)
        uri = f"models:/{MODEL}/{number}/{path}"
        try:
            with answering(self.uri):
                return Path(mlflow.artifacts.download_artifacts(uri, dst_path=str(folder)))
        except (MlflowException, StoreError) as error:
            raise RegistryError(
                f"version {number} of {MODEL} has no {path} that can be read: {error}."
            ) from error

    def versions(self) -> list[Version]:
        """All registered versions, oldest first."""
        found = self.client.search_model_versions(f"name = '{MODEL}'")
        return sorted((_version(one) for one in found), key=lambda one: int(one.number))

    def promote(
        self, number: str, why: str, who: str = "dupn", after: Sequence[Entry] | None = None
    ) -> Entry:
        """Make a version champion, the old champion `previous`.

        Args:
            number: of the version.
            why: a sentence for the ledger.
            who: moves it.
            after: the ledger on which the decision rests; as it is now when absent. Had another
                move come in between, this one loses.

        Raises:
            RegistryError: there is no such version, or another promotion came first.
        """
        version = self._found(number)
        entries = self.look() if after is None else list(after)
        now = dict(entries[-1].aliases) if entries else {}
        if now.get("champion") == version.number:
            logger.info("version %s is champion already", version.number)
            return entries[-1]
        return self.move(entries, "promote", crowned(now, version.number), why, who)

    def challenge(self, number: str, why: str, who: str = "dupn") -> Entry:
        """Make a version the rival line's newest; the champion stays.

        Raises:
            RegistryError: there is no such version, or another move came first.
        """
        version = self._found(number)
        entries = self.look()
        now = dict(entries[-1].aliases) if entries else {}
        if now.get("challenger") == version.number:
            logger.info("version %s is challenger already", version.number)
            return entries[-1]
        return self.move(entries, "challenge", {**now, "challenger": version.number}, why, who)

    def rollback(self, why: str, who: str = "dupn") -> Entry:
        """Make `previous` champion again, and the champion `previous`.

        A rollback that was cut off is finished instead: a second one would undo it.
        """
        cut_off = [entry for entry in self.ledger.entries()[-1:] if not entry.done]
        entries = self.look()
        if cut_off and cut_off[0].action == "rollback":
            return entries[cut_off[0].number - 1]
        now = dict(entries[-1].aliases) if entries else {}
        before = _before(entries)
        if before is None:
            raise RegistryError("there is no previous champion to roll back to. See `dupn log`.")
        aliases = {**now, "champion": before}
        aliases.pop("previous", None)
        if "champion" in now:
            aliases["previous"] = now["champion"]
        return self.move(entries, "rollback", aliases, why, who)

    def look(self) -> list[Entry]:
        """The ledger, after finishing a move that was cut off and entering moves made elsewhere.

        Raises:
            RegistryError: others moved the aliases again and again meanwhile.
        """
        for _ in range(LOOKS - 1):
            try:
                return self._look()
            except LedgerTaken:
                logger.info("somebody else moved an alias at the same time: looking again")
        return self._look()

    def champion(self) -> Version | None:
        """The version in production, after a look."""
        return self._named("champion")

    def challenger(self) -> Version | None:
        """The rival line's newest, after a look."""
        return self._named("challenger")

    def _named(self, alias: str) -> Version | None:
        entries = self.look()
        number = entries[-1].aliases.get(alias) if entries else None
        return self.version(number) if number else None

    def _look(self) -> list[Entry]:
        entries = self.ledger.entries()
        if entries and not entries[-1].done:
            if entries[-1].action == OBSERVED:  # nothing was to be moved
                self.ledger.finish(entries[-1])
            else:
                self._apply(entries[-1])
            entries = self.ledger.entries()
        now = self.aliases()
        then = dict(entries[-1].aliases) if entries else {}
        if now == then:
            return entries
        moved = ", ".join(
            f"{name} {then.get(name, 'none')} -> {now.get(name, 'none')}"
            for name in ALIASES
            if then.get(name) != now.get(name)
        )
        why = f"moved outside dupn: {moved}"
        entry = self.ledger.append(
            entries,
            action=OBSERVED,
            aliases=now,
            why=why,
            who="MLflow registry",
            facts=self._facts(now),
        )
        self.ledger.finish(entry)
        logger.info("ledger %d: %s", entry.number, why)
        return [*entries, entry]

    def move(
        self,
        after: Sequence[Entry],
        action: str,
        aliases: Mapping[str, str],
        why: str,
        who: str,
        more: Mapping[str, str] | None = None,
    ) -> Entry:
        """Enter a move in the ledger, on condition that `after` is all of it, and make it.

        Args:
            after: the ledger on which the decision rests.
            action: a word for the ledger.
            aliases: all of them, as they are from now on.
            why: a sentence for the ledger.
            who: moves them.
            more: facts beside the tags of the champion.

        Raises:
            RegistryError: another move came first.
        """
        facts = {**self._facts(aliases), **(more or {})}
        entry = self.ledger.append(
            after, action=action, aliases=aliases, why=why, who=who, facts=facts
        )
        self._apply(entry)
        return entry

    def _facts(self, aliases: Mapping[str, str]) -> dict[str, str]:
        """What is champion from now on: the tags of its version."""
        version = self.version(aliases["champion"]) if "champion" in aliases else None
        return dict(version.tags) if version else {}

    def _apply(self, entry: Entry) -> None:
        """Move the aliases as an entry says; if a newer one came meanwhile, that has the last word.

        MLflow knows no conditional move, and this process may have slept since it made the entry.
        """
        now = self.aliases()
        for name in ALIASES:
            number = entry.aliases.get(name)
            if now.get(name) != number and self.ledger.count() == entry.number:
                if number:
                    self.client.set_registered_model_alias(MODEL, name, number)
                else:
                    self.client.delete_registered_model_alias(MODEL, name)
        self.ledger.finish(entry)
        if self.ledger.count() > entry.number:
            self._apply(self.ledger.entries()[-1])

    def _found(self, number: str) -> Version:
        version = self.version(number)
        if version is None:
            found = self.client.search_model_versions(f"name='{MODEL}'")
            numbers = sorted(int(one.version) for one in found)
            newest = ", ".join(map(str, numbers[-20:])) or "none"
            raise RegistryError(f"version {number} of {MODEL} does not exist; there are: {newest}.")
        return version


def crowned(now: Mapping[str, str], number: str) -> dict[str, str]:
    """The aliases once a version is champion: the old champion is `previous`."""
    aliases = {**now, "champion": number}
    if "champion" in now:
        aliases["previous"] = now["champion"]
    if now.get("challenger") == number:
        aliases.pop("challenger")
    return aliases


def _version(found: Any) -> Version:
    return Version(
        number=str(found.version),
        source=found.source,
        run_id=found.run_id or "",
        tags=dict(found.tags),
    )


_DESCRIPTION = (
    "DUPN: one user representation (256 dimensions) from the last 100 behaviours, with CTR, L2R "
    "and price preference answered from it. Input: raw ids and history."
)


def _before(entries: Sequence[Entry]) -> str | None:
    """The alias `previous`; if it names nobody else, as after a move by hand: who was before."""
    now = entries[-1].aliases if entries else {}
    were = [now.get("previous"), *(entry.aliases.get("champion") for entry in reversed(entries))]
    return next((number for number in were if number not in (None, now.get("champion"))), None)
