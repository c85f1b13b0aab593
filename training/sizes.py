"""How many rows each embedding table needs, read from the vocabulary of a day.

Vocabularies only grow, so the last day's sizes hold every row that samples of earlier days name.
"""

from datetime import date

import pyarrow.compute as pc

from features.schemas import FEATURES, UNKNOWN_ROW
from infra.store import Partition, Store
from training.batch import VocabularySizes

PROFILE = "profile_"


def vocabulary_sizes(store: Store, day: date, ranking_features: int) -> VocabularySizes:
    """Sizes for a network that reads samples up to `day`.

    Args:
        store: where `vocabulary` of that day is.
        day: the last day.
        ranking_features: how many a candidate has; the samples know.
    """
    names = store.names(f"vocabulary/dt={day.isoformat()}")
    rows = {name: _rows(store.partition("vocabulary", day, name)) for name in FEATURES}
    profile = [name for name in names if name.startswith(PROFILE)]
    return VocabularySizes(
        **rows,
        profile=tuple(_rows(store.partition("vocabulary", day, name)) for name in profile),
        ranking_features=ranking_features,
    )


def _rows(vocabulary: Partition) -> int:
    """Rows of one feature's table; a feature that the data set lacks has padding and unknown."""
    if not vocabulary.exists():
        return UNKNOWN_ROW + 1
    table = vocabulary.table(["row"])
    largest = pc.max(table["row"]).as_py() if table.num_rows else None
    return max(largest or 0, UNKNOWN_ROW) + 1
