"""The preset `paper` has the numbers of Sections 4 to 6, and of ours only what its head names."""

import pytest

from features import ranking
from features.schemas import PRICE_LEVELS, SEQUENCE_LENGTH, BehaviorType, Scenario
from pipeline.demo.story import DAYS
from pipeline.settings import load
from training.batch import VocabularySizes
from training.config import Task
from training.model.dupn import Dupn

SIZES = VocabularySizes(
    item=9, brand=4, shop=4, category=4, tag=9, token=9, icon=4, profile=(4, 4), ranking_features=24
)


@pytest.fixture(scope="module")
def paper(tmp_path_factory):
    return load("paper", str(tmp_path_factory.mktemp("home")))


def test_section_4_1_behaviours_and_their_embedding(paper):
    model = paper.model
    ours = (model.item_dim, model.brand_dim, model.shop_dim, model.category_dim, model.tag_dim)
    assert ours == (32, 24, 24, 16, 28)
    assert model.p_dim == 48
    assert model.e_dim + model.p_dim == 172
    assert {kind.name for kind in BehaviorType} == {"CLICK", "BOOKMARK", "CART", "PURCHASE"}
    assert {"SEARCH", "RECOMMEND", "AD"} <= {scenario.name for scenario in Scenario}


def test_section_4_2_states_and_representation(paper):
    assert paper.model.variant == "all"
    assert paper.model.rep_dim == 256
    net = Dupn(paper.model, SIZES)
    assert [tuple(w.shape) for w in (net.lstm.from_item, net.lstm.from_property)] == [
        (4 * 128, 124),
        (3 * 128, 48),  # equation 4 has no p_t
    ]
    assert not [name for name, _ in net.named_parameters() if "match" in name]


def test_section_4_3_tasks(paper):
    assert set(paper.train.tasks) == {Task.CTR, Task.L2R, Task.PPP, Task.FIFP}
    assert not paper.train.weights
    assert PRICE_LEVELS == 7
    weights = paper.samples
    assert weights.weight_purchase > weights.weight_click
    assert not paper.model.ranks_with_ctr
    assert len(ranking.NAMES) >= 20  # "tens of ranking features"


def test_section_5_configuration(paper):
    train = paper.train
    assert SEQUENCE_LENGTH == 100
    assert train.batch_size == 1024
    assert (train.learning_rate, train.embedding_learning_rate) == (1e-3, None)
    assert paper.model.dropout == pytest.approx(1 - 0.8)  # the paper's is a keep probability
    assert train.l2 > 0
    assert train.embedding_l2 > 0
    assert not train.clip_norm
    assert DAYS == 10
