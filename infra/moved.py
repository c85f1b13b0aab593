"""A home that was moved or copied: the files of its MLflow are where the home is now.

MLflow knows a file by the address that it had when it was written, and writes the next one beside
it: a moved home would make its old folder again, and a copy write into the original. So the home's
own database is told where the home is before a file is written or read by its address.
"""

import logging
import sqlite3
from contextlib import closing, suppress
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from infra.mlflow_client import answering
from infra.store import Store

logger = logging.getLogger(__name__)

_FILE = "file://"
_OURS = "/mlflow/artifacts"
"""How the folder of a home's files ends; others were chosen (`tracking.artifacts`) and stay."""
_COLUMNS = {
    "experiments": "artifact_location",
    "runs": "artifact_uri",
    "logged_models": "artifact_location",
    "model_versions": "storage_location",
}
"""Where MLflow keeps addresses, by table."""


def follow(uri: str, store: Store) -> None:
    """Let the addresses in the home's own database be of the home where it is now.

    A file that lies only where the home was keeps its address. Nothing is done for another
    database, nor where the home has no folder for MLflow's files.

    Args:
        uri: of the tracking store.
        store: of the home.

    Raises:
        StoreError: the database cannot be written.
        RegistryUnavailable: it is busy.
    """
    folder = Path(store.address("mlflow"))
    here = folder / "artifacts"
    if uri != f"sqlite:///{folder}/mlflow.db" or not here.is_dir():
        return
    for old in _left(folder / "mlflow.db", here):
        with answering(uri):
            _tell(uri, old, here.as_uri())
        logger.warning(
            "this home was at %s: MLflow's addresses of its files are those of %s now. Nothing "
            "was changed where it was.",
            *(_path(old).parent.parent, folder.parent),
        )


def _left(database: Path, here: Path) -> list[str]:
    """Folders of files, as addresses, that the home had elsewhere."""
    locations: list[str] = []
    with suppress(sqlite3.Error), closing(_looking(database)) as asked:  # MLflow says it better
        found = asked.execute("SELECT DISTINCT artifact_location FROM experiments")
        locations = [address or "" for (address,) in found]
    ours = [one for one in locations if one.startswith(_FILE) and one.endswith(_OURS)]
    return [one for one in ours if one != here.as_uri() and not _same(_path(one), here)]


def _looking(database: Path) -> sqlite3.Connection:
    """Makes no file where none is."""
    return sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True)


def _same(old: Path, here: Path) -> bool:
    """Whether they are one folder, by a link or a mount: both addresses are good then."""
    return old.exists() and old.samefile(here)


def _tell(uri: str, old: str, new: str) -> None:
    """Move every address below `old` to `new`, in one transaction."""
    import sqlalchemy as sa

    engine = sa.create_engine(uri)
    try:
        with engine.begin() as database:
            for name, named in _COLUMNS.items():
                address: Any = sa.column(named)
                table = sa.table(name, address)
                below = sa.func.substr(address + "/", 1, len(old) + 1) == f"{old}/"
                known = database.execute(sa.select(address).select_from(table).where(below))
                stay = [one for one in known.scalars() if _only_there(one, old, new)]
                moved = new + sa.func.substr(address, len(old) + 1)
                change = sa.update(table).where(below, address.not_in(stay))
                database.execute(change.values({named: moved}))
    finally:
        engine.dispose()


def _only_there(address: str, old: str, new: str) -> bool:
    """Whether a file was written where the home is not any more, after it had gone."""
    if address == old:
        return False
    return _path(address).exists() and not _path(new + address[len(old) :]).exists()


def _path(address: str) -> Path:
    return Path(unquote(address.removeprefix(_FILE)))
