"""Small networks and their tables, for tests of the arithmetic."""

import pytest
import torch

from training.batch import VocabularySizes
from training.config import ModelConfig

SMALL = ModelConfig(
    item_dim=5, brand_dim=4, shop_dim=3, category_dim=2, tag_dim=4, type_dim=3, scenario_dim=2,
    gap_dim=3, daypart_dim=2, weekend_dim=2, hidden_dim=6, attention_dim=5, query_dim=4, user_dim=6,
    profile_dim=3, ctr_hidden=(7, 5), icon_dim=4,
)  # fmt: skip
TINY = ModelConfig(**{name: 4 for name in ModelConfig.model_fields if name.endswith("_dim")})
"""Every vector of four numbers."""


def sizes(ranking_features: int) -> VocabularySizes:
    return VocabularySizes(
        item=60, brand=12, shop=15, category=9, tag=20, token=25, icon=10, profile=(4, 6),
        ranking_features=ranking_features,
    )  # fmt: skip


@pytest.fixture(autouse=True)
def same_numbers_each_time():
    torch.manual_seed(11)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # tensors this small only wait for a second thread
    yield
    torch.set_num_threads(threads)


def same(one, other) -> bool:
    """Whether weights by name are the same numbers."""
    return all(torch.equal(one[name], other[name]) for name in one | other)
