"""A sentence about a limit says on which side of it a value is."""

import pytest

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
