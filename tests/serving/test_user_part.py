"""The user part by ONNX Runtime says what the network says, to 1e-5, for every network we make."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import product

import numpy as np
import onnxruntime
import pytest
import torch

from features.property import NUM_DAYPARTS, NUM_GAPS
from features.schemas import PRICE_LEVELS, PROPERTIES, BehaviorType, Scenario
from infra.errors import PartitionCorrupt
from pipeline.settings import load
from serving import user_graph, user_part
from serving.http_contracts import Asking, RankRequest
from serving.user_part import Inputs, OnnxPart, Runtime, TorchPart
from tests.serving.world import open_shop
from training.batch import VocabularySizes
from training.config import ModelConfig
from training.model.dupn import Dupn

SIZES = VocabularySizes(
    item=50, brand=9, shop=9, category=9, tag=9, token=30, icon=5, profile=(4, 6, 3),
    ranking_features=24,
)  # fmt: skip
CODES = (len(BehaviorType), len(Scenario), NUM_GAPS, NUM_DAYPARTS, 2)
WIDTHS = [f"{name}_dim" for name in PROPERTIES]
NETWORKS = (
    {
        f"{variant}, {interaction}, {memory}": ModelConfig(
            variant=variant, interaction=interaction, price_memory=memory
        )
        for variant, interaction, memory in product(
            ("all", "nobp", "bplstm", "bpatt"), ("concat", "product"), (False, True)
        )
    }
    | {
        f"ranks with the query, {interaction}": ModelConfig(
            interaction=interaction, ranks_with_query=True
        )
        for interaction in ("concat", "product")
    }
    | {"hears what is on offer": ModelConfig(price_memory=True, price_offers=True)}
    | {
        "whatever may be left out is": ModelConfig(
            brand_dim=0, category_dim=0, tag_dim=0, **dict.fromkeys(WIDTHS, 0)
        )
    }
)


def network(config, sizes=SIZES):
    """No weight is zero, also those that start so; but rows of padding are."""
    torch.manual_seed(5)
    model = Dupn(config, sizes).eval()
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(0.05 * torch.randn_like(weight))
        for table in model.modules():
            if isinstance(table, torch.nn.Embedding):
                table.weight[0].zero_()
    return model


def asked(model, length, words, profile, seed=0):
    rng = np.random.default_rng(seed)
    given = [rng.integers(1, size) for size in model.sizes.profile]
    return Inputs(
        e_TE=rng.normal(size=(length, model.config.e_dim)).astype(np.float32),
        price_T=rng.integers(0, PRICE_LEVELS + 1, length).astype(np.int8),
        properties={
            name: rng.integers(1, codes + 1, length).astype(np.int8)
            for name, codes in zip(PROPERTIES, CODES, strict=True)
        },
        words_Q=rng.integers(1, model.sizes.token, words).astype(np.int32),
        profile_P=np.array(given, np.int64) * profile,
        offer_L=rng.dirichlet(np.ones(PRICE_LEVELS)).astype(np.float32),
    )


def both(model, folder):
    user_graph.build(model, folder / "graph")
    return TorchPart(model), OnnxPart(model, folder / "graph", 1)


def assert_same(mine, theirs):
    for name in ("representation", "attention", "price_preference", "weight_F"):
        one, other = np.asarray(getattr(mine, name)), np.asarray(getattr(theirs, name))
        assert one.shape == other.shape, name
        np.testing.assert_allclose(one, other, atol=1e-5, rtol=0, err_msg=name)
    for one, other in zip(mine.click, theirs.click, strict=True):
        assert (one is None) == (other is None)
        if one is not None:
            np.testing.assert_allclose(one, other, atol=1e-5, rtol=0)


@pytest.mark.parametrize("name", NETWORKS)
def test_it_says_what_the_network_says(name, tmp_path):
    model = network(NETWORKS[name])
    theirs, mine = both(model, tmp_path)
    for length, words, profile in product((0, 1, 2, 37, 100), (0, 1, 12), (0, 1)):
        inputs = asked(model, length, words, profile, seed=length)
        heard = mine.hear(inputs)
        assert_same(heard, theirs.hear(inputs))
        assert heard.attention.sum() == pytest.approx(float(length > 0), abs=1e-5)
        assert (heard.click.match_BE is None) == (model.config.interaction == "concat")


@pytest.mark.parametrize("preset", ["paper", "demo", "smoke", "abtest"])
def test_presets_do_and_so_does_somebody_without_any_profile_column(preset, tmp_path):
    model = network(load(preset, str(tmp_path), []).model, replace(SIZES, profile=()))
    theirs, mine = both(model, tmp_path)
    inputs = asked(model, 9, 2, 0)
    assert_same(mine.hear(inputs), theirs.hear(inputs))


@pytest.mark.parametrize("memory", [False, True])
def test_rows_of_padding_among_the_words_do_not_count(tmp_path, memory):
    model = network(ModelConfig(price_memory=memory))
    theirs, mine = both(model, tmp_path)
    inputs = replace(asked(model, 3, 2, 1), words_Q=np.array([0, 7, 0], np.int32))
    assert_same(mine.hear(inputs), theirs.hear(inputs))


@pytest.mark.parametrize("memory", [False, True])
def test_what_is_built_twice_is_the_same_and_does_not_grow_with_the_words(tmp_path, memory):
    config = ModelConfig(price_memory=memory)
    few, many = (network(config, replace(SIZES, token=n, item=n)) for n in (30, 30_000))
    for name, model in (("few", few), ("again", few), ("many", many)):
        user_graph.build(model, tmp_path / name)
    assert (tmp_path / "few").read_bytes() == (tmp_path / "again").read_bytes()
    assert (tmp_path / "few").stat().st_size == (tmp_path / "many").stat().st_size < 2 << 20


def test_what_is_on_offer_is_heard_and_may_be_unknown(tmp_path):
    model = network(ModelConfig(price_memory=True, price_offers=True))
    theirs, mine = both(model, tmp_path)
    inputs = asked(model, 4, 2, 1)
    unknown = replace(inputs, offer_L=None)
    assert_same(mine.hear(unknown), theirs.hear(unknown))
    heard = [part.hear(inputs).price_preference for part in (mine, theirs)]
    assert min(abs(one - mine.hear(unknown).price_preference).max() for one in heard) > 1e-3


def test_threads_share_a_session(tmp_path):
    model = network(ModelConfig())
    _, mine = both(model, tmp_path)
    inputs = [asked(model, length, length % 4, length % 2, seed=length) for length in range(101)]
    alone = [mine.hear(one) for one in inputs]
    with ThreadPoolExecutor(8) as pool:
        for one, expected in zip(pool.map(mine.hear, inputs * 4), alone * 4, strict=True):
            np.testing.assert_array_equal(one.representation, expected.representation)
            np.testing.assert_array_equal(one.attention, expected.attention)


def test_the_setting_chooses_and_a_graph_must_be_there(tmp_path):
    model, file = network(ModelConfig()), tmp_path / user_graph.FILE
    assert isinstance(user_part.load(model, file, Runtime("torch")), TorchPart)
    with pytest.raises(PartitionCorrupt, match=r"user_part\.onnx is absent\. Run `dupn bundle`"):
        user_part.load(model, file, Runtime())
    user_graph.build(model, file)
    part = user_part.load(model, file, Runtime("onnx", 2))
    assert isinstance(part, OnnxPart)
    assert part._session.get_session_options().intra_op_num_threads == 2
    assert part._session.get_providers() == ["CPUExecutionProvider"]
    assert onnxruntime.InferenceSession(str(file)).get_modelmeta().producer_name == "dupn"


def test_answers_are_those_that_torch_gives(chain, tmp_path, monkeypatch):
    shop = open_shop(chain, tmp_path)
    samples = chain.store.partition("samples", shop.histories.snapshot.day)
    user = samples.table(["user_id"])["user_id"][0].as_py()
    ids = shop.served.ids.drop_null().to_pylist()[:20]
    asking = Asking(user_id=user, query="shoes")
    request = RankRequest(user_id=user, query="shoes", candidates=ids, page=False)

    def answers():
        explained = shop.service.explain(asking).behaviors
        ranked = shop.service.rank(request).items
        scores = [(item.ctr, item.l2r) for item in ranked]
        return [b.weight for b in explained], scores, [item.item_id for item in ranked]

    mine, ranker = answers(), shop.served.ranker
    assert isinstance(ranker.user_part, OnnxPart)
    monkeypatch.setattr(ranker, "user_part", TorchPart(ranker.model))
    theirs = answers()
    assert len(mine[0]) > 1
    np.testing.assert_allclose(mine[0], theirs[0], atol=1e-5, rtol=0)
    np.testing.assert_allclose(mine[1], theirs[1], atol=1e-5, rtol=0)
    assert mine[2] == theirs[2]
