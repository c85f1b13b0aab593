from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from evaluation.abtest.always_valid import steady, student
from evaluation.abtest.effect import Bounds
from evaluation.abtest.health import HEALTH, harm

ARMS = ("old", "new")
RULE = steady(0.01)
START = datetime(2026, 3, 2, tzinfo=UTC)


def hours(number=48, errors=(0.001, 0.001), seed=0, requests=20_000, slow=(0.05, 0.05)):
    rng = np.random.default_rng(seed)
    bad_luck = rng.lognormal(0, 1, number)  # of the hour, shared by both arms
    rows = [
        {
            "arm": arm,
            "hour": START + timedelta(hours=hour),
            "requests": requests,
            "errors": int(rng.binomial(requests, min(1, share * bad_luck[hour]))),
            "slow": int(rng.binomial(requests, late)),
            "timed": requests,
            "reported": requests,
        }
        for hour in range(number)
        for arm, share, late in zip(ARMS, errors, slow, strict=True)
    ]
    return pa.Table.from_pylist(rows, HEALTH)


def test_shares_are_those_of_all_requests_that_say_it():
    table = hours(errors=(0.001, 0.01))
    found = harm(table, "errors", ARMS, RULE)
    frame = table.to_pandas()
    for arm, value in zip(ARMS, (found.control, found.treatment), strict=True):
        mine = frame[frame.arm == arm]
        assert value == pytest.approx(mine.errors.sum() / mine.reported.sum())
    assert found.rise.value == pytest.approx(found.treatment - found.control)


def test_many_errors_are_found_and_equal_ones_are_not():
    assert harm(hours(errors=(0.001, 0.01)), "errors", ARMS, RULE).exceeds(0.002)
    assert not harm(hours(), "errors", ARMS, RULE).exceeds(0.0)
    assert not harm(hours(errors=(0.001, 0.01)), "slow", ARMS, RULE).exceeds(0.0)


def test_what_hits_both_arms_is_no_noise():
    """Pairing by hour: the error is far under that of two separate arms."""
    table = hours()
    found = harm(table, "errors", ARMS, RULE).rise
    paired = (found.fixed_high - found.value) / student(2.5758, 47)
    frame = table.to_pandas()
    alone = [(frame[frame.arm == arm].errors / 20_000).std() / np.sqrt(48) for arm in ARMS]
    assert paired < 0.5 * np.hypot(*alone)


def test_hours_are_what_is_independent():
    """With as many requests in each hour the rise is a mean of the hours' differences."""
    table = hours(errors=(0.001, 0.01))
    found = harm(table, "errors", ARMS, RULE).rise
    old, new = (table.filter(pc.equal(table["arm"], arm))["errors"] for arm in ARMS)
    rises = (new.to_numpy() - old.to_numpy()) / 20_000
    error = rises.std(ddof=1) / np.sqrt(48)
    assert found.fixed_high - found.value == pytest.approx(student(2.575829, 47) * error)
    assert found.value - found.low == pytest.approx(student(RULE.multiplier(error), 47) * error)


def test_a_rise_is_found_however_far_beyond_what_is_tolerated_its_noise_is():
    """Two hundred pages an hour: the error of the rise is many times the 0.2 % tolerated."""
    found = harm(hours(number=36, errors=(0.005, 0.1), requests=200), "errors", ARMS, RULE)
    assert found.rise.fixed_low > 0.002
    assert found.exceeds(0.002)


def test_hours_that_one_arm_alone_lived_through_do_not_count():
    table = hours()
    alone = [
        {"arm": "new", "hour": START - timedelta(hours=hour), "requests": 9, "errors": 9, "slow": 9,
         "timed": 9, "reported": 9}
        for hour in range(1, 5)
    ]  # fmt: skip
    more = pa.concat_tables([table, pa.Table.from_pylist(alone, HEALTH)])
    assert harm(more, "errors", ARMS, RULE) == harm(table, "errors", ARMS, RULE)


def test_a_few_hours_say_nothing():
    found = harm(hours(number=6), "errors", ARMS, RULE)
    assert found.rise.value is None
    assert not found.exceeds(0.0)
    assert "hours" in found.reason


def with_column(table, name, values):
    at = table.schema.get_field_index(name)
    return table.set_column(at, table.schema.field(name), pa.array(values, pa.int64()))


def test_a_share_is_of_the_pages_that_say_it():
    """The treatment is timed on a tenth of its pages, and as slow there as the control."""
    table = hours()
    new = [arm == "new" for arm in table["arm"].to_pylist()]
    for name in ("timed", "slow"):
        values = [v // 10 if n else v for v, n in zip(table[name].to_pylist(), new, strict=True)]
        table = with_column(table, name, values)
    found = harm(table, "slow", ARMS, RULE)
    assert found.control == pytest.approx(0.05, rel=0.02)
    assert found.treatment == pytest.approx(0.05, rel=0.05)


@pytest.mark.parametrize(
    ("name", "column", "logged"),
    [("errors", "reported", "`failed`"), ("slow", "timed", "`latency_ms`")],
)
def test_what_an_arm_never_logs_is_not_judged(name, column, logged):
    """No page says that it failed: that is no share of 0."""
    table = hours(errors=(0.0, 0.0))
    nobody = with_column(table, column, [0] * len(table))
    found = harm(nobody, name, ARMS, RULE)
    assert (found.control, found.rise.value, found.exceeds(0.0)) == (None, None, False)
    assert found.reason == f"not logged: no page of old or new has {logged}."
    one = [arm == "old" for arm in table["arm"].to_pylist()]
    half = with_column(table, column, [20_000 * old for old in one])
    assert harm(half, name, ARMS, RULE).reason == f"not logged: no page of new has {logged}."


@pytest.mark.parametrize("errors", [(0.001, 0.01), (0.0, 0.01)])
def test_a_log_that_marks_failures_alone_says_of_all_pages_whether_they_failed(errors):
    """The service's own pages carry no `failed`; the shop writes those that it had to fill."""
    table = hours(errors=errors)
    marked = with_column(table, "reported", table["errors"].to_pylist())
    assert harm(marked, "errors", ARMS, RULE) == harm(table, "errors", ARMS, RULE)
    assert harm(marked, "errors", ARMS, RULE).exceeds(0.002)


def test_an_arm_of_which_every_page_fails_does_not_mark_failures_alone():
    table = hours(errors=(0.001, 1.0))
    requests = table["requests"].to_pylist()
    new = [arm == "new" for arm in table["arm"].to_pylist()]
    every = [
        count if n else bad
        for n, count, bad in zip(new, requests, table["errors"].to_pylist(), strict=True)
    ]
    said = with_column(with_column(table, "reported", requests), "errors", every)
    assert harm(said, "errors", ARMS, RULE).exceeds(0.9)


def test_arms_that_log_failures_in_different_ways_are_not_compared():
    """Had the treatment fewer failures and marked them alone, its share of them would be 100 %."""
    table = hours(errors=(0.01, 0.001))
    failed, told = (table[name].to_pylist() for name in ("errors", "reported"))
    new = [arm == "new" for arm in table["arm"].to_pylist()]
    ways = [bad if n else all_ for n, bad, all_ in zip(new, failed, told, strict=True)]
    found = harm(with_column(table, "reported", ways), "errors", ARMS, RULE)
    assert (found.treatment, found.rise.value, found.exceeds(0.0)) == (None, None, False)
    assert "in different ways" in found.reason


def test_a_log_that_marks_failures_alone_says_nothing_of_how_many_were_timed():
    table = hours()
    half = with_column(table, "timed", [count // 2 for count in table["timed"].to_pylist()])
    marked = with_column(half, "reported", table["errors"].to_pylist())
    assert harm(marked, "slow", ARMS, RULE) == harm(half, "slow", ARMS, RULE)
    assert harm(marked, "slow", ARMS, RULE) != harm(table, "slow", ARMS, RULE)


def test_where_nothing_failed_there_is_no_interval():
    """A dozen pages without a failure do not bound the share of failures at 0.00 %."""
    found = harm(hours(number=12, requests=1, errors=(0.0, 0.0)), "errors", ARMS, RULE)
    assert (found.control, found.treatment, found.rise) == (0, 0, Bounds(value=0))
    assert "no spread to judge by" in found.reason
    assert not found.exceeds(0.0)


def test_an_arm_of_which_every_page_fails_beside_one_without_a_failure_has_a_rise():
    found = harm(hours(number=12, errors=(0.0, 1e9)), "errors", ARMS, RULE)
    assert (found.rise.low, found.reason) == (1, None)
    assert found.exceeds(0.5)
