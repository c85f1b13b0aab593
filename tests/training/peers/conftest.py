from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch.nn import functional

from features import ranking
from tests.training import small as networks
from tests.training.small import same_numbers_each_time
from training.baselines.synthetic import Shape, synthetic_batch
from training.batch import Batch, VocabularySizes
from training.config import ModelConfig, Task, TrainConfig
from training.learner import Learner
from training.model.network import Network
from training.peers.build import builder
from training.peers.config import PeersConfig, WideConfig

__all__ = ["same_numbers_each_time"]


@pytest.fixture(scope="session")
def sizes() -> VocabularySizes:
    return networks.sizes(ranking_features=len(ranking.NAMES))


@pytest.fixture(scope="session")
def small() -> ModelConfig:
    return networks.SMALL.model_copy(update={"dropout": 0.0})


@pytest.fixture(scope="session")
def peers() -> PeersConfig:
    return PeersConfig(deep_hidden=(16, 12, 8), windows=4, maps=5)


@pytest.fixture(scope="session")
def wide() -> WideConfig:
    return WideConfig(bits=14, alpha=0.3, l1=0.01)


@pytest.fixture
def asked(sizes) -> Batch:
    """Histories of 9 and fewer, the last one empty; queries of 0 to 4 tokens; every task."""
    return synthetic_batch(sizes, Shape(moments=24, length=9, candidates=3, ragged=True), seed=5)


@pytest.fixture
def scattered(asked, sizes) -> Batch:
    """As `asked`, but of some moments only and in no order; long queries, items with few tags."""
    random = torch.Generator().manual_seed(7)

    def some(count: int) -> torch.Tensor:
        return torch.randperm(asked.size, generator=random)[:count]

    query_BQ = torch.randint(1, sizes.token, (asked.size, 11), generator=random)
    typed_B1 = torch.randint(0, 12, (asked.size, 1), generator=random)
    tags_UG = asked.items.tags_UG * (asked.items.tags_UG % 3 > 0)
    return replace(
        asked,
        items=replace(asked.items, tags_UG=tags_UG),
        query_BQ=query_BQ * (torch.arange(11) < typed_B1),
        cand_moment_C=torch.cat([some(24), some(24), some(24)]),
        cand_features_CF=asked.cand_features_CF * 2,  # some beyond all bins
        price_moment_K=some(19),
        price_level_K=torch.arange(19) % 7,
        icon_moment_I=some(21),
        icon_I=asked.icon_I[:21],
        icon_followed_I=asked.icon_followed_I[:21],
        shop_moment_S=some(22),
        shop_S=asked.shop_S[:22],
        shop_preferred_S=asked.shop_preferred_S[:22],
    )


@pytest.fixture
def make(sizes, small, peers, wide) -> Callable[..., Network]:
    """A small network of Table 2 in evaluation mode, by its name."""

    def made(name: str, tasks=None, **settings) -> Network:
        vectors = torch.randn(sizes.item, small.e_dim)
        build = builder(name, peers, wide, tasks, vectors)
        return build(small.model_copy(update=settings), sizes).eval()

    return made


@pytest.fixture
def learner(sizes, small, peers, wide) -> Callable[..., Learner]:
    """What learns a small network of Table 2."""

    def made(name: str, *tasks: Task, **settings) -> Learner:
        vectors = torch.randn(sizes.item, small.e_dim)
        usual = {"learning_rate": 0.05, "embedding_learning_rate": 0.1, "threads": 1}
        rates = TrainConfig(tasks=tasks, **usual | settings)
        return Learner(small, rates, sizes, 0, builder(name, peers, wide, tasks, vectors))

    return made


@pytest.fixture(scope="session")
def more_padding() -> Callable[[Batch], Batch]:
    """The same moments with three more columns of padding in histories, and two in queries."""

    def padded(batch: Batch) -> Batch:
        names = ("seq_BT", "type_BT", "scenario_BT", "gap_BT", "daypart_BT", "weekend_BT")
        columns = {name: functional.pad(getattr(batch, name), (0, 3)) for name in names}
        return replace(batch, **columns, query_BQ=functional.pad(batch.query_BQ, (0, 2)))

    return padded


@pytest.fixture(scope="session")
def without() -> Callable[[Batch, str], Batch]:
    """A batch without any question of a kind: cand, price, icon or shop."""

    def stripped(batch: Batch, kind: str) -> Batch:
        asked = {
            name: value[:0]
            for name, value in vars(batch).items()
            if name.startswith(f"{kind}_") and value is not None
        }
        return replace(batch, **asked)

    return stripped
