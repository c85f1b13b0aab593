"""The file of a SQLite database of MLflow: it is made whole, and the one that is there is asked.

MLflow keeps its connections for as long as a process lives, and a connection works on in a file
that was moved away. A service would then hear for ever what its registry said before a backup was
put in its place, and a task would write where nobody looks any more.
"""

import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

_STORES = ("mlflow.store.tracking.sqlalchemy_store", "mlflow.store.model_registry.sqlalchemy_store")
"""Modules of MLflow that keep connections: one pool to an address in each."""
_ASKED: dict[str, tuple[int, int] | None] = {}
"""By address the file that the pools of this process are of."""


def of(uri: str) -> Path:
    """The file of a SQLite database; `:memory:` of any other."""
    from sqlalchemy.engine import make_url

    return Path((uri.startswith("sqlite:") and make_url(uri).database) or ":memory:")


def is_there(file: Path) -> bool:
    """SQLite leaves an empty file where somebody only looked."""
    return file.exists() and file.stat().st_size > 0


def make(file: Path) -> None:
    """A database with all tables of MLflow, which gets its name when it has them."""
    from mlflow.store.db import utils

    aside = file.with_name(f"{file.name}.{uuid.uuid4().hex[:10]}.new")
    engine = utils.create_sqlalchemy_engine(f"sqlite:///{aside}")
    try:
        utils._initialize_tables(engine)  # what MLflow does where it finds none
    finally:
        engine.dispose()
    aside.replace(file)


def follow(uri: str) -> None:
    """Let MLflow ask the file that has the name now, where it was replaced since the last call.

    A file that is open keeps its number, so none that takes its place can have the same.

    Raises:
        MlflowException: the one that is there is of another release, as for whoever opens it first.
    """
    file = of(uri)
    if not file.is_absolute():
        return
    found = _identity(file)
    if _ASKED.get(uri, ()) == found:
        return
    _ASKED.pop(uri, None)  # known once all of it is: a file that is refused may be taken back
    for pool in _pools(uri):
        pool.dispose()  # whoever is in a call ends it with the connection that he has
        if found:
            _require_same_release(pool)
    _ASKED[uri] = found


def _pools(uri: str) -> Iterator[Any]:
    for name in _STORES:
        if name in sys.modules:
            # its own affair: a release that keeps them elsewhere goes on as without this
            known = getattr(sys.modules[name].SqlAlchemyStore, "_engine_map", {})
            if uri in known:
                yield known[uri]


def _require_same_release(pool: Any) -> None:
    """MLflow asks it once, when it makes the pool."""
    from mlflow.store.db import utils

    utils._verify_schema(pool)


def _identity(file: Path) -> tuple[int, int] | None:
    """None where there is none, or nobody has made its tables yet."""
    try:
        stat = file.stat()
    except OSError:
        return None
    return (stat.st_dev, stat.st_ino) if stat.st_size else None
