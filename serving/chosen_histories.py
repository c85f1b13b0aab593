"""Which histories a service has: `live.db` of its machine, or a store that `serve.histories` names.

What the setting names is imported when a service starts, and not before: so it may lie outside of
this package, and itself import what it needs of it (`serving.histories`, `serving.snapshots`).
"""

from importlib import import_module
from inspect import signature
from pathlib import Path
from typing import Any, Protocol

from infra.errors import ConfigError
from infra.identity import identity
from infra.store import Store
from serving import snapshots
from serving.histories import PATIENCE_S, Histories, LocalHistories


class Make(Protocol):
    """What `serve.histories` names: a function, or the class of a store itself."""

    def __call__(
        self, *, store: Store, work: Path, zone: str, patience_s: float, namespace: str
    ) -> Histories:
        """The histories of one process.

        Args:
            store: of the `sequences` to begin with.
            work: a local folder, shared by the processes of a machine.
            zone: the data set's time zone.
            patience_s: within which `before`, `profile` and `add` end, or raise
                `ServingUnavailable`, whatever the store's client tries anew.
            namespace: the home's id, under which all that is kept must lie: other homes may use the
                same server.
        """
        ...


def histories(
    store: Store, work: Path, zone: str, patience_s: float = PATIENCE_S, named: str = ""
) -> Histories:
    """The histories of a process of a service.

    Args:
        store: as in `Make`.
        work: as in `Make`.
        zone: as in `Make`.
        patience_s: as in `Make`.
        named: `serve.histories`.

    Raises:
        ConfigError: what is named cannot be imported or called.
    """
    if not named:
        return LocalHistories(work / "live.db", snapshots.newest(store, work), zone, patience_s)
    make = _named(named)
    given: dict[str, Any] = {"store": store, "work": work, "zone": zone, "patience_s": patience_s}
    given["namespace"] = identity(store)
    try:
        signature(make).bind(**given)
    except (TypeError, ValueError) as error:
        raise ConfigError(
            f'serve.histories = "{named}" cannot be called: {error}. Let it take '
            f"{', '.join(given)} by name."
        ) from error
    return make(**given)


def _named(named: str) -> Make:
    said, (module, _, function) = f'serve.histories = "{named}"', named.partition(":")
    if not module or not function:
        raise ConfigError(
            f"{said} is no `package.module:function`. Write it so, or leave it empty for live.db."
        )
    try:
        found: Make | None = getattr(import_module(module), function, None)
    except Exception as error:  # somebody else's module may raise whatever it likes
        raise ConfigError(
            f"{said}: {module} cannot be imported ({type(error).__name__}: {error}). "
            "Install it beside dupn with all that it needs, or name its folder in PYTHONPATH."
        ) from error
    if not callable(found):
        raise ConfigError(
            f"{said}: {module} has no function {function}. Name the one that makes the histories."
        )
    return found
