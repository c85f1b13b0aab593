import numpy as np
import pytest
import torch

from evaluation import sampled
from features.ranking import NAMES
from pipeline.bench import runtime, runtime_kinds
from pipeline.bench.runtime import Size
from pipeline.bench.runtime_parts import UserPart, full, of_batch, table_of
from serving import bundle as bundles
from tests.chain import EVALUATED, logged_bundle
from tests.contracts.test_figures import documented
from training.batch import VocabularySizes
from training.collate import collate
from training.config import ModelConfig
from training.model.dupn import Dupn

TINY = Size(
    items=1000, candidates=(50,), calls=2, asked=10, threads=(1,), left_out=("aoti", "onnx")
)


@pytest.fixture(scope="module")
def day(chain):
    return sampled.read(chain.store, EVALUATED, 100, 0)


@pytest.fixture(scope="module")
def model(chain):
    """Without its memory of prices, which the bench leaves out."""
    model = bundles.load(logged_bundle(chain)).model
    model.price_memory = None
    return model


@pytest.fixture(scope="module")
def figures(model, day, tmp_path_factory):
    found = runtime.measure(model, day, TINY, tmp_path_factory.mktemp("runtime"))
    return {figure["name"]: figure for figure in found}


def test_a_half_with_a_fixed_shape_says_what_the_network_says(model, day):
    table = table_of(model, day.catalog, 0)
    own = np.flatnonzero(day.moments.day == len(day.catalogs) - 1)
    for place in (own[0], own[len(own) // 2], own[-1]):
        one = np.array([place])
        batch = collate(day.moments, one, day.catalogs, model.sizes)
        history = day.moments.sequence.gather(one).flat("item")
        with torch.inference_mode():
            rep = UserPart(model).eval()(*of_batch(batch, history, table, model.config.e_dim))[0]
            assert torch.allclose(rep, model.encode(batch), atol=1e-6)


def test_what_is_served_is_the_network_and_less_precision_is_further_off(figures):
    def off(name):
        return figures[f"runtime_{name}_difference"]["value"]

    assert off("user_served_fp32") < 1e-6
    assert off("item_50_served_fp32") < 1e-6
    assert 1e-6 < off("item_50_served_bf16") < 0.01
    assert off("item_50_served_bf16") < off("item_50_served_int8") < 0.05
    assert figures["runtime_user_served_fp32_auc_change"]["value"] == 0


def test_a_candidate_that_cannot_run_is_a_row_that_says_why(model, day, tmp_path, monkeypatch):
    def no_compiler(*_):
        raise RuntimeError("no C++ compiler was found")

    monkeypatch.setattr(runtime_kinds, "KINDS", {("aoti", "fp32"): no_compiler})
    size = Size(items=0, candidates=(), calls=1, asked=2, threads=(1,))
    found = [
        figure for figure in runtime.measure(model, day, size, tmp_path) if "aoti" in figure["name"]
    ]
    assert [figure["value"] for figure in found] == [0]
    assert "no C++ compiler was found" in found[0]["protocol"]


def test_its_figures_are_documented(figures):
    names = {name.replace("item_50", "item_200") for name in figures}
    assert names <= documented("`dupn bench runtime`")


@pytest.mark.drill
def test_onnx_runtime_hears_what_torch_hears(tmp_path):
    sizes = VocabularySizes(*[50] * 7, (5,), len(NAMES))
    torch.manual_seed(0)
    model = Dupn(ModelConfig(hidden_dim=16, user_dim=8, query_dim=8, attention_dim=8), sizes)
    table = np.random.default_rng(0).normal(size=(100, 252)).astype("float32")
    inputs, part = full(model.eval(), table), UserPart(model.eval()).eval()
    with runtime_kinds.quiet():
        heard = runtime_kinds.onnx(part, inputs, tmp_path / "user")(1)(inputs)
    assert torch.allclose(heard, part(*inputs)[0], atol=1e-5)
