"""The registered model as the MLflow server has it: versions, their files, where aliases point.

Nothing here knows the ledger: `infra.registry` decides what moves, and moves it through this.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infra.errors import RegistryError, StoreError
from infra.mlflow_client import Refused, answering, is_there
from infra.tracking import connect

MODEL = "dupn"
ALIASES = ("champion", "challenger", "previous")


@dataclass(frozen=True, kw_only=True)
class Version:
    """A registered version; `tags` hold the run key, training days, report address and home."""

    number: str
    source: str
    run_id: str
    tags: Mapping[str, str]


class VersionGone(RegistryError):
    """A version that is asked for was deleted in MLflow, or never was."""


class Registered:
    """Registered model `dupn` on a tracking server.

    Asking makes no SQLite database: where there is none yet, there are no versions.

    Args:
        uri: the MLflow tracking URI (absolute).
    """

    def __init__(self, uri: str) -> None:
        os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
        import mlflow

        self.uri = uri
        mlflow.set_tracking_uri(uri)  # `models:/m-...` sources are resolved through the global one
        self.client: Any = connect(uri)

    def version(self, number_or_alias: str) -> Version | None:
        """A version by number or alias; None if there is none."""
        if not is_there(self.uri):
            return None
        try:
            if number_or_alias.isdigit():
                found = self.client.get_model_version(MODEL, number_or_alias)
            else:
                found = self.client.get_model_version_by_alias(MODEL, number_or_alias)
        except Refused as error:
            if error.code in (ABSENT, "INVALID_PARAMETER_VALUE"):
                return None
            raise
        return _version(found)

    def aliases(self) -> dict[str, str]:
        """Where each alias points now."""
        model = self._model()
        named = model.aliases if model else {}
        return {name: str(number) for name, number in named.items() if name in ALIASES}

    def knows_the_model(self) -> bool:
        """Whether the server has the registered model, with versions or without."""
        return self._model() is not None

    def _model(self) -> Any:
        if not is_there(self.uri):
            return None
        try:
            return self.client.get_registered_model(MODEL)
        except Refused as error:
            if error.code == ABSENT:
                return None
            raise

    def holds(self, model_uri: str) -> bool:
        """Whether the logged model behind `models:/m-...` is still there."""
        try:
            self.client.get_logged_model(model_uri.removeprefix("models:/"))
        except Refused as error:
            if error.code == ABSENT:
                return False
            raise
        return True

    def register(self, model_uri: str, run_id: str, tags: Mapping[str, str]) -> Version:
        """A new version of the logged model; the same model is registered once.

        MLflow knows no conditional entry: of two who find none and make two, both look again, and
        whoever made the later one takes it back.
        """
        try:
            self.client.create_registered_model(MODEL, description=_DESCRIPTION)
        except Refused as error:
            if error.code != "RESOURCE_ALREADY_EXISTS":
                raise
        known = self._of_model(model_uri)
        if known:
            return self.found(known[0])
        made = self.client.create_model_version(
            MODEL,
            source=model_uri,
            run_id=run_id or None,
            tags={**tags, "model_uri": model_uri},
            model_id=_model_id(model_uri),
        )
        first, mine = self._of_model(model_uri)[0], str(made.version)
        if first != mine:
            self.client.delete_model_version(MODEL, mine)
        return self.found(first)

    def _of_model(self, model_uri: str) -> list[str]:
        """Numbers of our versions of a logged model, first come first.

        A hand enters a model without our tags, or others' models with a copy of them.
        """
        found = (one for one in self.versions() if one.source == model_uri)
        return [one.number for one in found if one.tags.get("model_uri") == model_uri]

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

        folder.mkdir(parents=True, exist_ok=True)
        uri = f"models:/{MODEL}/{number}/{path}"
        try:
            with answering(self.uri):
                return Path(mlflow.artifacts.download_artifacts(uri, dst_path=str(folder)))
        except (Refused, StoreError) as error:
            raise RegistryError(
                f"version {number} of {MODEL} has no {path} that can be read: {error}"
            ) from error

    def versions(self) -> list[Version]:
        """All registered versions, oldest first."""
        found = map(_version, self._all())
        return sorted(found, key=lambda one: int(one.number))

    def _all(self) -> Any:
        """MLflow's own records, of all homes."""
        if not is_there(self.uri):
            return []
        return self.client.search_model_versions(f"name = '{MODEL}'")

    def found(self, number: str) -> Version:
        """A version by number or alias.

        Raises:
            VersionGone: there is none.
        """
        version = self.version(number)
        if version is None:
            numbers = sorted(int(one.version) for one in self._all())
            newest = ", ".join(map(str, numbers[-20:])) or "none"
            raise VersionGone(f"version {number} of {MODEL} does not exist; there are: {newest}.")
        return version

    def gone(self, aliases: Mapping[str, str]) -> str:
        """Which of them cannot be, as its version was deleted; nothing if all can."""
        for alias, number in aliases.items():
            if self.version(number) is None:
                return f"version {number} of {MODEL}, to be {alias}, is deleted in MLflow"
        return ""

    def facts(self, aliases: Mapping[str, str]) -> dict[str, str]:
        """Of who is champion by them: the tags of its version, and the run that trained it."""
        version = self.version(aliases["champion"]) if "champion" in aliases else None
        if version is None:
            return {}
        return {**version.tags, **({"run_id": version.run_id} if version.run_id else {})}

    def point(self, alias: str, number: str | None) -> None:
        """Let an alias name a version, or nobody.

        Raises:
            VersionGone: there is no such version.
            RegistryError: MLflow refused it for another reason.
        """
        try:
            if number:
                self.client.set_registered_model_alias(MODEL, alias, number)
            else:
                self.client.delete_registered_model_alias(MODEL, alias)
        except Refused as error:
            if number:
                self.found(number)
            told = f"{alias} was not pointed to {number or 'nobody'}: {error}"
            raise Refused(told, error.code) from error


def _version(found: Any) -> Version:
    return Version(
        number=str(found.version),
        source=found.source,
        run_id=found.run_id or "",
        tags=dict(found.tags),
    )


ABSENT = "RESOURCE_DOES_NOT_EXIST"
_DESCRIPTION = (
    "DUPN: one user representation (256 numbers at the paper's sizes) from the last 100 "
    "behaviours, with CTR, L2R and price preference answered from it. Input: raw ids and history."
)


def _model_id(model_uri: str) -> str | None:
    """Of `models:/m-...`: a server registers no logged model of which it is not told as well."""
    return model_uri.removeprefix("models:/") if model_uri.startswith("models:/") else None
