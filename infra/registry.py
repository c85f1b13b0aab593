"""The MLflow registry, moved through the ledger: register, promote, and obey whoever else moves.

Aliases: `champion` (the line in production), `challenger` (the rival line's newest), `previous`
(what was champion before). No stages. A person may move an alias in the MLflow UI: `look()`
notices, obeys and enters it.
"""

import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from infra.errors import RegistryError
from infra.ledger import Entry, Ledger
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


class Registry:
    """Registered model `dupn` on a tracking server.

    Args:
        uri: the MLflow tracking URI (absolute).
        store: where the ledger lies.
    """

    def __init__(self, uri: str, store: Store) -> None:
        os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
        import mlflow

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
        return Version(
            number=str(found.version),
            source=found.source,
            run_id=found.run_id or "",
            tags=dict(found.tags),
        )

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

    def promote(self, number: str, why: str, who: str = "dupn") -> Entry:
        """Make a version champion, the old champion `previous`.

        Raises:
            RegistryError: there is no such version, or another promotion came first.
        """
        version = self._found(number)
        entries = self.look()
        now = self.aliases()
        if now.get("champion") == version.number:
            logger.info("version %s is champion already", version.number)
            return entries[-1]
        aliases = {**now, "champion": version.number}
        if "champion" in now:
            aliases["previous"] = now["champion"]
        entry = self.ledger.append(
            entries, action="promote", aliases=aliases, why=why, who=who, facts=version.tags
        )
        self._apply(entry)
        return entry

    def rollback(self, why: str, who: str = "dupn") -> Entry:
        """Make `previous` champion again, and the champion `previous`."""
        entries = self.look()
        now = self.aliases()
        if "previous" not in now:
            raise RegistryError("there is no previous champion to roll back to. See `dupn log`.")
        aliases = {**now, "champion": now["previous"], "previous": now["champion"]}
        entry = self.ledger.append(entries, action="rollback", aliases=aliases, why=why, who=who)
        self._apply(entry)
        return entry

    def look(self) -> list[Entry]:
        """The ledger, after finishing a move that was cut off and entering moves made elsewhere."""
        entries = self.ledger.entries()
        if entries and not entries[-1].done:
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
            entries, action="observed", aliases=now, why=why, who="MLflow registry"
        )
        self.ledger.finish(entry)
        return [*entries, entry]

    def _apply(self, entry: Entry) -> None:
        now = self.aliases()
        for name, number in entry.aliases.items():
            if now.get(name) != number:
                self.client.set_registered_model_alias(MODEL, name, number)
        for name in now:
            if name not in entry.aliases:
                self.client.delete_registered_model_alias(MODEL, name)
        self.ledger.finish(entry)

    def _found(self, number: str) -> Version:
        version = self.version(number)
        if version is None:
            raise RegistryError(
                f"version {number} of {MODEL} does not exist. `dupn status` lists the versions."
            )
        return version


_DESCRIPTION = (
    "DUPN: one user representation (256 dimensions) from the last 100 behaviours, with CTR, L2R "
    "and price preference answered from it. Input: raw ids and history."
)
