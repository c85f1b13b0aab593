import pytest

from tests.training.small import SMALL, same_numbers_each_time, sizes
from training.baselines.synthetic import Shape, synthetic_batch
from training.batch import Batch
from training.model.dupn import Dupn

__all__ = ["SIZES", "SMALL", "same_numbers_each_time"]

SIZES = sizes(ranking_features=5)


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
