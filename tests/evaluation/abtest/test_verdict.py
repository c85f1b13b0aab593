import re
from datetime import timedelta

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from scipy.stats import norm

from evaluation.abtest import verdict
from evaluation.abtest.always_valid import steady
from evaluation.abtest.design import Design, Rule
from evaluation.abtest.effect import Bounds
from evaluation.abtest.health import harm
from evaluation.abtest.readout import ReadOut, read_out
from evaluation.abtest.verdict import Outcome
from infra.config import build
from infra.errors import ConfigError
from pipeline.abtest import estimating
from tests.evaluation.abtest import test_health
from tests.evaluation.abtest.rows import ARMS, FIRST, readout

ERRORS = {"ctr": 0.02, "sales": 0.06}
DESIGN = Design(
    arms={"old": 0.5, "new": 0.5}, first_day=FIRST, planned_days=5, planned_errors=ERRORS
)


def look(effect, day=3, design=DESIGN, **given):
    table = readout(users=6000, days=5, effect=effect)
    return read_out(table, design, FIRST + timedelta(days=day - 1), **given)


def with_rule(**changed):
    return DESIGN.model_copy(update={"rule": DESIGN.rule.model_copy(update=changed)})


@pytest.fixture(scope="module")
def good():
    return look(0.3)


@pytest.fixture(scope="module")
def same():
    return look(0.0)


def test_a_better_arm_ships(good):
    found = verdict.decide(good, DESIGN)
    assert found.outcome is Outcome.SHIP
    assert found.final
    assert "at any look" in found.reasons[0]


def test_the_same_look_twice_is_the_same_record(good):
    assert look(0.3) == good
    assert ReadOut.model_validate_json(good.model_dump_json()) == good


def test_a_worse_arm_stops():
    alone = with_rule(guardrails={})
    found = verdict.decide(look(-0.3, design=alone), alone)
    assert found.outcome is Outcome.STOP
    assert "significantly worse" in found.reasons[0]


def test_a_guardrail_sees_a_loss_though_its_metric_is_noisier_than_the_primary():
    """As docs/abtest.md declares it: nobody says what error sales will have."""
    plain = Design(arms={"old": 0.5, "new": 0.5}, first_day=FIRST, planned_days=5)
    table = readout(users=6000, effect=0.3)
    new = np.array([arm == "new" for arm in table["arm"].to_pylist()])
    less = pa.array(table["sales"].to_numpy() * np.where(new, 0.4, 1.0))
    place = table.schema.get_field_index("sales")
    seen = read_out(
        table.set_column(place, table.schema.field(place), less), plain, FIRST + timedelta(days=2)
    )
    assert seen.primary.better
    assert seen.guardrails[0].p_fixed < 1e-6
    found = verdict.decide(seen, plain)
    assert found.outcome is Outcome.STOP
    assert found.reasons[0].startswith("guardrail sales per user")


def test_the_same_arm_goes_on_until_its_end(same):
    assert verdict.decide(same, DESIGN).outcome is Outcome.CONTINUE
    found = verdict.decide(look(0.0, day=5), DESIGN)
    assert found.outcome is Outcome.STOP
    assert "planned end" in found.reasons[0]


@pytest.mark.parametrize("error", [0.02, 0.2])
def test_at_the_planned_end_it_says_what_would_have_been_found_with_the_wanted_power(same, error):
    primary = same.primary.model_copy(update={"error": error})
    seen = same.model_copy(update={"number": DESIGN.planned_days, "primary": primary})
    said = re.search(
        r"an effect of \+(.*)% would have been", verdict.decide(seen, DESIGN).reasons[0]
    )
    effect = float(said[1]) / 100
    multiplier = DESIGN.mixture("ctr", DESIGN.alpha).multiplier(error)
    assert norm.cdf(np.log1p(effect) / error - multiplier) == pytest.approx(0.8, abs=0.002)


def test_no_room_for_an_effect_worth_having_stops(same):
    found = verdict.decide(same, with_rule(minimum_effect=0.5))
    assert found.outcome is Outcome.STOP
    assert "no room" in found.reasons[0]


def test_nothing_ships_below_the_declared_effect_or_before_its_days(good):
    for design in (with_rule(ship_above=0.5), with_rule(min_days=4)):
        assert verdict.decide(good, design).outcome is not Outcome.SHIP
    assert verdict.decide(good, with_rule(min_days=3)).outcome is Outcome.SHIP  # it is day 3


def test_lost_users_never_ship(good):
    table = readout(users=6000, days=5, effect=0.3)
    new = [arm == "new" for arm in table["arm"].to_pylist()]
    lost = [user % 5 == 0 for user in table["user"].to_pylist()]
    kept = table.filter(pa.array([not (n and gone) for n, gone in zip(new, lost, strict=True)]))
    seen = read_out(kept, DESIGN, FIRST + timedelta(days=2))
    assert seen.primary.better
    found = verdict.decide(seen, DESIGN)
    assert found.outcome is Outcome.CONTINUE
    assert "start anew" in found.reasons[0]
    late = verdict.decide(read_out(kept, DESIGN, FIRST + timedelta(days=4)), DESIGN)
    assert late.outcome is Outcome.STOP


@pytest.mark.parametrize("check", ["logging", "multiple exposure", "logged arms", "pre-period"])
def test_a_failed_check_never_ships(good, check):
    trust = tuple(
        one.model_copy(update={"passed": False}) if one.name == check else one for one in good.trust
    )
    seen = good.model_copy(update={"trust": trust})
    assert any(one.passed is False for one in trust)
    assert verdict.decide(seen, DESIGN).outcome is Outcome.CONTINUE


def test_broken_logging_is_a_failed_check():
    seen = look(0.3, broken=["hour 3 is missing."])
    assert not seen.trusted
    assert verdict.decide(seen, DESIGN).reasons[0] == "hour 3 is missing."


def test_a_drop_of_sales_stops_early_even_in_doubt(good):
    bad = look(-0.5).guardrails
    assert bad[0].worse
    seen = good.model_copy(update={"guardrails": bad})
    assert verdict.decide(seen, DESIGN).outcome is Outcome.STOP
    doubted = seen.model_copy(update={"trust": look(0.3, broken=["gap."]).trust})
    assert verdict.decide(doubted, DESIGN).outcome is Outcome.STOP


def test_an_arm_that_sells_nothing_at_all_stops_however_well_it_is_clicked(good):
    table = readout(users=6000, days=5, effect=0.3)
    new = pc.equal(table["arm"], "new")
    for name in ("orders", "sales"):
        none = pa.scalar(0, table[name].type)
        place = table.column_names.index(name)
        table = table.set_column(place, name, pc.if_else(new, none, table[name]))
    seen = read_out(table, DESIGN, FIRST + timedelta(days=2))
    found = verdict.decide(seen, DESIGN)
    assert found.outcome is Outcome.STOP
    assert "-100.00%" in found.reasons[0]


def test_a_guardrail_that_only_the_control_can_tell_holds_the_launch(good):
    blind = [one.model_copy(update={"reason": "no spread.", "uplift": Bounds(value=None)})
             for one in good.guardrails]  # fmt: skip
    found = verdict.decide(good.model_copy(update={"guardrails": tuple(blind)}), DESIGN)
    assert found.outcome is Outcome.CONTINUE
    assert "cannot be told: no spread. Hence no launch." in found.reasons[0]


def test_a_tolerated_drop_goes_on_but_never_ships(good):
    seen = good.model_copy(update={"guardrails": look(-0.5).guardrails})
    found = verdict.decide(seen, with_rule(guardrails={"sales": 0.9}))
    assert found.outcome is Outcome.CONTINUE
    assert "no launch" in found.reasons[0]


def test_a_tolerated_drop_stops_at_the_planned_end(good):
    worse = look(-0.5).guardrails
    seen = good.model_copy(update={"guardrails": worse, "number": DESIGN.planned_days})
    found = verdict.decide(seen, with_rule(guardrails={"sales": 0.9}))
    assert found.outcome is Outcome.STOP
    assert "no launch" in found.reasons[0]


def test_a_tolerated_rise_of_errors_goes_on_but_never_ships():
    seen = look(0.3, hours=test_health.hours(errors=(0.001, 0.02)))
    found = verdict.decide(seen, with_rule(max_error_rise=0.5))
    assert found.outcome is Outcome.CONTINUE
    assert "failed requests rose" in found.reasons[0]


def test_errors_stop_early():
    seen = look(0.3, hours=test_health.hours(errors=(0.001, 0.02)))
    found = verdict.decide(seen, DESIGN)
    assert found.outcome is Outcome.STOP
    assert "failed requests" in found.reasons[0]


def test_slow_answers_stop_early_whatever_is_clicked():
    seen = look(0.3, hours=test_health.hours(slow=(0.05, 0.1)))
    assert (seen.primary.better, seen.number < DESIGN.planned_days) == (True, True)
    found = verdict.decide(seen, DESIGN)
    assert found.outcome is Outcome.STOP
    assert re.match(r"guardrail share of slow requests: 4\.\d+% became 10\.", found.reasons[0])
    assert len(found.reasons) == 1  # nobody failed


def test_a_tolerated_rise_of_slow_answers_goes_on_but_never_ships():
    seen = look(0.3, hours=test_health.hours(slow=(0.05, 0.1)))
    found = verdict.decide(seen, with_rule(max_slow_rise=0.5))
    assert found.outcome is Outcome.CONTINUE
    assert "slow requests rose" in found.reasons[0]


def test_nothing_ships_where_the_arms_log_failures_in_different_ways():
    hours = test_health.hours(errors=(0.001, 0.001))
    new = pc.equal(hours["arm"], "new")
    ways = pc.if_else(new, hours["errors"], hours["reported"])
    hours = hours.set_column(hours.schema.get_field_index("reported"), "reported", ways)
    seen = look(0.3, hours=hours)
    found = verdict.decide(seen, DESIGN)
    assert found.outcome is Outcome.CONTINUE
    assert "share of failed requests cannot be told" in found.reasons[0]


def test_healthy_hours_do_not_stop():
    seen = look(0.3, hours=test_health.hours())
    assert verdict.decide(seen, DESIGN).outcome is Outcome.SHIP


def test_a_bound_that_knows_nothing_is_cut():
    wide = Bounds(value=-0.83, low=-1.0, high=4.5e83)
    assert verdict.interval(wide) == "-83.00% (-100.00% to over +1000%)"
    assert verdict.interval(Bounds(value=0.5, low=0.1, high=9.0)) == "+50.00% (+10.00% to +900.00%)"


def test_every_metric_and_check_is_in_the_record(good):
    assert good.number == 3
    assert good.primary.metric == "ctr"
    assert [one.metric for one in good.guardrails] == ["sales"]
    assert {one.metric for one in good.effects} == {"orders", "price_precision"}
    assert {figure.name for figure in good.figures()} == {
        "abtest_ctr_uplift", "abtest_sales_uplift", "abtest_orders_uplift",
        "abtest_price_precision_uplift",
    }  # fmt: skip
    assert len(good.trust) == 5
    assert good.trusted
    assert len(good.novelty.days) == 3
    assert sum(good.users.values()) == sum(good.primary.users)


def test_a_metric_has_one_level_wherever_it_is_said(good):
    """That at which it is judged, and its figure says which."""
    said = {figure.name: figure for figure in (*good.figures(), *estimating.figures(good))}
    for effect in good.every:
        alpha = DESIGN.guard_alpha if effect.metric == "sales" else DESIGN.alpha
        assert effect.uplift.alpha == DESIGN.alpha_of(effect.metric) == alpha
        multiplier = DESIGN.mixture(effect.metric, alpha).multiplier(effect.error)
        reach = np.log1p(effect.uplift.high) - np.log1p(effect.uplift.value)
        assert reach == pytest.approx(multiplier * effect.error)
        level = "98.33" if effect.metric == "sales" else "95"
        for name in (f"abtest_{effect.metric}_uplift", effect.metric):
            assert (said[name].low, said[name].high) == (effect.uplift.low, effect.uplift.high)
            assert f"always-valid interval at {level} %" in said[name].protocol


def test_a_guardrail_that_is_no_metric_of_the_report_has_a_figure():
    design = with_rule(guardrails={"pages": 0.0, "ctr": 0.0})
    found = look(0.3, design=design)
    assert "abtest_pages_uplift" in {figure.name for figure in found.figures()}
    assert [one.metric for one in found.every][:2] == ["ctr", "pages"]
    assert found.every[0] == found.primary  # what decides, though it is a guardrail too


def test_an_unadjusted_design_adjusts_nothing(good):
    """Neither the whole nor its parts; before, CUPED took something off both."""
    assert good.primary.kept_variance < 1
    assert min(part.effect.kept_variance for part in good.segments) < 1
    plain = look(0.3, design=DESIGN.model_copy(update={"adjusted": False}))
    assert plain.primary.kept_variance == 1
    assert {part.effect.kept_variance for part in plain.segments} == {1}


def test_what_is_cut_is_what_is_compared():
    table = readout(users=600, days=1)
    seen = read_out(
        table, DESIGN.model_copy(update={"winsorise": 0.9}), FIRST, before=table
    ).guardrails[0]
    sales = table.filter(pc.equal(table["arm"], "old"))["sales"].to_numpy()
    bought = [one for one in table["pre_sales"].to_pylist() if one]
    cap = np.quantile(bought, 0.9, method="higher")
    assert seen.control == pytest.approx(np.minimum(sales, cap).mean())
    assert seen.control < 0.99 * sales.mean()


def test_harms_have_the_alpha_of_a_guardrail():
    hours = test_health.hours()
    harms = read_out(readout(users=200), DESIGN, FIRST, hours=hours).harms
    rule = steady(DESIGN.guard_alpha, DESIGN.planned_days)
    assert harms == tuple(harm(hours, name, ARMS, rule) for name in ("errors", "slow"))


def test_of_three_arms_each_is_held_against_the_control():
    table = readout(users=6000, days=3)
    arms = [
        "third" if arm == "new" and user % 2 else arm
        for arm, user in zip(table["arm"].to_pylist(), table["user"].to_pylist(), strict=True)
    ]
    table = table.set_column(1, table.schema.field("arm"), pa.array(arms))
    three = Design(arms={"old": 0.5, "new": 0.25, "third": 0.25}, first_day=FIRST)
    assert three.alpha == 0.025
    seen = read_out(table, three, FIRST + timedelta(days=2), treatment="third")
    assert seen.users["third"] == seen.primary.users[1]
    assert seen.trusted
    two = table.filter(pa.array([arm != "new" for arm in arms]))
    alone = Design(arms={"old": 2 / 3, "third": 1 / 3}, first_day=FIRST)
    other = read_out(two, alone, FIRST + timedelta(days=2))
    assert other.primary.control == pytest.approx(seen.primary.control, rel=0.01)


@pytest.mark.parametrize(
    "wrong",
    [{"arms": {"old": 1.0}}, {"arms": {"old": 0.5, "new": 0.4}}, {"rule": {"primary": "ctrr"}},
     {"rule": {"guardrails": {"revenue": 0.0}}}, {"planned_errors": {"x": 1.0}}],
)  # fmt: skip
def test_a_design_that_makes_no_sense_is_refused(wrong):
    fine = {"arms": {"old": 0.5, "new": 0.5}, "first_day": FIRST}
    assert build(Design, fine).control == "old"
    with pytest.raises(ConfigError):
        build(Design, fine, wrong)


def test_intervals_are_for_as_many_looks_as_days_are_planned():
    longer = DESIGN.model_copy(update={"planned_days": 40})
    for metric in ("ctr", "orders"):  # with a planned error and without
        assert longer.mixture(metric, 0.01).looks == 40
        assert longer.mixture(metric, 0.01).alpha == 0.01


def test_alphas_are_shared_out():
    assert DESIGN.guard_alpha == pytest.approx(0.05 / 3)
    assert Rule().alpha == 0.05
    assert (DESIGN.control, *DESIGN.treatments) == ARMS
