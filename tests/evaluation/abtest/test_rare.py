"""Metrics of which most users have nothing: what is rare makes z normal late."""

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest

from evaluation.abtest import aa, checks
from evaluation.abtest.aa_world import AAWorld, live
from evaluation.abtest.always_valid import steady
from evaluation.abtest.design import Design
from evaluation.abtest.effect import FEWEST_HAVING, compare
from evaluation.abtest.ratios import METRICS
from evaluation.abtest.readout import read_out
from evaluation.abtest.sufficient import exposed
from evaluation.abtest.verdict import Outcome, decide
from tests.evaluation.abtest.rows import ARMS, FIRST, readout, sized

SALES, ORDERS = METRICS["sales"], METRICS["orders"]
RULE = steady(0.05, 14)


@pytest.fixture(scope="module")
def crowd():
    return exposed(readout(users=8000, effect=0.0), ARMS).users


def bought(users, control, treated):
    """So many users of each arm bought once, for ten to twenty."""
    sales = np.zeros(len(users))
    for arm, buyers in enumerate((control, treated)):
        sales[np.flatnonzero(users.arm == arm)[:buyers]] = np.linspace(10, 20, buyers)
    return replace(users, sales=sales, orders=(sales > 0).astype(float))


@pytest.mark.parametrize(("sizes", "least"), [((1000, 1000), 80), ((1800, 200), 400)])
def test_of_few_users_who_have_any_nothing_is_said(crowd, sizes, least):
    """A tenth of 400 buyers is the part of an arm of a tenth, however many it has."""
    users = sized(crowd, *sizes)
    for metric in (SALES, ORDERS):
        enough, few = (compare(bought(users, n - 20, 20), metric, RULE) for n in (least, least - 1))
        assert enough.error > 0
        assert (few.error, few.uplift.value, few.p_always) == (None, None, None)
        assert few.reason.startswith("too few users have any of it yet: the smaller arm's part of")
        assert f"{FEWEST_HAVING - 1} of {FEWEST_HAVING}. Wait, or declare" in few.reason
        assert few.control > few.treatment > 0 or sizes[0] > sizes[1]


def test_an_arm_that_lost_nearly_all_its_buyers_is_worse_though_they_are_few(crowd):
    assert compare(bought(sized(crowd, 1000, 1000), 80, 6), SALES, RULE).worse
    assert compare(bought(sized(crowd, 1000, 1000), 80, 0), SALES, RULE).worse


def test_rare_orders_and_a_small_arm_declare_nothing_where_nothing_differs():
    """Sales did at one of 14 looks in 8.7 % of such experiments, where 5 may."""
    rng, users, share, days = np.random.default_rng(1), 3000, 0.1, 14
    wrong = 0
    base = sized(exposed(readout(users=5000, effect=0.0), ARMS).users, users, 0)
    for _ in range(100):
        arm = (rng.random(users) < share).astype(np.int8)
        activity, sales = rng.gamma(0.5, 2, users), np.zeros(users)
        said = False
        for _ in range(days):
            orders = rng.poisson(0.03 * activity / days)
            sales = sales + orders * rng.lognormal(0, 1, users)
            found = compare(replace(base, arm=arm, sales=sales), SALES, RULE)
            said |= found.better or found.worse
        wrong += said
    assert wrong <= 1


def test_an_a_a_world_may_have_a_small_arm_and_rare_orders():
    world = AAWorld(users=6000, treated=0.1, buy=0.01, days=2)
    life = live(world, np.random.SeedSequence(3))
    assert life.arm.mean() == pytest.approx(0.1, abs=0.02)
    first, last = ((look.sales > 0) * (1 + look.arm) for look in (life.until(1), life.until(2)))
    assert (first == 2).sum() > 1
    assert (last > 0).sum() < 10 * FEWEST_HAVING
    looks = aa.experiment(world, np.random.SeedSequence(3))
    assert np.isfinite(looks.error[aa.METRIC_NAMES.index("ctr"), :2]).all()
    assert np.isnan(looks.error[aa.METRIC_NAMES.index("sales"), :2]).all()


def test_a_guardrail_of_too_few_orders_holds_the_launch():
    """CTR is better, but of sales nothing can be said: not that they are as they were, either."""
    design = Design(arms={"old": 0.5, "new": 0.5}, first_day=FIRST, planned_days=9)
    table = readout(users=4000, days=9, effect=0.3)
    rare = table["user"].to_numpy() % 80 != 1
    for name in ("sales", "orders"):
        values = np.where(rare, 0, table[name].to_numpy())
        field = table.schema.field(name)
        table = table.set_column(table.schema.get_field_index(name), field, [values.tolist()])
    for day, outcome in ((8, Outcome.CONTINUE), (9, Outcome.STOP)):
        seen = read_out(table, design, FIRST + timedelta(days=day - 1))
        assert seen.primary.better
        found = decide(seen, design)
        assert found.outcome is outcome
        assert "guardrail sales per user cannot be told: too few users" in found.reasons[0]
        assert found.reasons[0].endswith("a larger share. Hence no launch.")


def test_a_pre_period_in_which_hardly_anybody_did_anything_is_not_judged(crowd):
    hardly = np.arange(len(crowd)) < 50
    users = replace(crowd, pre_clicks=hardly * 1.0, pre_sales=hardly * 5.0)
    found = checks.pre_period(users, 0.001, 14)
    assert found.passed is None
    assert found.sentence.startswith("too few users did anything in the pre-period")
