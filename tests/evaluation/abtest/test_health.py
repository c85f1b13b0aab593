from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest

from evaluation.abtest.always_valid import Mixture
from evaluation.abtest.health import HEALTH, harm

ARMS = ("old", "new")
RULE = Mixture(0.002, 0.01)
START = datetime(2026, 3, 2, tzinfo=UTC)


def hours(number=48, errors=(0.001, 0.001), seed=0, requests=20_000):
    rng = np.random.default_rng(seed)
    bad_luck = rng.lognormal(0, 1, number)  # of the hour, shared by both arms
    rows = [
        {
            "arm": arm,
            "hour": START + timedelta(hours=hour),
            "requests": requests,
            "errors": int(rng.binomial(requests, min(1, share * bad_luck[hour]))),
            "slow": int(rng.binomial(requests, 0.05)),
        }
        for hour in range(number)
        for arm, share in zip(ARMS, errors, strict=True)
    ]
    return pa.Table.from_pylist(rows, HEALTH)


def test_shares_are_those_of_all_requests():
    table = hours(errors=(0.001, 0.01))
    found = harm(table, "errors", ARMS, RULE)
    frame = table.to_pandas()
    for arm, value in zip(ARMS, (found.control, found.treatment), strict=True):
        mine = frame[frame.arm == arm]
        assert value == pytest.approx(mine.errors.sum() / mine.requests.sum())
    assert found.rise.value == pytest.approx(found.treatment - found.control)


def test_many_errors_are_found_and_equal_ones_are_not():
    assert harm(hours(errors=(0.001, 0.01)), "errors", ARMS, RULE).exceeds(0.002)
    assert not harm(hours(), "errors", ARMS, RULE).exceeds(0.0)
    assert not harm(hours(errors=(0.001, 0.01)), "slow", ARMS, RULE).exceeds(0.0)


def test_what_hits_both_arms_is_no_noise():
    """Pairing by hour: the error is far under that of two separate arms."""
    table = hours()
    found = harm(table, "errors", ARMS, RULE).rise
    paired = (found.fixed_high - found.value) / 2.5758
    frame = table.to_pandas()
    alone = [(frame[frame.arm == arm].errors / 20_000).std() / np.sqrt(48) for arm in ARMS]
    assert paired < 0.5 * np.hypot(*alone)


def test_a_few_hours_say_nothing():
    found = harm(hours(number=6), "errors", ARMS, RULE)
    assert found.rise.value is None
    assert not found.exceeds(0.0)
    assert "hours" in found.reason


def test_no_errors_at_all_are_no_rise():
    found = harm(hours(errors=(0.0, 0.0)), "errors", ARMS, RULE)
    assert (found.rise.low, found.rise.high) == (0, 0)
    assert not found.exceeds(0.0)
