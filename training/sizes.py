"""How many rows each embedding table needs, read from the vocabulary of a day.

Vocabularies only grow, so the last day's sizes hold every row that samples of earlier days name.
"""

from datetime import date

from features import ranking, vocabulary
from features.schemas import FEATURES, PROPERTIES
from infra.store import Store
from training.batch import VocabularySizes


def vocabulary_sizes(store: Store, day: date) -> VocabularySizes:
    """Sizes for a network that reads samples up to `day`."""
    profile = vocabulary.published(store, day, "profile_")
    return VocabularySizes(
        **{feature: vocabulary.size(store, day, feature) for feature in FEATURES},
        profile=tuple(vocabulary.size(store, day, feature) for feature in profile),
        ranking_features=len(ranking.NAMES),
        profile_names=tuple(profile),
        ranking_names=ranking.NAMES,
        property_names=PROPERTIES,
    )
