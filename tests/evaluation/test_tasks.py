"""A model beside the truth and beside chance, on the questions whose truth is known."""

import numpy as np
import pytest

from evaluation import metrics, tasks
from evaluation.ceiling import Truth
from evaluation.measures import Bench, headline, same_category
from evaluation.settings import EvaluateConfig
from evaluation.slices import Part
from evaluation.tasks import Others
from evaluation.yardsticks import Yardstick
from tests.evaluation import synthetic

CONFIG = EvaluateConfig(replicates=60)


@pytest.fixture(scope="module")
def drawn():
    return synthetic.questions(users=60)


def results(asked, answers, others):
    bench = Bench.of(asked, CONFIG)
    return bench, {one.name: one for one in tasks.results(bench, answers, others)}


def test_the_share_of_the_possible_is_of_questions_whose_truth_is_known(drawn):
    asked, truth = drawn
    answers = synthetic.predictions(asked, truth).answers
    known = np.arange(len(truth)) % 3 > 0
    best = np.where(known, truth, np.nan)
    seen = np.where(known, truth.round(1), np.nan)
    bench, found = results(asked, answers, Others((), Truth({"ctr_auc": best}, {"ctr_auc": seen})))
    clicked = asked.candidates.clicked[known] > 0
    user = asked.user_of(asked.candidates.moment[known])
    scores = (answers.ctr[known], truth[known], truth[known].round(1))
    mine, possible, visible = (metrics.auc(score, clicked) for score in scores)
    ctr = found["ctr_auc"]
    assert ctr.ceiling.estimate.value == pytest.approx(possible)
    assert ctr.ceiling.difference.value == pytest.approx(mine - possible)
    assert ctr.visible.estimate.value == pytest.approx(visible)
    assert ctr.share.value == pytest.approx((mine - 0.5) / (possible - 0.5))
    drawn_mine, drawn_best = (
        bench.resamples.auc(score, clicked, user) - 0.5 for score in scores[:2]
    )
    bounds = np.quantile(drawn_mine / drawn_best, [0.025, 0.975])
    assert (ctr.share.low, ctr.share.high) == pytest.approx(tuple(bounds))


def test_of_price_levels_the_commonest_is_chance(drawn):
    asked, truth = drawn
    answers = synthetic.predictions(asked, truth).answers
    level = asked.prices.level
    best = np.where(np.arange(len(level)) % 5 > 0, level, (level + 1) % 7).astype(float)
    _, found = results(asked, answers, Others((), Truth({"ppp_precision": best})))
    chance = max(np.mean(level == one) for one in range(7))
    ppp = found["ppp_precision"]
    assert ppp.chance == pytest.approx(chance)
    mine, possible = (answers.ppp.argmax(1) == level).mean(), (best == level).mean()
    assert ppp.share.value == pytest.approx((mine - chance) / (possible - chance))


def test_precision_is_of_what_was_said_and_recall_of_what_was_true(drawn):
    asked, truth = drawn
    answers = synthetic.predictions(asked, truth).answers
    bench, (level, said) = Bench.of(asked, CONFIG), (asked.prices.level, answers.ppp.argmax(1))
    counts = bench.resamples.counts[asked.user_of(asked.prices.moment)]
    config = CONFIG.model_copy(update={"min_positives": 1, "min_users": 2})
    for one in tasks.price_classes(Bench.of(asked, config), answers):
        true, chosen = level == one.level - 1, said == one.level - 1
        assert one.questions == true.sum()
        for found, of in ((one.precision, chosen), (one.recall, true)):
            assert found.value == pytest.approx((true & chosen).sum() / of.sum())
            drawn_values = counts[true & chosen].sum(0) / counts[of].sum(0)
            bounds = np.quantile(drawn_values, [0.025, 0.975])
            assert (found.low, found.high) == pytest.approx(tuple(bounds), rel=1e-5)


def test_maxent_is_measured_on_each_level_as_the_model_is(drawn):
    asked, truth = drawn
    mine, theirs = (synthetic.predictions(asked, truth, seed=seed).answers for seed in (1, 2))
    bench, said = Bench.of(asked, CONFIG), theirs.ppp.argmax(1)
    rival = Yardstick("max_entropy", "MaxEnt", ("ppp_precision",), said)
    found = tasks.price_classes(bench, mine, (rival,))
    assert [one.rival for one in found] == tasks.price_classes(bench, theirs)
    assert [one.model_copy(update={"rival": None}) for one in found] == tasks.price_classes(
        bench, mine
    )


def test_the_truth_of_derived_moments_is_of_the_protocol_s_candidates():
    asked, truth = synthetic.questions(users=60, derived=True)
    answers = synthetic.predictions(asked, truth).answers
    known = np.arange(len(truth)) % 7 > 0
    best = np.where(known, truth, np.nan)
    _, found = results(asked, answers, Others((), Truth({"ctr_auc": best})))
    kept = {"ctr_auc": headline, "ctr_auc_same_category": same_category}
    for name, keep in kept.items():
        rows = known & keep(asked.candidates)
        expected = metrics.auc(truth[rows], asked.candidates.clicked[rows])
        assert found[name].ceiling.estimate.value == pytest.approx(expected)


def test_a_part_of_derived_moments_keeps_to_the_protocol():
    asked, _ = synthetic.questions(users=5, derived=True)
    (ask,) = [one for one in tasks.asked(asked) if one.measure.name == "ctr_auc"]
    keep = np.arange(len(asked.candidates.item)) % 3 > 0  # of both kinds of negatives
    part = tasks.part_of(ask, Part("any", "some", keep))
    assert np.array_equal(part.keep, keep & headline(asked.candidates))


def test_nobody_is_compared_where_nobody_was_asked(drawn):
    asked, truth = drawn
    answers = synthetic.predictions(asked, truth).answers
    other = Yardstick("nothing", "nothing", ("spp_auc", "fifp_auc"), np.zeros(300))
    empty = Yardstick("empty", "empty", ("spp_auc",), np.empty(0))
    _, found = results(asked, answers, Others((other, empty)))
    assert found["spp_auc"].rivals == ()
    assert [rival.name for rival in found["fifp_auc"].rivals] == ["nothing"]
