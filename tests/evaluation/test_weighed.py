"""What stands with a verdict: all that it rests on, each with how sure it is."""

import pytest

from evaluation import offline, weighed
from evaluation.comparison import compare
from evaluation.gate import GateConfig
from evaluation.offline import Material
from evaluation.settings import EvaluateConfig
from evaluation.slices import Context
from tests.evaluation import synthetic


@pytest.fixture(scope="module")
def report():
    """Of a model beside one that knows less."""
    asked, truth = synthetic.questions()
    mine, theirs = (synthetic.predictions(asked, truth, noise) for noise in (0.5, 1.0))
    context = Context(synthetic.np.ones(500, synthetic.np.int8), synthetic.np.ones(400, bool))
    config = EvaluateConfig(replicates=20)
    alone = offline.evaluate(mine, Material("dupn", "2026-03-12", context), config)
    compared = compare(mine, theirs, context, config)
    return alone.model_copy(update={"champion": "old", "comparison": compared})


def test_a_verdict_has_the_figure_of_every_floor(report):
    first = report.model_copy(update={"champion": None, "comparison": None})
    for floors in ({}, {"fifp_auc": 0.5}, {"ctr_auc": 0.5, "ppp_precision": 0.1}):
        found = {one.name for one in weighed.figures(first, GateConfig(floors=floors))}
        assert found == {"ctr_ece", *floors}


def test_the_bound_of_ctr_says_how_sure_it_is(report):
    for alpha, said in ((0.05, "one-sided, at 0.95"), (0.01, "one-sided, at 0.99")):
        found = weighed.figures(report, GateConfig(alpha=alpha))
        (bound,) = (one for one in found if one.name == "gate_ctr_bound")
        assert bound.protocol.endswith(said)
