"""The disassembled network answers as the whole one does."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
import torch

from features.query import tokens_of
from features.questions.relevance import TitleIndex, Titles, relevance, word_table
from features.ranking import NAMES
from features.schemas import PRICE_LEVELS, UNKNOWN_ROW
from serving import bundle as bundles
from serving import items, pairs, user_graph, user_part
from serving.answering import answer
from serving.asking import samples_of
from serving.contracts import question
from serving.ranker import History, Moment, Ranker, _profile, newest, order_of, order_of_named
from serving.user_part import Runtime
from tests.chain import logged_bundle, recorded_questions


@pytest.fixture(scope="module")
def bundle(chain):
    return bundles.load(logged_bundle(chain))


@pytest.fixture(scope="module", params=["onnx", "torch"])
def ranker(request, bundle, tmp_path_factory):
    folder, model = tmp_path_factory.mktemp("disassembled"), bundle.model
    items.build(model, bundle.world.catalog, folder / items.FILE)
    user_graph.build(model, folder / user_graph.FILE)
    titles = TitleIndex.of(bundle.world.titles, bundle.world.token)
    part = user_part.load(model, folder / user_graph.FILE, Runtime(request.param))
    table = items.load(model, folder / items.FILE)
    return Ranker(model, table, bundle.world, titles, part)


@pytest.fixture(scope="module")
def questions(chain):
    return [question(record["question"]) for record in recorded_questions(chain)]


def moment_of(sample, ts):
    """The moment of a sample: its rows, and behaviour times that the sample's gaps allow."""
    return Moment(
        ts=ts,
        history=History(
            item=np.array(sample["seq_item"], np.int32),
            ts=np.array(sample["history_ts"], np.int64),
            type=np.array(sample["seq_type"], np.int8),
            scenario=np.array(sample["seq_scenario"], np.int8),
        ),
        query=np.array(sample["query"], np.int32),
        profile=np.array(sample["profile"], np.int32),
    )


@pytest.fixture(scope="module")
def asked(bundle, questions):
    """(moment, candidates, features of the sample) of every recorded question."""
    samples = samples_of(questions, bundle.world, bundle.profile).to_pylist()
    found = []
    for one, sample in zip(questions, samples, strict=True):
        ts = round(one.ts.timestamp() * 1000)
        times = sorted(round(b.ts.timestamp() * 1000) for b in one.history)
        sample["history_ts"] = [t for t in times if t < ts][-100:]
        features = np.array(sample["cand_features"], np.float32)
        found.append((moment_of(sample, ts), np.array(sample["cand_item"], np.int32), features))
    return found


def test_split_scores_are_the_unsplit_networks(bundle, ranker, questions, asked):
    whole = answer(bundle, questions)
    for (moment, candidates, _), expected in zip(asked, whole, strict=True):
        heard = ranker.hear(moment)
        ranked = ranker.rank(moment, heard, candidates)
        np.testing.assert_allclose(ranked.ctr, expected.ctr, atol=1e-5, rtol=0)
        np.testing.assert_allclose(ranked.l2r, expected.l2r, atol=1e-5, rtol=0)
        np.testing.assert_allclose(
            heard.price_preference, expected.price_preference, atol=1e-5, rtol=0
        )
        np.testing.assert_allclose(heard.representation, expected.representation, atol=1e-5)


def test_ranking_features_are_those_of_the_samples(ranker, asked):
    for moment, candidates, features in asked:
        np.testing.assert_array_equal(ranker.features(moment, candidates), features)


def test_attention_is_the_networks_and_sums_to_one_over_the_history(ranker, asked):
    moment = max((one[0] for one in asked), key=lambda m: len(m.history.item))
    attention = ranker.hear(moment).attention
    inputs = ranker.inputs(moment)
    with torch.inference_mode():
        e_TE = torch.from_numpy(inputs.e_TE)
        e_UE = torch.cat([torch.zeros(1, e_TE.shape[1]), e_TE])
        expected = ranker.model.user_part(user_part.batch_of(inputs), e_UE).attention_BT[0]
    np.testing.assert_allclose(attention, expected, atol=1e-5, rtol=0)
    assert attention.shape == moment.history.item.shape
    assert attention.sum() == pytest.approx(1, abs=1e-5)


def test_the_network_is_told_the_price_levels_of_the_history_as_the_catalog_has_them(ranker, asked):
    moment = max((one[0] for one in asked), key=lambda m: len(m.history.item))
    levels = ranker.world.catalog.price_level
    told = ranker.inputs(moment).price_T
    np.testing.assert_array_equal(told, levels[moment.history.item])
    assert len(set(told.tolist())) > 2
    newer = replace(moment.history, item=np.full_like(moment.history.item, 2**31 - 1))
    assert not ranker.inputs(replace(moment, history=newer)).price_T.any()  # of a later catalog


def test_a_stranger_without_history_and_unknown_items_are_scored(ranker, asked):
    moment = asked[0][0]
    nobody = Moment(
        ts=moment.ts,
        history=newest(moment.history, 0),
        query=np.array([1, 10**6], np.int32),
        profile=np.array([], np.int32),
    )
    far = np.array([1, 2**31 - 1], np.int32)
    ranked = ranker.rank(nobody, ranker.hear(nobody), np.array([1, 1], np.int32))
    assert np.isfinite(ranked.ctr).all()
    assert ranker.items.of(far)[1][0].equal(ranker.items.of(far)[1][1])


def test_who_has_no_profile_is_who_nothing_is_known_of_as_in_samples(ranker, asked):
    moment = max((one[0] for one in asked), key=lambda m: len(m.profile))
    assert len(moment.profile)
    without = replace(moment, profile=np.array([], np.int32))
    unknown = replace(moment, profile=np.ones(len(moment.profile), np.int32))
    np.testing.assert_array_equal(ranker.inputs(without).profile_P, unknown.profile)
    alike = ranker.hear(without).representation, ranker.hear(unknown).representation
    np.testing.assert_array_equal(*alike)


def test_a_row_that_the_catalog_has_not_is_an_unknown_item(ranker, asked):
    moment = asked[0][0]
    ranked = ranker.rank(moment, ranker.hear(moment), np.array([1, 2**31 - 1], np.int32))
    for scores in (ranked.ctr, ranked.l2r, ranked.features):
        np.testing.assert_allclose(scores[0], scores[1], rtol=1e-6)  # places round by themselves


def test_scores_do_not_depend_on_the_other_candidates(ranker, asked):
    moment, candidates, _ = asked[0]
    heard, many = ranker.hear(moment), np.tile(candidates, 3 * pairs.AT_ONCE // len(candidates))
    ranked, few = ranker.rank(moment, heard, many), ranker.rank(moment, heard, candidates)
    for all_of, one in ((ranked.ctr, few.ctr), (ranked.l2r, few.l2r)):
        expected = np.tile(one, len(many) // len(one))
        np.testing.assert_allclose(all_of, expected, atol=1e-6, rtol=0)


def test_the_order_is_a_stable_sort_of_the_scores():
    rng = np.random.default_rng(0)
    scores = rng.integers(0, 50, 2_000).astype(np.float32)
    whole = np.argsort(-scores, kind="stable")
    for top in (1, 10, 499, 500, 2_000, 5_000):
        np.testing.assert_array_equal(order_of(scores, top), whole[:top])


def test_of_candidates_with_one_name_the_first_is_ranked():
    rng = np.random.default_rng(0)
    named = rng.permutation(np.repeat(np.arange(1_000, dtype=np.uint64), 2))
    scores = rng.integers(0, 50, 1_000).astype(np.float32)[named]
    first = [at for at, name in enumerate(named) if name not in named[:at]]
    whole = sorted(first, key=lambda at: (-scores[at], at))
    for top in (1, 10, 499, 2_000, 5_000):
        np.testing.assert_array_equal(order_of_named(scores, top, named), whole[:top])


def test_a_title_index_finds_what_reading_each_title_finds(bundle):
    world = bundle.world
    index, titles = TitleIndex.of(world.titles, world.token), Titles(world.titles, world.token)
    held = tokens_of(world.titles, world.token).to_pylist()
    rows = np.random.default_rng(1).integers(0, len(world.titles), 300).astype(np.int32)
    known = world.titles.drop_null().to_pylist()
    for text in (known[0], " ".join(known[1:3]), "nobody knows this", f"nobody {known[4]}", ""):
        query = tokens_of(pa.array([text]), world.token).flatten().to_numpy()
        words = [word for word in query.tolist() if word > UNKNOWN_ROW]
        shares = [sum(word in held[row] for word in words) / max(len(query), 1) for row in rows]
        expected = np.array(shares, np.float32)
        np.testing.assert_array_equal(index.relevance(query, rows), expected)
        table = word_table(pa.array(["something else", text]), world.token)
        several = relevance(table, np.ones(300, np.int64), titles.words(rows))
        np.testing.assert_array_equal(several, expected)


def test_features_have_their_names(ranker, asked):
    moment, candidates, _ = asked[0]
    assert ranker.features(moment, candidates).shape == (len(candidates), len(NAMES))


def test_the_network_is_told_what_is_on_offer_as_samples_tell_it(bundle, ranker, questions, asked):
    samples = samples_of(questions, bundle.world, bundle.profile, price_offers=True).to_pylist()
    even, told = [1 / PRICE_LEVELS] * PRICE_LEVELS, 0
    for (moment, _, _), sample in zip(asked, samples, strict=True):
        offer = ranker.inputs(moment).offer_L
        np.testing.assert_array_equal(offer, np.array(sample["price_offer"] or even, np.float32))
        told += max(offer) > 2 / PRICE_LEVELS
    assert told > 3


def test_a_profile_value_that_comes_right_after_the_networks_last_is_unknown():
    given = np.array([8, 9], np.int32)
    assert _profile(given, (9, 9)).tolist() == [8, UNKNOWN_ROW]
