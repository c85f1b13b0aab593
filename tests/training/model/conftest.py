import pytest
import torch

from training.baselines.synthetic import Shape, synthetic_batch
from training.batch import Batch, VocabularySizes
from training.config import ModelConfig
from training.model.dupn import Dupn

SIZES = VocabularySizes(
    item=60, brand=12, shop=15, category=9, tag=20, token=25, icon=10, profile=(4, 6),
    ranking_features=5,
)  # fmt: skip
SMALL = ModelConfig(
    item_dim=5, brand_dim=4, shop_dim=3, category_dim=2, tag_dim=4, type_dim=3, scenario_dim=2,
    gap_dim=3, daypart_dim=2, weekend_dim=2, hidden_dim=6, attention_dim=5, query_dim=4, user_dim=6,
    profile_dim=3, ctr_hidden=(7, 5), icon_dim=4,
)  # fmt: skip


@pytest.fixture(autouse=True)
def _same_numbers_each_time():
    torch.manual_seed(11)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # tensors this small only wait for a second thread
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def batch() -> Batch:
    """Histories of 9 and fewer, the last one empty; queries of 0 to 4 tokens."""
    return synthetic_batch(SIZES, Shape(moments=8, length=9, candidates=3, ragged=True), seed=5)


@pytest.fixture
def make():
    """A small network in evaluation mode, other settings by keyword."""

    def build(**settings) -> Dupn:
        return Dupn(SMALL.model_copy(update=settings), SIZES).eval()

    return build
