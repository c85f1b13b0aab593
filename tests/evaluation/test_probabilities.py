from dataclasses import replace

import numpy as np
import pytest

from evaluation import metrics
from evaluation.measures import Bench, headline
from evaluation.probabilities import click_figures, ranking_figures
from evaluation.settings import EvaluateConfig
from tests.evaluation import synthetic

CONFIG = EvaluateConfig(replicates=100)


def calibration_error(seed, shift):
    """The figure of a model whose log odds are off by `shift`, where the truth is known."""
    asked, truth = synthetic.questions(users=60, seed=seed)
    said = synthetic.sigmoid(synthetic.logit(truth) + shift)
    found = {one.name: one for one in click_figures(Bench.of(asked, CONFIG), said, "")}["ctr_ece"]
    assert found.value == pytest.approx(metrics.calibration(said, asked.candidates.clicked).error)
    return found


def test_a_calibration_error_lies_in_its_interval_which_reaches_zero_if_there_is_none():
    found = [calibration_error(seed, shift=0.0) for seed in range(20)]
    assert all(one.value > 0 and one.low <= one.value <= one.high for one in found)
    assert np.mean([one.low == 0 for one in found]) >= 0.8


def test_a_bad_calibration_is_clear_of_zero():
    found = [calibration_error(seed, shift=1.0) for seed in range(5)]
    assert all(0.05 < one.low < one.value < one.high < 0.4 for one in found)


def test_figures_are_those_of_their_candidates_and_move_with_their_users():
    """Order within a user or moment is of the headline's; a probability is of all candidates."""
    asked, truth = synthetic.questions(users=60, derived=True)
    block, bench = asked.candidates, Bench.of(asked, CONFIG)
    p, y, user = truth, block.clicked, asked.user_of(block.moment)
    found = {one.name: one for one in click_figures(bench, p, "")}
    counts = bench.resamples.counts

    def agrees(name, value, replicates):
        bounds = np.quantile(replicates, [0.025, 0.975])
        figure = found[name]
        expected = (value, *bounds)
        assert (figure.value, figure.low, figure.high) == pytest.approx(expected, rel=1e-5), name

    head = headline(block)
    assert 0 < head.sum() < len(head)
    for name, group in (("ctr_gauc", user), ("ctr_gauc_moment", block.moment)):
        within = metrics.grouped_auc(p[head], y[head], group[head])
        of_user = counts[user[[np.flatnonzero(group == g)[0] for g in within.group]]]
        weight = within.rows[:, None] * of_user
        agrees(name, within.mean, (within.auc[:, None] * weight).sum(0) / weight.sum(0))
    drawn, losses = counts[user], metrics.log_losses(p, y)[:, None]
    loss, rate = (losses * drawn).sum(0) / drawn.sum(0), (y[:, None] * drawn).sum(0) / drawn.sum(0)
    agrees("ctr_log_loss", metrics.log_loss(p, y), loss)
    agrees("ctr_ne", metrics.normalised_entropy(p, y), loss / metrics.entropy(rate))
    said = (p[:, None] * drawn).sum(0) / (y[:, None] * drawn).sum(0)
    agrees("ctr_calibration", p.sum() / y.sum(), said)


def test_the_gauc_of_ranks_is_of_any_action_and_blind_to_which_page_is_better():
    asked, truth = synthetic.questions(users=60)
    block = asked.candidates
    acted = (block.clicked > 0) | (np.arange(len(block.moment)) % 11 == 0)  # some without a click
    asked = replace(asked, candidates=replace(block, label=np.where(acted, 1, -1)))
    bench = Bench.of(asked, CONFIG)
    (found,) = ranking_figures(bench, truth, "")
    within = metrics.grouped_auc(truth, acted, block.moment)
    assert found.name == "l2r_gauc_moment"
    assert found.value == pytest.approx(within.mean)
    assert 0.5 < found.low < found.value < found.high
    of_page = 10 * (block.moment % 3)  # some pages are all above others
    (shifted,) = ranking_figures(bench, truth + of_page, "")
    assert shifted.value == pytest.approx(found.value)
    assert metrics.auc(truth + of_page, acted) < metrics.auc(truth, acted) - 0.05


def test_too_few_clicks_have_figures_without_an_interval():
    asked, truth = synthetic.questions(users=5)
    bench = Bench.of(asked, CONFIG)
    told = (*click_figures(bench, truth, ""), *ranking_figures(bench, truth, ""))
    assert all(one.low is None for one in told)
