"""Where tables of representations lie, and which of them is the one to read.

Every model that was champion has tables of its own days, so after a promotion or a rollback several
lie side by side, also of one day. `representations/current.json` names one: the newest table of who
was champion when it was written. Torch-free.
"""

import json
from collections.abc import Mapping
from datetime import date
from typing import Any

from infra.registry import Version
from infra.store import Partition, Store

ROOT = "representations"
CURRENT = "current.json"
"""Beside the folders of the run keys; its names are those of the table's columns."""


def keys_of(store: Store) -> list[str]:
    """Run keys that have a folder of tables."""
    return [name for name in store.names(ROOT) if name != CURRENT]


def table_of(store: Store, key: str, day: date) -> Partition:
    """`representations/<run key>/dt=day`."""
    return store.partition(f"{ROOT}/{key}", day)


def days_of(store: Store, key: str) -> list[date]:
    """Days of which a model's table is published, oldest first."""
    return store.days(f"{ROOT}/{key}")


def made_by(table: Partition, number: str) -> bool:
    """Whether it was a version of that number; two may share a run key."""
    return str(table.manifest().lineage.get("version", number)) == number


def point(store: Store, version: Version) -> None:
    """Let `current.json` name the newest table of a registered version, or say that it has none."""
    key = version.tags["run_key"]
    tables = (table_of(store, key, day) for day in reversed(days_of(store, key)))
    newest = next((one for one in tables if made_by(one, version.number)), None)
    lineage: Mapping[str, Any] = newest.manifest().lineage if newest else {}
    said = {
        "table": newest.key if newest else None,
        "day": lineage.get("day"),
        "model": key,
        "model_version": version.number,
        "version": lineage.get("representation"),
    }
    store.put(f"{ROOT}/{CURRENT}", json.dumps(said, indent=1) + "\n")


def current(store: Store) -> Partition | None:
    """The table that `current.json` names, if it is there."""
    content = store.get(f"{ROOT}/{CURRENT}")
    try:
        key = json.loads(content)["table"] if content else None
    except (ValueError, TypeError, KeyError):  # of a hand; the next `represent` writes it anew
        return None
    found = store.partition(key) if isinstance(key, str) else None
    return found if found and found.exists() else None
