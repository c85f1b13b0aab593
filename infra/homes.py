"""Whose a registered version is: a home marks its own and takes no other's for them.

Several homes may use one MLflow, whose registered model has one name and one champion. So a home's
versions carry its id (`infra.identity`) as the tag `home`. One without the tag was registered
before there were ids, and counts as ours.
"""

from collections.abc import Mapping
from pathlib import Path

from infra.errors import RegistryError
from infra.identity import HOME, identity, known
from infra.moved import follow
from infra.registered import MODEL, Registered, Version
from infra.store import Store


class OwnVersions(Registered):
    """Registered model `dupn`, of which only one home's versions are taken.

    Args:
        uri: the MLflow tracking URI (absolute).
        store: of the home.
    """

    def __init__(self, uri: str, store: Store) -> None:
        super().__init__(uri)
        self._store = store
        self._home = ""

    def version(self, number_or_alias: str) -> Version | None:
        """A version by number or alias; None if there is none.

        Raises:
            RegistryError: another home registered it.
        """
        version = super().version(number_or_alias)
        if version is None or self._is_own(version):
            return version
        named = f"version {version.number} of {MODEL}"
        alias = "" if number_or_alias.isdigit() else f", its {number_or_alias},"
        raise RegistryError(
            f"{named}{alias} in MLflow at {self.uri} was registered by another home (its tag "
            f"{HOME} is {version.tags[HOME]}; that of {self._store.root} is "
            f"{self._home or 'not drawn yet'}). Two homes cannot share a registered model: give "
            "each an MLflow of its own, with tracking.uri (--set, DUPN_SET) of another server or "
            "database. If a hand moved an alias there, move it back; if the other home is gone for "
            f"good, delete the aliases of {MODEL}."
        )

    def versions(self) -> list[Version]:
        """All versions of this home, oldest first."""
        return [one for one in super().versions() if self._is_own(one)]

    def aliases(self) -> dict[str, str]:
        """Where each alias points now.

        Raises:
            RegistryError: one points to a version that another home registered.
        """
        found = super().aliases()
        for name in found:
            self.version(name)
        return found

    def register(self, model_uri: str, run_id: str, tags: Mapping[str, str]) -> Version:
        """A new version of the logged model, marked as this home's."""
        return super().register(model_uri, run_id, {**tags, HOME: identity(self._store)})

    def download(self, number: str, path: str, folder: Path) -> Path:
        """As of any; from where the home is now, if it was moved."""
        follow(self.uri, self._store)
        return super().download(number, path, folder)

    def _is_own(self, version: Version) -> bool:
        theirs = version.tags.get(HOME)
        if theirs is not None and theirs != self._home:
            self._home = known(self._store)
        return theirs in (None, self._home)
