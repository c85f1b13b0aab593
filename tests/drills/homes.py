"""Homes that can be put back: copied with their MLflow, which knows its place by absolute paths."""

import contextlib
import shutil
import sqlite3
from pathlib import Path

from tests.drills.drill import copy

PLACES = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "storage_location"),
)
"""Where MLflow's database keeps addresses of files."""


class Homes:
    """A home to work in, always at one path, and what it looked like at named moments.

    Args:
        folder: for all of them.
        source: the home to begin with; it is not touched.
    """

    def __init__(self, folder: Path, source: str | Path) -> None:
        self.folder, self.work = folder, folder / "work"
        copy(Path(source), self.work)
        _move(self.work, str(source))
        self.keep("chain")

    def keep(self, name: str) -> None:
        """Remember how the home looks now."""
        copy(self.work, self.folder / name)

    def back(self, name: str) -> Path:
        """The home as it was then."""
        copy(self.folder / name, self.work)
        return self.work

    def path(self, name: str) -> Path:
        return self.folder / name


def _move(home: Path, before: str) -> None:
    """Files that MLflow finds from now on lie below `home`."""
    file = home / "mlflow" / "mlflow.db"
    shutil.copy2(file, file.with_suffix(".moved"))
    with sqlite3.connect(file.with_suffix(".moved")) as database:
        for table, column in PLACES:
            database.execute(
                f"UPDATE {table} SET {column} = replace({column}, ?, ?)", (before, str(home))
            )
    database.close()
    file.with_suffix(".moved").replace(file)


def tracked(home: Path) -> dict[str, list[tuple[str, ...]]]:
    """What MLflow holds, without its clock and its random ids."""
    with contextlib.closing(sqlite3.connect(home / "mlflow" / "mlflow.db")) as database:
        return {name: sorted(database.execute(query)) for name, query in LOOKS.items()}


LOOKS = {
    "runs": "SELECT name, status, lifecycle_stage FROM runs",
    "params": "SELECT r.name, p.key, p.value FROM params p JOIN runs r USING (run_uuid)"
    " WHERE r.status = 'FINISHED'",
    "versions": "SELECT version, status FROM model_versions",
    "tags": "SELECT version, key, value FROM model_version_tags",
    "aliases": "SELECT alias, version FROM registered_model_aliases",
}
"""What is compared: SQL, so that this process need not import MLflow."""
