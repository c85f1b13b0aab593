from dataclasses import replace
from datetime import date

import numpy as np
import pytest

from evaluation.abtest import aa, aa_study
from evaluation.abtest.aa import Rule
from evaluation.abtest.aa_world import AAWorld, live
from evaluation.abtest.always_valid import Mixture
from evaluation.abtest.design import Design
from evaluation.abtest.effect import compare
from evaluation.abtest.ratios import METRICS
from evaluation.abtest.winsor import caps, cut

WORLD = AAWorld(users=800)
SEED = np.random.SeedSequence(5)
TINY = aa_study.Shape(
    experiments=6, world=AAWorld(users=3000, days=4), effects=(0.5,), power_experiments=4,
    power_users=3000, pilots=4,
)  # fmt: skip


@pytest.fixture(scope="module")
def life():
    return live(WORLD, SEED)


def test_users_return_persist_and_are_heavy_tailed(life):
    visits = life.visited.sum(0)
    assert np.mean(visits > 1) > 0.5
    users = life.until(14)
    known = (users.seen_before > 0) & (users.clicks > 0)
    assert np.corrcoef(users.pre_clicks[known], users.clicks[known])[0, 1] > 0.5
    assert users.sales.max() > 10 * users.sales.mean()
    assert 0.15 < 1 - users.seen_before.mean() < 0.6


def test_looks_grow_day_by_day(life):
    sums = [life.until(day + 1).clicks.sum() for day in range(14)]
    assert np.array_equal(sums, life.clicks.sum(1).cumsum())
    assert len(life.until(1)) == life.visited[0].sum()


def test_an_effect_is_on_the_clicks_of_the_treated_and_nothing_else():
    world = AAWorld(users=20_000)
    with_none, with_some = live(world, SEED), live(world, SEED, 0.2)
    assert np.array_equal(with_none.pages, with_some.pages)
    one, two = with_none.until(14), with_some.until(14)
    treated = one.arm == 1
    assert two.clicks[treated].sum() / one.clicks[treated].sum() == pytest.approx(1.2, abs=0.02)
    assert two.clicks[~treated].sum() / one.clicks[~treated].sum() == pytest.approx(1, abs=0.02)
    assert two.pre_clicks.sum() / one.pre_clicks.sum() == pytest.approx(1, abs=0.02)


def test_a_look_is_the_read_outs_own(life):
    looks = aa.experiment(WORLD, SEED)
    users = life.until(9)
    everybody = caps(life.pre[0] * life.items_a_page, life.pre[3])
    effect = compare(cut(users, everybody), METRICS["ctr"], Mixture(0.1))
    assert looks.estimate[0, 0, 8] == pytest.approx(np.log1p(effect.uplift.value))
    assert looks.error[0, 0, 8] == pytest.approx(effect.error)
    assert looks.users[8].sum() == len(users)
    assert (looks.users_lost <= looks.users).all()


def test_taking_impressions_as_independent_is_the_binomial(life):
    looks = aa.experiment(WORLD, SEED)
    users = life.until(14)
    variance = 0.0
    for arm in (0, 1):
        mine = users.arm == arm
        p, n = (
            users.clicks[mine].sum() / users.impressions[mine].sum(),
            users.impressions[mine].sum(),
        )
        variance += (1 - p) / (p * n)
    assert looks.error[0, 2, 13] == pytest.approx(np.sqrt(variance))
    assert looks.error[0, 2, 13] < 0.6 * looks.error[0, 1, 13]


def test_rules_look_when_they_say():
    looks = aa.Looks(
        estimate=np.full((2, 3, 3), 2.5), error=np.ones((2, 3, 3)),
        users=np.ones((3, 2)), users_lost=np.ones((3, 2)),
    )  # fmt: skip
    said = {rule: aa.declared(looks, 0, rule, np.ones((2, 3)), 0.05).tolist() for rule in Rule}
    assert said[Rule.DAILY] == said[Rule.INDEPENDENT] == [True, True, True]
    assert said[Rule.ONCE] == [False, False, True]
    assert said[Rule.ALWAYS] == said[Rule.INDEPENDENT_ALWAYS] == [False, False, False]
    assert said[Rule.PLANNED] == [False, False, False]


@pytest.mark.parametrize("error", [0.02, 0.2])
def test_the_study_measures_the_rule_of_the_verdict_whatever_a_metric_is_like(error):
    """A look's z just beyond the multiplier of the declaration of docs/abtest.md is declared."""
    design = Design(arms={"a": 0.5, "b": 0.5}, first_day=date(2026, 3, 2), planned_days=2)
    for name in aa.METRIC_NAMES:
        bound = design.mixture(name, 0.05).multiplier(error)
        looks = aa.Looks(
            estimate=np.full((2, 3, 2), bound * error * np.array([0.999, 1.001])),
            error=np.full((2, 3, 2), error), users=np.ones((2, 2)), users_lost=np.ones((2, 2)),
        )  # fmt: skip
        metric = aa.METRIC_NAMES.index(name)
        said = aa.declared(looks, metric, Rule.ALWAYS, np.full((2, 3), np.nan), 0.05)
        assert said.tolist() == [False, True]
        assert aa.declared(looks, metric, Rule.PLANNED, np.full((2, 3), error), 0.05)[1]


def test_the_number_of_processes_changes_nothing():
    told = []
    one = aa_study.run(TINY, seed=3, workers=1, advance=told.append)
    assert one == aa_study.run(TINY, seed=3, workers=2)
    assert sum(told) == TINY.total
    assert one != aa_study.run(replace(TINY, effects=()), seed=4, workers=1)


def test_a_share_has_the_exact_interval():
    found = aa_study.share("x", 0, 100, "")
    assert (found.low, found.high) == pytest.approx((0, 1 - 0.025 ** (1 / 100)))


def ever_declared(experiments, world):
    """Share of A/A experiments in which CTR or sales is ever declared to differ, each."""
    share = world.treated
    design = Design(arms={"a": 1 - share, "b": share}, first_day=date(2026, 3, 2))
    found = np.zeros(2)
    for seed in range(experiments):
        life = live(world, np.random.SeedSequence((8, seed)))
        at = caps(life.pre[0] * life.items_a_page, life.pre[3])
        looks = [cut(life.until(day + 1), at) for day in range(14)]
        for metric, name in enumerate(("ctr", "sales")):
            rule = design.mixture(name, 0.05)
            said = (compare(users, METRICS[name], rule) for users in looks)
            found[metric] += any(effect.better or effect.worse for effect in said)
    return found / experiments


def test_a_few_dozen_users_in_an_arm_declare_nothing():
    """They did in a tenth of such experiments, as long as ten users were enough to judge by."""
    assert (ever_declared(60, AAWorld(users=600, treated=0.05)) == 0).all()


@pytest.mark.drill
@pytest.mark.parametrize("buy", [0.08, 0.02])
def test_a_small_arm_beside_a_large_one_errs_as_it_should(buy):
    """With rare orders, too."""
    chance = 2 * np.sqrt(0.05 * 0.95 / 400)
    found = ever_declared(400, AAWorld(users=4000, treated=0.1, buy=buy))
    assert (found <= 0.05 + chance).all()  # of 0.08: 0.023, 0.040 in 1,500


@pytest.mark.drill
def test_two_hundred_a_a_experiments_err_as_they_should():
    shape = aa_study.Shape(experiments=200, effects=(), world=AAWorld(users=2000), pilots=20)
    found = {figure.name: figure for figure in aa_study.run(shape, seed=11)}
    for metric in ("ctr", "sales"):
        assert found[f"abtest_aa_{metric}_always"].value <= 0.05
        assert found[f"abtest_aa_{metric}_once"].low < 0.05 < found[f"abtest_aa_{metric}_once"].high
        assert found[f"abtest_aa_{metric}_daily"].low > 0.08
    assert found["abtest_aa_ctr_independent"].low > 0.5
    assert found["abtest_srm_always_false"].value <= 0.02
