"""The descriptions by which a home's raw days were imported: each keeps its own in its lineage."""

import logging
from collections.abc import Iterator

from features.raw import dataset as datasets
from features.raw.dataset import Dataset
from features.raw.raw_table import TABLES
from infra.errors import DupnError
from infra.store import Store

logger = logging.getLogger(__name__)


def kept(store: Store) -> Iterator[Dataset]:
    """Each once; one that cannot be read any more is warned of. Reads a manifest a day and table.

    Days of plain files keep none: they are read by whatever `dataset` is set.
    """
    store, seen = store.resolved(), set[str]()
    try:
        days = store.dates("raw")
    except DupnError as error:  # whoever reads raw itself is told so, too
        logger.warning("%s", error)
        return
    for day in days:
        for part in (store.partition("raw", day, name) for name in TABLES):
            try:
                text = part.manifest().lineage.get("description", "") if part.exists() else ""
                if text and text not in seen:
                    seen.add(text)
                    yield datasets.parse_description(text, f"the description kept in {part.key}")
            except (DupnError, ValueError) as error:  # not TOML any more is a ValueError
                logger.warning("%s", error)
