from dataclasses import replace

import numpy as np
import pytest
import torch

from evaluation import questions
from evaluation.predict import Shuffle, predict, predict_each, shuffled
from evaluation.settings import EvaluateConfig
from infra.errors import TrainingError
from tests.training.conftest import FIRST, write_store
from tests.training.small import TINY
from training.batch import PROPERTIES_BT
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
    return Dupn(TINY.model_copy(update={"ctr_hidden": (8,)}), samples.sizes)


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
            of = loaded.batch
            expected = {
                "ctr": (asked.candidates, out.ctr_C[of.cand_moment_C == m].sigmoid()),
                "l2r": (asked.candidates, out.l2r_C[of.cand_moment_C == m]),
                "ppp": (asked.prices, out.ppp_K7[of.price_moment_K == m].softmax(-1)),
                "fifp": (asked.icons, out.fifp_I[of.icon_moment_I == m].sigmoid()),
                "spp": (asked.shops, out.spp_S[of.shop_moment_S == m].sigmoid()),
            }
            for name, (block, theirs) in expected.items():
                ours = getattr(answers, name)[block.moment == mine]
                np.testing.assert_allclose(ours, theirs.numpy(), atol=1e-5)


def test_asking_leaves_the_model_in_its_mode(store, model):
    model.train()
    predict(model, store, FIRST, EvaluateConfig())
    assert model.training


def test_shuffled_properties_keep_their_marginals_and_stay_together(batch):
    mixed = shuffled(batch, Shuffle.PROPERTIES, np.random.default_rng(0))
    real = torch.arange(batch.seq_BT.shape[1])[None, :] < batch.length_B[:, None]

    def tuples(one):
        return torch.stack([getattr(one, name)[real] for name in PROPERTIES_BT], 1).tolist()

    assert sorted(tuples(mixed)) == sorted(tuples(batch))
    assert tuples(mixed) != tuples(batch)
    assert all((getattr(mixed, name)[~real] == 0).all() for name in PROPERTIES_BT)
    assert torch.equal(mixed.seq_BT, batch.seq_BT)


def test_only_moments_that_have_a_query_get_another(batch):
    queries = torch.tensor([[5, 0], [0, 0], [6, 7], [0, 0], [8, 0], [9, 9]])
    mixed = shuffled(replace(batch, query_BQ=queries), Shuffle.QUERY, np.random.default_rng(0))
    assert not mixed.query_BQ[[1, 3]].any()
    assert sorted(mixed.query_BQ.tolist()) == sorted(queries.tolist())
    assert not torch.equal(mixed.query_BQ, queries)


def test_what_is_on_offer_goes_with_the_query_that_is_dealt(batch):
    queries = torch.tensor([[5, 0], [0, 0], [6, 7], [0, 0], [8, 0], [9, 9]])
    offers = torch.arange(6.0)[:, None].repeat(1, 7)
    told = replace(batch, query_BQ=queries, offer_BL=offers)
    mixed = shuffled(told, Shuffle.QUERY, np.random.default_rng(0))
    source = mixed.offer_BL[:, 0].long()
    assert torch.equal(queries[source], mixed.query_BQ)
    assert source.tolist() != list(range(6))
    assert torch.equal(offers[:, 0].long(), torch.arange(6))  # the batch itself stays as it was


def test_an_answer_that_is_no_number_is_refused(store, samples):
    torch.manual_seed(0)
    broken = Dupn(ModelConfig(), samples.sizes)
    torch.nn.init.constant_(broken.fifp.rest[-1].bias, float("nan"))
    with pytest.raises(TrainingError, match="left fifp questions without a finite answer"):
        predict(broken, store, FIRST, EvaluateConfig())


def test_questions_of_other_samples_are_refused(store, model):
    asked = questions.read(store, FIRST)
    labels = {"candidates": "clicked", "prices": "level", "icons": "followed", "shops": "preferred"}
    for place, label in labels.items():
        mine = getattr(asked, place)
        other = replace(asked, **{place: replace(mine, **{label: 1 - getattr(mine, label)})})
        with pytest.raises(TrainingError, match=f"{place} are not those of the samples"):
            predict(model, store, FIRST, EvaluateConfig(), questions=other)
    ids = asked.moments.sample_id.copy()
    ids[3] = "another"
    moments = replace(asked.moments, sample_id=ids)
    with pytest.raises(TrainingError, match="published again while they were evaluated"):
        predict(model, store, FIRST, EvaluateConfig(), questions=replace(asked, moments=moments))


def test_shuffled_queries_are_other_moments_queries(batch):
    mixed = shuffled(batch, Shuffle.QUERY, np.random.default_rng(0))
    assert sorted(mixed.query_BQ.tolist()) == sorted(batch.query_BQ.tolist())
    assert not torch.equal(mixed.query_BQ, batch.query_BQ)


def test_readings_of_the_same_moments_are_answered_as_each_alone(model, batch):
    rng = np.random.default_rng(0)
    readings = [shuffled(batch, what, rng) for what in Shuffle for _ in range(2)]
    model.eval()
    with torch.inference_mode():
        for reading, out in zip(readings, model.each(readings), strict=True):
            alone = model(reading)
            for name, answer in vars(alone).items():
                assert torch.equal(answer, getattr(out, name)), name


def test_the_past_is_read_once_for_all_queries_and_again_for_other_properties(model, batch):
    rng, read = np.random.default_rng(0), []
    hook = model.lstm.register_forward_hook(lambda *_: read.append(1))
    with torch.inference_mode():
        for shuffles, times in ((("nothing", "query", "query"), 1), (("query", "properties"), 2)):
            read.clear()
            model.each([shuffled(batch, Shuffle(what), rng) for what in shuffles])
            assert len(read) == times
    hook.remove()


def test_what_is_asked_at_once_is_answered_as_it_is_alone(store, model):
    asked = questions.read(store, FIRST)
    config = EvaluateConfig(batch_size=16)
    together = predict_each(model, store, FIRST, config, list(Shuffle), questions=asked)
    for what, found in zip(Shuffle, together, strict=True):
        (alone,) = predict_each(model, store, FIRST, config, [what], questions=asked)
        assert found.lineage == alone.lineage
        for name, answers in vars(alone.answers).items():
            assert np.array_equal(answers, getattr(found.answers, name)), name
    plain = predict(model, store, FIRST, config).answers
    assert np.array_equal(plain.ctr, together[0].answers.ctr)


def test_shuffles_are_seeded(store, model):
    asked = questions.read(store, FIRST)
    config, mixed = EvaluateConfig(), [Shuffle.PROPERTIES]
    one, two = (
        predict_each(model, store, FIRST, config, mixed, questions=asked)[0].answers.ctr
        for _ in range(2)
    )
    assert np.array_equal(one, two)
    assert not np.array_equal(one, predict(model, store, FIRST, EvaluateConfig()).answers.ctr)
