"""Where tables of representations lie, and which of them is the one to read.

Every model that was champion has tables of its own days, so after a promotion or a rollback several
lie side by side, also of one day. `representations/current.json` names one: the newest table of who
was champion when it was written. Torch-free.
"""

import json
import logging
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

from infra.errors import PartitionCorrupt
from infra.ledger import Entry
from infra.store import Partition, Store
from infra.succession import OBSERVED

logger = logging.getLogger(__name__)

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


def newest_of(store: Store, key: str, number: str) -> Partition | None:
    """The newest table of a registered version, if it has one."""
    tables = (table_of(store, key, day) for day in reversed(days_of(store, key)))
    return next((one for one in tables if made_by(one, number)), None)


def follow(store: Store, entries: Sequence[Entry]) -> None:
    """After the last of these moves: let `current.json` name the newest table of who is champion.

    Whom a promotion made champion has none until `represent` has run, and the one before stays
    till then; after a hand's move of `champion`, which may be away from a bad one, none is named
    then.
    """
    made = [entry for entry in entries if not entry.given_up]
    if not made:
        return
    entry, before = made[-1], made[-2].aliases if len(made) > 1 else {}
    key, number = entry.facts.get("run_key"), entry.aliases.get("champion")
    if not key or number is None or not keys_of(store):
        return
    by_hand = entry.action == OBSERVED and number != before.get("champion")
    try:
        if by_hand or newest_of(store, key, number):
            point(store, key, number)
    except PartitionCorrupt as error:  # the aliases have moved, and `represent` writes it anew
        logger.warning("%s/%s stays as it was: %s", ROOT, CURRENT, error)


def point(store: Store, key: str, number: str) -> None:
    """Let `current.json` name the newest table of a registered version, or say that it has none."""
    newest = newest_of(store, key, number)
    lineage: Mapping[str, Any] = newest.manifest().lineage if newest else {}
    said = {
        "table": newest.key if newest else None,
        "day": lineage.get("day"),
        "model": key,
        "model_version": number,
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
