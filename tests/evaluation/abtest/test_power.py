import json
import math
from datetime import timedelta

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from scipy.stats import norm
from statsmodels.stats.power import NormalIndPower

from evaluation.abtest import power
from evaluation.abtest.always_valid import Mixture, level, lowest
from evaluation.abtest.effect import contrasts
from evaluation.abtest.power import Wanted
from evaluation.abtest.ratios import METRICS
from evaluation.abtest.sufficient import exposed
from infra.errors import ConfigError
from pipeline.abtest import planning
from tests.evaluation.abtest.rows import ARMS, FIRST, readout

STEADY = power.steady(mean=2.0, variance=16.0, users_per_day=1000, days=365)


def test_users_for_one_look_are_statsmodels():
    """Log uplift over a spread of 2: a standardised effect of log(1.05) / 2."""
    found = power.plan(STEADY, Wanted(effect=0.05, days=14)).fixed
    arm = NormalIndPower().solve_power(math.log(1.05) / 2, alpha=0.05, power=0.8, ratio=1)
    assert found.users == pytest.approx(2 * arm, rel=1e-3)
    assert found.days == math.ceil(2 * arm / 1000)


@pytest.mark.parametrize("days", [14, 300])
def test_the_users_that_are_needed_come_in_the_days_that_would_do(days):
    """Each length has its own multiplier; users who are needed are those of that length."""
    traffic = power.steady(mean=1.0, variance=2.0, users_per_day=5000, days=365)
    found = power.plan(traffic, Wanted(effect=0.02, days=days, correlation=0.6)).always
    assert found.days == math.ceil(found.users / 5000) == 44
    z = lowest(level(0.05, 44)) + norm.ppf(0.8)
    assert found.users == pytest.approx(4 * 2 * 0.64 * (z / math.log(1.02)) ** 2)
    assert round(found.users) == 219_052  # as docs/abtest.md says


def test_the_error_is_the_users_spread_over_both_arms():
    found = power.plan(STEADY, Wanted(effect=0.05, days=10, shares=(0.8, 0.2), correlation=0.6))
    assert found.planned_error == pytest.approx(2 * 0.8 * math.sqrt(1 / 8000 + 1 / 2000))


def test_power_at_the_detectable_effect_is_the_wanted_one():
    first = power.plan(STEADY, Wanted(effect=0.02, days=14))
    for kind in ("always", "fixed"):
        effect = getattr(first, kind).detectable
        again = power.plan(STEADY, Wanted(effect=effect, days=14))
        assert getattr(again, kind).power == pytest.approx(0.8)


@pytest.mark.parametrize("days", [14, 60])
def test_always_valid_power_is_that_of_the_last_look(days):
    found = power.plan(STEADY, Wanted(effect=0.05, days=days))
    assert found.always.power == pytest.approx(
        norm.cdf(math.log(1.05) / found.planned_error - lowest(level(0.05, days)))
    )
    assert found.always.power < found.fixed.power


def test_an_experiment_answers_only_if_it_does_so_when_it_is_looked_at_daily():
    once = power.plan(STEADY, Wanted(effect=0.02, days=14)).fixed.detectable
    found = power.plan(STEADY, Wanted(effect=1.01 * once, days=14))
    assert found.fixed.power > found.wanted_power
    assert not found.answers


def test_traffic_that_cannot_answer_says_so():
    found = power.plan(STEADY, Wanted(effect=0.01, days=14))
    assert not found.answers
    assert found.sentence.startswith("The traffic cannot answer in 14 days")
    assert f"{found.always.detectable:+.2%}" in found.sentence
    assert "365 days would not either" in found.sentence


def test_enough_traffic_says_how_much_is_needed():
    found = power.plan(STEADY, Wanted(effect=0.2, days=14))
    assert found.answers
    assert found.always.days < 14
    assert f"{found.always.days} would do" in found.sentence


def test_the_log_gives_the_error_that_the_experiment_then_has():
    table = readout(users=4000, days=4)
    metric = METRICS["ctr"]
    traffic = power.of_log(table, metric, ARMS)
    users = exposed(table, ARMS).users
    assert traffic.users[-1] == len(users)
    assert (np.diff(traffic.users) >= 0).all()
    seen = contrasts(users.clicks, users.impressions, users.arm == 1).log_uplift
    share = users.arm.mean()
    assert traffic.errors((1 - share, share))[-1] == pytest.approx(seen.error, rel=0.02)
    assert 0.3 < power.correlation_of(table, metric, ARMS) < 0.9


def test_a_tuned_mixture_is_as_sharp_as_planned():
    found = power.plan(STEADY, Wanted(effect=0.05, days=14))
    rule = Mixture(found.planned_error * math.sqrt(lowest(0.05) ** 2 - 1))
    assert rule.multiplier(found.planned_error) == pytest.approx(lowest(0.05))


@pytest.mark.parametrize(
    "wrong",
    [{"effect": 0}, {"days": 0}, {"days": 999}, {"shares": (0.0, 1.0)},
     {"shares": (0.5, math.nan)}, {"shares": (math.nan, 0.5)}, {"correlation": 1.0},
     {"alpha": 2.0}, {"power": 0.1}],
)  # fmt: skip
def test_plans_of_the_impossible_are_refused(wrong):
    with pytest.raises(ConfigError):
        power.plan(STEADY, Wanted(**{"effect": 0.02, "days": 14} | wrong))


def test_an_effect_past_all_numbers_is_null_and_told_in_words():
    """JSON knows no infinity."""
    few = power.steady(mean=1.0, variance=1e6, users_per_day=1, days=9)
    found = power.plan(few, Wanted(effect=0.02, days=2))
    assert found.always.detectable is None
    assert "is over +1000%; 9 days would not either" in found.sentence
    json.dumps(planning.plan(few, Wanted(effect=0.02, days=2)), allow_nan=False)


def test_days_in_which_nothing_was_counted_cannot_be_planned_with():
    traffic = power.Traffic(np.array([100.0, 200.0, 300.0]), np.array([np.inf, np.inf, 5.0]))
    with pytest.raises(ConfigError, match="nothing of the metric was counted in the first 2 days"):
        power.plan(traffic, Wanted(effect=0.02, days=2))
    found = power.plan(traffic, Wanted(effect=0.02, days=3))
    json.dumps(found.model_dump(), allow_nan=False)


def test_users_who_are_all_alike_promise_no_power():
    """A spread of nothing would find any effect on the first day."""
    table = readout(users=400, days=2)
    at = table.schema.get_field_index("clicks")
    alike = table.set_column(at, table.schema.field("clicks"), table["impressions"])
    traffic = power.of_log(alike, METRICS["ctr"], ARMS)
    with pytest.raises(ConfigError, match="alike in the metric: there is no spread to plan with"):
        power.plan(traffic, Wanted(effect=0.02, days=2))


def test_a_day_of_one_user_has_no_spread_yet():
    table = readout(users=400, days=2)
    late = table.filter(pc.equal(table["day"], FIRST + timedelta(days=1)))
    traffic = power.of_log(pa.concat_tables([table.slice(0, 1), late]), METRICS["ctr"], ARMS)
    assert (traffic.users[0], traffic.spread[0]) == (1, np.inf)
    assert np.isfinite(traffic.spread[1])


def test_traffic_of_nothing_is_refused():
    with pytest.raises(ConfigError):
        power.steady(0, 1, 1, 1)
    with pytest.raises(ConfigError):
        power.of_log(readout(users=10).slice(0, 0), METRICS["ctr"], ARMS)
