import numpy as np
import pytest
import torch

from evaluation import questions
from evaluation.predict import PROPERTIES, Shuffle, predict, shuffled
from evaluation.settings import EvaluateConfig
from tests.training.conftest import FIRST, write_store
from training.config import ModelConfig
from training.data import Position, Reader, Samples
from training.model.dupn import Dupn


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return write_store(tmp_path_factory.mktemp("predict"), days=1, moments=90)


@pytest.fixture(scope="module")
def samples(store):
    return Samples(store, [FIRST])


@pytest.fixture(scope="module")
def model(samples):
    torch.manual_seed(0)
    dims = {name: 4 for name in ModelConfig.model_fields if name.endswith("_dim")}
    return Dupn(ModelConfig(**{**dims, "ctr_hidden": (8,)}), samples.sizes)


@pytest.fixture(scope="module")
def batch(samples):
    reader = Reader(samples, batch_size=90, buffer=90, shuffle=False)
    return next(iter(reader.epoch(Position()))).batch


def test_the_size_of_a_batch_changes_no_answer(store, model):
    small, large = (
        predict(model, store, FIRST, EvaluateConfig(batch_size=size)).answers for size in (7, 64)
    )
    for name in ("ctr", "l2r", "ppp", "fifp", "spp"):
        np.testing.assert_allclose(getattr(small, name), getattr(large, name), atol=1e-5)


def test_answers_stand_beside_their_questions(store, samples, model):
    """Read in another order (shuffled, by length), each answer is the same."""
    asked = questions.read(store, FIRST)
    answers = predict(model, store, FIRST, EvaluateConfig(), questions=asked).answers
    place = {name: n for n, name in enumerate(asked.moments.sample_id)}
    model.eval()
    for loaded in Reader(samples, batch_size=16, buffer=90, shuffle=True).epoch(Position()):
        with torch.inference_mode():
            out = model(loaded.batch)
        moment = [place[name] for name in loaded.info.sample_id.to_pylist()]
        for m, mine in enumerate(moment):
            theirs = out.ctr_C[loaded.batch.cand_moment_C == m].sigmoid().numpy()
            np.testing.assert_allclose(
                answers.ctr[asked.candidates.moment == mine], theirs, atol=1e-5
            )
            price = out.ppp_K7[loaded.batch.price_moment_K == m].softmax(-1).numpy()
            np.testing.assert_allclose(answers.ppp[asked.prices.moment == mine], price, atol=1e-5)


def test_asking_leaves_the_model_in_its_mode(store, model):
    model.train()
    predict(model, store, FIRST, EvaluateConfig())
    assert model.training


def test_shuffled_properties_keep_their_marginals_and_stay_together(batch):
    mixed = shuffled(batch, Shuffle.PROPERTIES, np.random.default_rng(0))
    real = torch.arange(batch.seq_BT.shape[1])[None, :] < batch.length_B[:, None]

    def tuples(one):
        return torch.stack([getattr(one, name)[real] for name in PROPERTIES], 1).tolist()

    assert sorted(tuples(mixed)) == sorted(tuples(batch))
    assert tuples(mixed) != tuples(batch)
    assert all((getattr(mixed, name)[~real] == 0).all() for name in PROPERTIES)
    assert torch.equal(mixed.seq_BT, batch.seq_BT)


def test_shuffled_queries_are_other_moments_queries(batch):
    mixed = shuffled(batch, Shuffle.QUERY, np.random.default_rng(0))
    assert sorted(mixed.query_BQ.tolist()) == sorted(batch.query_BQ.tolist())
    assert not torch.equal(mixed.query_BQ, batch.query_BQ)


def test_shuffles_are_seeded(store, model):
    one, two = (
        predict(model, store, FIRST, EvaluateConfig(), shuffle=Shuffle.PROPERTIES).answers.ctr
        for _ in range(2)
    )
    assert np.array_equal(one, two)
    assert not np.array_equal(one, predict(model, store, FIRST, EvaluateConfig()).answers.ctr)
