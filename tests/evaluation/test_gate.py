from dataclasses import replace

import numpy as np
import pytest

from evaluation import metrics
from evaluation.bootstrap import Resamples
from evaluation.gate import (
    MEASURED,
    Evidence,
    GateConfig,
    Outcome,
    Verdict,
    decide,
)
from evaluation.measures import BY_NAME
from evaluation.paired import NORMAL, Comparison, Difference
from infra.config import build
from infra.errors import ConfigError

CONFIG = GateConfig(floors={"ctr_auc": 0.6, "l2r_auc": 0.55})
GOOD = Evidence(
    figures={"ctr_auc": 0.7, "l2r_auc": 0.65, "ctr_ece": 0.01},
    positives=5000,
    negatives=50_000,
    users=900,
)


def test_a_floor_of_a_figure_that_there_is_not_is_refused_with_a_hint():
    with pytest.raises(ConfigError, match="ctr_acu is no figure of a model; did you mean ctr_auc"):
        build(GateConfig, {"floors": {"ctr_auc": 0.5, "ctr_acu": 0.9}})
    with pytest.raises(ConfigError, match="ctr_aucs is no figure of a model"):
        build(GateConfig, {"floors": {"ctr_aucs": 0.5}})
    made = {"ctr_auc_same_category": 0.5, "ppp_precision_level_1": 0.1, "ppp_recall_level_1": 0.1}
    assert GateConfig(floors=made).floors == made
    assert {*MEASURED} == {*BY_NAME, "ppp_recall"}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"min_ctr_margin": 0.5}, r"lower gate\.min_ctr_margin, or raise gate\.max_ctr_margin"),
        ({"max_ctr_margin": 0.003}, r"lower gate\.min_ctr_margin, or raise gate\.max_ctr_margin"),
        ({"min_power": 0.99}, r"gate\.min_power is above gate\.power"),
    ],
)
def test_a_least_that_lies_above_the_most_is_refused(given, said):
    with pytest.raises(ConfigError, match=said):
        build(GateConfig, given)
    assert build(GateConfig, {"min_ctr_margin": 0.01, "min_power": 0.95})


def evidence(positives=5000, negatives=50_000, users=900, **figures):
    return Evidence({**GOOD.figures, **figures}, positives, negatives, users)


def against(ctr=0.0, error=0.001, **others):
    """A comparison; others are value/error pairs by name."""
    return Comparison(
        ctr=Difference(name="ctr_auc", value=ctr, error=error),
        others=tuple(Difference(name=n, value=v, error=e) for n, (v, e) in others.items()),
    )


@pytest.mark.parametrize(
    ("candidate", "quality", "outcome", "failed"),
    [
        (GOOD, [], Outcome.PROMOTE, []),
        (evidence(ctr_auc=0.59), [], Outcome.REFUSE, ["ctr_auc 0.5900 is under the floor 0.6."]),
        (evidence(ctr_ece=0.2), [], Outcome.REFUSE, ["click probabilities are off by 0.2000"]),
        (evidence(l2r_auc=None), [], Outcome.PROMOTE, []),
        (GOOD, ["events 2026-03-11: 9 % rejects."], Outcome.REFUSE, ["events 2026-03-11: 9 %"]),
        (evidence(positives=20), [], Outcome.NOT_ENOUGH_EVIDENCE, []),
        (evidence(users=3), [], Outcome.NOT_ENOUGH_EVIDENCE, []),
        (evidence(negatives=99), [], Outcome.NOT_ENOUGH_EVIDENCE, []),
        (evidence(ctr_auc=0.0), [], Outcome.REFUSE, ["ctr_auc 0.0000 is under the floor 0.6."]),
        (evidence(positives=20, ctr_auc=0.4), [], Outcome.REFUSE, ["under the floor"]),
    ],
)
def test_a_first_model_faces_floors_calibration_and_quality(candidate, quality, outcome, failed):
    verdict = decide(candidate, None, None, quality, CONFIG)
    assert verdict.outcome is outcome
    real = [sentence for sentence in verdict.failed if not sentence.startswith("the day holds")]
    assert len(real) == len(failed)
    assert all(part in sentence for part, sentence in zip(failed, real, strict=True))


def test_what_so_few_clicks_do_by_chance_is_no_failure_and_no_promotion_either():
    """Of a model that says the right probabilities, a small day's error is above the limit too."""
    few = Evidence({**GOOD.figures, "ctr_ece": 0.0508}, 152, 900, 52, calibration_low=0.0)
    verdict = decide(few, None, None, [], CONFIG)
    assert verdict.outcome is Outcome.NOT_ENOUGH_EVIDENCE
    assert verdict.failed == (
        "click probabilities are off by 0.0508 on average, which is above 0.05. So few clicks may "
        "be as far off by chance.",
    )
    worse = replace(few, calibration_low=0.0001)
    assert decide(worse, None, None, [], CONFIG).outcome is Outcome.REFUSE
    within = replace(few, figures={**GOOD.figures, "ctr_ece": 0.05})
    assert decide(within, None, None, [], CONFIG).promoted


@pytest.mark.parametrize(
    ("positives", "negatives", "why"),
    [
        (5072, 0, "everything that was shown that day was clicked (does the log hold what was"),
        (0, 5072, "nothing that was shown that day was clicked."),
        (500, 500, "the report says of what there was too little."),
    ],
)
@pytest.mark.parametrize("champion", [None, GOOD])
def test_without_a_figure_of_clicks_nobody_is_promoted_and_the_cause_is_said(
    positives, negatives, why, champion
):
    blind = evidence(positives, negatives, ctr_auc=None, l2r_auc=None, ctr_ece=None, fifp_auc=0.66)
    verdict = decide(blind, champion, against(ctr=None, error=None), [], CONFIG)
    assert verdict.outcome is Outcome.NOT_ENOUGH_EVIDENCE
    assert any(said.startswith(f"CTR AUC could not be judged: {why}") for said in verdict.failed)


def test_who_was_not_trained_for_clicks_is_released_by_what_it_has():
    ranks = replace(evidence(negatives=0, ctr_auc=None, ctr_ece=None), untrained=frozenset(["ctr"]))
    passed = decide(ranks, None, None, [], CONFIG)
    assert passed.promoted
    said = [check.sentence for check in passed.checks if check.name == "calibration"]
    assert said == ["calibration of clicks was not judged: the report says why."]
    refused = replace(ranks, figures={"l2r_auc": 0.5})
    assert decide(refused, None, None, [], CONFIG).outcome is Outcome.REFUSE


def test_an_alpha_of_two_and_a_half_per_cent_is_not_called_two():
    config = CONFIG.model_copy(update={"alpha": 0.025})
    checks = decide(GOOD, GOOD, against(), [], config).checks
    assert any("at 97.5%" in check.sentence for check in checks)


def test_a_limit_may_be_reached_but_not_passed():
    """Floor, calibration error, clicks and users, each at its limit and just beyond."""
    at = {"ctr_auc": CONFIG.floors["ctr_auc"], "ctr_ece": CONFIG.max_calibration_error}
    few = {"positives": CONFIG.min_positives, "users": CONFIG.min_users}
    few["negatives"] = CONFIG.min_positives
    verdict = decide(evidence(**few, **at), None, None, [], CONFIG)
    assert verdict.promoted
    assert any(check.sentence.startswith("ctr_auc 0.6000 meets") for check in verdict.checks)
    beyond = {"ctr_auc": at["ctr_auc"] - 1e-9, "ctr_ece": at["ctr_ece"] + 1e-9}
    for name, value in beyond.items():
        found = decide(evidence(**few, **{**at, name: value}), None, None, [], CONFIG)
        assert found.outcome is Outcome.REFUSE, name
    for name, value in few.items():
        found = decide(evidence(**{**few, name: value - 1}, **at), None, None, [], CONFIG)
        assert found.outcome is Outcome.NOT_ENOUGH_EVIDENCE, name


@pytest.mark.parametrize(
    ("comparison", "outcome"),
    [
        (against(ctr=0.01), Outcome.PROMOTE),
        (against(ctr=0.0), Outcome.PROMOTE),
        (against(ctr=-0.02), Outcome.KEEP_CHAMPION),
        (against(ctr=0.0, error=0.02), Outcome.NOT_ENOUGH_EVIDENCE),
        (against(ctr=None, error=None), Outcome.NOT_ENOUGH_EVIDENCE),
        (against(ctr=0.0, error=None), Outcome.NOT_ENOUGH_EVIDENCE),
        (against(fifp_auc=(-0.3, None)), Outcome.PROMOTE),
        (against(l2r_auc=(-0.001, 0.002)), Outcome.PROMOTE),
        (against(l2r_auc=(-0.05, 0.002)), Outcome.KEEP_CHAMPION),
        (against(fifp_auc=(None, None)), Outcome.PROMOTE),
        (against(ctr=0.0, error=0.02, fifp_auc=(-0.3, 0.01)), Outcome.KEEP_CHAMPION),
    ],
)
def test_against_a_champion(comparison, outcome):
    assert decide(GOOD, GOOD, comparison, [], CONFIG).outcome is outcome


def test_every_failed_check_is_a_sentence():
    verdict = decide(
        evidence(ctr_auc=0.5, ctr_ece=0.3),
        GOOD,
        against(ctr=-0.05, l2r_auc=(-0.05, 0.001), ppp_precision=(-0.1, 0.001)),
        ["samples 2026-03-11: drift."],
        CONFIG,
    )
    assert len(verdict.failed) == 6
    assert all(sentence.endswith(".") for sentence in verdict.failed)


def test_an_equal_model_passes_with_the_planned_power():
    """Margin (z_alpha + z_power) x error: passes when the estimate is above -z_power x error."""
    error = 0.002
    assert decide(GOOD, GOOD, against(ctr=-1.64 * error, error=error), [], CONFIG).promoted
    assert not decide(GOOD, GOOD, against(ctr=-1.65 * error, error=error), [], CONFIG).promoted


def test_between_planned_and_least_power_the_margin_stays_at_its_cap():
    error = 0.0038
    assert decide(GOOD, GOOD, against(ctr=-0.0037, error=error), [], CONFIG).promoted
    kept = decide(GOOD, GOOD, against(ctr=-0.0038, error=error), [], CONFIG)
    assert kept.outcome is Outcome.KEEP_CHAMPION


def test_what_chance_alone_does_to_a_training_is_forgiven_however_exact_the_day():
    assert decide(GOOD, GOOD, against(ctr=-0.004, error=0.0005), [], CONFIG).promoted
    assert decide(GOOD, GOOD, against(l2r_auc=(-0.002, 0.0001)), [], CONFIG).promoted
    assert not decide(GOOD, GOOD, against(l2r_auc=(-0.003, 0.0001)), [], CONFIG).promoted


def test_the_margin_never_exceeds_its_cap():
    config = GateConfig(floors={}, min_ctr_margin=0.003, max_ctr_margin=0.003)
    assert decide(GOOD, GOOD, against(ctr=-0.0008, error=0.001), [], config).promoted
    assert not decide(GOOD, GOOD, against(ctr=-0.0035, error=0.0005), [], config).promoted
    late = decide(GOOD, GOOD, against(ctr=0.0, error=0.0019), [], config)
    assert late.outcome is Outcome.NOT_ENOUGH_EVIDENCE


@pytest.mark.parametrize(
    ("value", "error", "outcome"),
    [
        (0.1944, 0.0055, Outcome.PROMOTE),
        (0.0701, 0.0058, Outcome.PROMOTE),
        (0.0041, 0.0055, Outcome.PROMOTE),
        (0.0040, 0.0055, Outcome.NOT_ENOUGH_EVIDENCE),
        (0.0, 0.0055, Outcome.NOT_ENOUGH_EVIDENCE),
        (-0.19, 0.0055, Outcome.NOT_ENOUGH_EVIDENCE),
    ],
)
def test_what_a_noisy_day_shows_all_the_same_is_believed(value, error, outcome):
    """A lower bound of value - 1.645 x error at or above minus the smallest margin, 0.005."""
    verdict = decide(GOOD, GOOD, against(ctr=value, error=error), [], GateConfig())
    assert verdict.outcome is outcome
    shown = {check.name: check.passed for check in verdict.checks}
    assert shown["power"] is (outcome is Outcome.PROMOTE)
    assert shown.get("ctr non-inferiority", False) is shown["power"]


@pytest.mark.parametrize("error", [0.0005, 0.002, 0.0045, 0.0055, 0.02, 0.1])
def test_who_is_worse_by_the_margin_passes_no_more_often_than_alpha(error):
    """On a day that shows it without power, the margin is the smallest; else the planned one."""
    config = GateConfig(floors={})
    drawn = np.random.default_rng(5).normal(0, error, 4000)
    planned = (NORMAL.inv_cdf(0.95) + NORMAL.inv_cdf(config.power)) * error
    least = (NORMAL.inv_cdf(0.95) + NORMAL.inv_cdf(config.min_power)) * error
    margin = min(max(planned, 0.005), 0.01) if least <= 0.01 else 0.005
    passed = [
        decide(GOOD, GOOD, against(ctr=one - margin, error=error), [], config).promoted
        for one in drawn
    ]
    assert 0.035 < np.mean(passed) < 0.065


def answered(users, candidate, champion):
    """Evidence and a comparison of two models on one draw of people, 40 candidates each.

    A model's score is the truth with noise of the given size; None says the same of everybody.
    """
    rng = np.random.default_rng(3)
    user = np.repeat(np.arange(users), 40)
    truth = rng.normal(0, 0.5, users)[user] + rng.normal(0, 1, len(user))
    clicked = rng.random(len(user)) < 1 / (1 + np.exp(2 - truth))

    def scores(noise):
        return truth * 0 if noise is None else truth + noise * rng.normal(0, 1, len(user))

    mine, theirs = scores(candidate), scores(champion)
    draws = Resamples.draw(users, 200, 1)
    values = [metrics.auc(one, clicked) for one in (mine, theirs)]
    gap = draws.auc(mine, clicked, user) - draws.auc(theirs, clicked, user)
    found = draws.interval(values[0] - values[1], gap)
    positives = int(clicked.sum())
    known = Evidence(
        {"ctr_auc": values[0], "ctr_ece": 0.01}, positives, len(user) - positives, users
    )
    return known, against(ctr=found.value, error=found.error)


@pytest.mark.parametrize(
    ("candidate", "champion", "outcome"),
    [
        (1.0, None, Outcome.PROMOTE),
        (1.0, 2.0, Outcome.PROMOTE),
        (1.0, 1.0, Outcome.NOT_ENOUGH_EVIDENCE),
        (2.0, 1.0, Outcome.NOT_ENOUGH_EVIDENCE),
    ],
)
def test_a_broken_champion_can_be_replaced_on_a_night_of_450_users(candidate, champion, outcome):
    """Answers that have little in common have a large paired error, so the day has no power."""
    known, compared = answered(450, candidate, champion)
    assert (NORMAL.inv_cdf(0.95) + NORMAL.inv_cdf(0.8)) * compared.ctr.error > 0.01
    assert decide(known, known, compared, [], GateConfig()).outcome is outcome


def worse_at(*values):
    """What is called worse of tasks whose differences have an error of 1, at no tolerance."""
    config = GateConfig(floors={}, tolerance=0)
    named = {f"task{k}": (value, 1.0) for k, value in enumerate(values)}
    checks = decide(GOOD, GOOD, against(**named), [], config).checks
    return [c.name for c in checks if c.name.startswith("task") and c.passed is False]


def test_holm_steps_down_from_the_smallest_p():
    """One-sided p of -3, -1.75 and -1.85: 0.0013, 0.040 and 0.032."""
    assert worse_at(-3.0, -1.75) == ["task0", "task1"]  # 0.040 * 1, not * 2
    assert worse_at(-1.85, -1.75) == []  # 0.032 * 2 forgives the larger one as well
    assert worse_at(-1.75) == ["task0"]
    assert worse_at(-1.63) == []  # p 0.0516: alpha is one-sided


def test_what_is_worse_without_any_noise_is_worse():
    assert decide(GOOD, GOOD, against(l2r_auc=(-0.002, 0.0)), [], CONFIG).promoted
    assert not decide(GOOD, GOOD, against(l2r_auc=(-0.0021, 0.0)), [], CONFIG).promoted


def test_a_floor_of_what_was_not_asked_is_not_judged_and_that_is_said():
    config = GateConfig(floors={"ctr_auc": 0.6, "ctr_auc_nightly": 0.9})
    verdict = decide(GOOD, None, None, [], config)
    assert verdict.promoted
    said = {check.name: check for check in verdict.checks}["floor ctr_auc_nightly"]
    assert said.passed is None
    assert said.sentence == "ctr_auc_nightly was not asked, so its floor 0.9 was not judged."


def test_holm_forgives_one_small_p_among_many():
    """z = -2 alone is significant at 5 % one-sided; as the smallest of twenty it is not."""
    alone = against(a=(-2.0, 1.0))
    among = against(a=(-2.0, 1.0), **{f"b{i}": (0.0, 1.0) for i in range(19)})
    assert decide(GOOD, GOOD, alone, [], CONFIG).outcome is Outcome.KEEP_CHAMPION
    assert decide(GOOD, GOOD, among, [], CONFIG).promoted


def test_a_slice_may_lose_what_the_whole_may():
    name = "ctr_auc[scenario=ad]"
    assert decide(GOOD, GOOD, against(**{name: (-0.009, 0.0001)}), [], CONFIG).promoted
    assert not decide(GOOD, GOOD, against(**{name: (-0.011, 0.0001)}), [], CONFIG).promoted


def test_many_slices_do_not_hide_a_task():
    slices = {f"ctr_auc[item={i}]": (0.0, 0.01) for i in range(19)}
    worse = against(l2r_auc=(-0.022, 0.01), **slices)
    assert decide(GOOD, GOOD, worse, [], CONFIG).outcome is Outcome.KEEP_CHAMPION


def test_a_champion_without_a_comparison_is_kept():
    verdict = decide(GOOD, GOOD, None, [], CONFIG)
    assert not verdict.promoted


def test_a_verdict_survives_json():
    verdict = decide(GOOD, GOOD, against(l2r_auc=(-0.05, 0.002)), [], CONFIG)
    assert Verdict.model_validate_json(verdict.model_dump_json()) == verdict
