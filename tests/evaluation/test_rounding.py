"""A sentence about a limit says on which side of it a value is."""

import pytest

from evaluation.gate import Evidence, GateConfig, decide
from evaluation.paired import NORMAL, Comparison, Difference
from evaluation.rounding import apart


@pytest.mark.parametrize(
    ("value", "limit", "said"),
    [
        (0.05003, 0.05, "0.05003"),
        (0.0499996, 0.05, "0.0499996"),
        (0.05, 0.05, "0.0500"),
        (0.0731, 0.05, "0.0731"),
        (0.05 + 1e-15, 0.05, "0.050000000000"),
        (float("nan"), 0.05, "nan"),
    ],
)
def test_a_value_has_as_many_decimals_as_tell_it_from_the_limit(value, limit, said):
    assert apart(value, limit) == said


def test_a_bound_has_its_sign():
    assert apart(-0.01004, -0.01, sign="+") == "-0.01004"
    assert apart(0.002, -0.01, sign="+") == "+0.0020"


def test_the_gate_tells_what_rounds_to_its_limits_apart_from_them():
    config = GateConfig(floors={"ctr_auc": 0.6})
    off, needed = config.max_calibration_error + 0.00001, config.max_ctr_margin + 0.00001
    asked = Evidence({"ctr_auc": 0.59999, "ctr_ece": off}, positives=5000, negatives=9999, users=99)
    error = needed / (NORMAL.inv_cdf(1 - config.alpha) + NORMAL.inv_cdf(config.min_power))
    held = Comparison(ctr=Difference(name="ctr_auc", value=0.0, error=error))
    verdict = decide(asked, asked, held, [], config)
    said = " ".join(check.sentence for check in verdict.checks)
    assert "ctr_auc 0.59999 is under the floor 0.6." in said
    assert f"off by {off:.5f} on average, which is above {config.max_calibration_error:g}." in said
    assert f"margin of {needed:.5f} (allowed:" in said
