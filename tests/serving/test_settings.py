"""What cannot work is refused at the start, and not at every request."""

import pytest

from infra.config import build
from infra.errors import ConfigError
from serving.settings import ServeConfig


@pytest.mark.parametrize(
    ("shares", "said"),
    [
        ({"champion": 0.5, "challenger": 0.2}, r"add up to 0\.7, not 1"),
        ({"champion": 0.9}, r"add up to 0\.9, not 1"),
        ({}, "add up to 0, not 1"),
        ({"champion": 1.5, "challenger": -0.5}, r"share of challenger is -0\.5"),
    ],
)
def test_shares_that_split_nobody_are_refused(shares, said):
    with pytest.raises(ConfigError, match=rf"shares = .*{said}"):
        build(ServeConfig, {"shares": shares})


def test_shares_add_up_to_1_as_floats_do():
    shares = {"a": 0.1, "b": 0.2, "c": 0.7}
    assert build(ServeConfig, {"shares": shares}).shares == shares


@pytest.mark.parametrize("given", [{"max_candidates": 999}, {"recall": 20_001}])
def test_a_search_may_not_recall_more_than_may_be_ranked(given):
    with pytest.raises(ConfigError, match=r"recall = .*\(serve\.max_candidates\); lower serve"):
        build(ServeConfig, given)
    assert build(ServeConfig, {"max_candidates": 999, "recall": 999}).recall == 999


def test_a_share_that_is_no_number_is_refused():
    with pytest.raises(ConfigError, match=r"shares\.champion = nan .* finite number"):
        build(ServeConfig, {"shares": {"champion": float("nan")}})
