import numpy as np
import pytest

from evaluation import metrics
from evaluation.measures import Bench
from evaluation.probabilities import click_figures
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
