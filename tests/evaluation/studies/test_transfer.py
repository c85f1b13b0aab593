"""Who converges first, and what counts as first."""

import math

import pytest

from evaluation.marketplace.config import MarketplaceConfig
from evaluation.studies.asking import Score
from evaluation.studies.cells import Cell
from evaluation.studies.contest import Step
from evaluation.studies.protocol import Plan
from evaluation.studies.searched import Searched
from evaluation.studies.transfer import (
    MEASURE,
    KnownCell,
    Transferred,
    WayCell,
    figures,
    goals,
    lead,
)
from evaluation.studies.transfer_report import DRAWN, write
from infra.store import Store
from training.transfer import Way

SEARCHED = Searched("RS", "spp", [0.4665, 0.4582], 1, {"dropout": 0.4})


def learnt(way, aucs, end=0.6, every=100):
    curve = tuple(
        Step(moments=every * place, loss=1 - auc, figures={MEASURE: auc})
        for place, auc in enumerate(aucs, start=1)
    )
    score = Score(measure=MEASURE, value=end, replicates=(end,) * 20)
    return WayCell(settings="", seed=1, way=way, trial=0, score=score, curve=curve, seconds=1.0)


def transferred(ways):
    known = KnownCell(settings="", seed=1, score=Score(measure="ctr_auc", value=0.7))
    return Transferred(known, tuple(ways))


def verdict(**curves):
    world = transferred(learnt(Way(name), aucs) for name, aucs in curves.items())
    return goals([world] * 3)[-1]


def test_moments_of_two_worlds_have_no_interval():
    """Learnt moments draw nobody, so two worlds' mean stands alone; scores draw people."""
    world = transferred(learnt(way, (0.55, 0.6)) for way in Way)
    found = {one.name: one for one in figures([world, world])}
    assert found["transfer_ft_converged"].low is None
    assert found["transfer_ft_converged"].protocol.endswith("2 worlds; no interval")
    assert found["transfer_ft_spp_auc"].protocol.endswith(
        "asked days; 2 worlds; interval over people"
    )


SLOW, FAST = (0.55, 0.58, 0.65), (0.65, 0.65, 0.65)


@pytest.mark.parametrize(
    ("curves", "said"),
    [
        ({"rs": SLOW, "ra": SLOW, "rt": FAST, "ft": SLOW}, "RT converges first: reached"),
        (
            {"rs": SLOW, "ra": SLOW, "rt": FAST, "ft": FAST},
            "RT converges first: by the mean, but not clear of zero against FT",
        ),
        ({"rs": FAST, "ra": SLOW, "rt": SLOW, "ft": SLOW}, "RT converges first: not reached"),
    ],
)
def test_first_is_who_is_first_alone(curves, said):
    assert verdict(**curves).startswith(said)


def test_first_in_one_world_and_last_in_another_is_not_first():
    others = {"rs": (0.55, 0.65, 0.65), "ra": SLOW, "ft": SLOW}
    worlds = [
        transferred(learnt(Way(name), aucs) for name, aucs in {**others, "rt": rt}.items())
        for rt in (FAST, FAST, SLOW)
    ]
    assert "but not clear of zero against RS" in goals(worlds)[-1]


def test_converged_is_the_first_judgement_within_a_twentieth_of_the_way_to_its_best():
    assert learnt(Way.RS, (0.55, 0.598, 0.6, 0.59)).converged == 200


def test_what_never_got_above_chance_has_not_converged_and_nobody_is_first_of_it():
    flat = (0.40, 0.45, 0.49, 0.48)
    assert math.isnan(learnt(Way.RT, flat).converged)
    said = verdict(rs=SLOW, ra=SLOW, rt=flat, ft=FAST)
    assert said.startswith("RT converges first: not known, since RT did not get above chance")


def test_a_lead_compares_curves_after_equally_many_moments():
    """FT is judged half as often: at the third judgement of RS it is half way between its own."""
    world = transferred(
        [
            learnt(Way.RS, (0.50, 0.56, 0.60)),
            learnt(Way.FT, (0.58, 0.64), every=200),
            learnt(Way.RT, (0.55,), every=150),
        ]
    )
    assert lead([world], Way.FT, 3).value == pytest.approx((0.58 + 0.64) / 2 - 0.60)
    assert lead([world], Way.RT, 1).value == pytest.approx(0.55 - (0.50 + 0.56) / 2), "at 150"
    assert math.isnan(lead([world], Way.FT, 4).value)


def test_a_lead_over_another_way_is_after_as_many_moments_of_both():
    world = transferred(
        [
            learnt(Way.RS, (0.50, 0.56, 0.60)),
            learnt(Way.RA, (0.57, 0.65), every=150),
            learnt(Way.FT, (0.54, 0.58, 0.61)),
        ]
    )
    found = lead([world], Way.FT, 1, Way.RA).value
    assert found == pytest.approx((0.54 + 0.58) / 2 - 0.57), "at 150, where RA is first judged"
    assert lead([world], Way.FT, 3, Way.RA).value == pytest.approx(0.61 - 0.65)


def test_a_run_that_has_stopped_leads_nobody_any_more_and_a_mean_is_of_all_worlds():
    ways = [learnt(Way.RS, (0.50, 0.56, 0.60)), learnt(Way.RT, (0.55, 0.57, 0.58))]
    going = transferred([*ways, learnt(Way.FT, (0.54, 0.58, 0.61))])
    ended = transferred([*ways, learnt(Way.FT, (0.54, 0.58))])
    worlds = [going, going, going, ended]
    assert lead(worlds, Way.FT, 2).value == pytest.approx(0.58 - 0.56)
    assert math.isnan(lead(worlds, Way.FT, 3).value)
    assert math.isnan(lead(worlds, Way.RT, 3, Way.FT).value)
    assert lead(worlds, Way.RT, 3).value == pytest.approx(0.58 - 0.60)


def test_the_report_tells_who_of_ft_and_ra_is_ahead_on_the_way(tmp_path):
    curves = {Way.RS: (0.50, 0.56), Way.RA: (0.57, 0.65), Way.RT: FAST, Way.FT: (0.54, 0.66)}
    world = transferred(learnt(way, aucs) for way, aucs in curves.items())
    store = Store(tmp_path)
    plan = Plan(learnt=10, judges=1, asked=2, network="one", market=MarketplaceConfig())
    write(store, "transfer", [world] * 3, [SEARCHED], [Cell(settings="abc")], plan)
    report = store.get("reports/study/transfer/report.md").decode()
    assert "; 1 searches (abc); " in report, "a digest of all cells"
    assert "| RS | spp | 0.4665, [0.4582] | dropout 0.4 |" in report, "what was tried and chosen"
    on_the_way = report.partition("## At equal moments that ask of a shop")[2]
    assert "| FT less RA | -0.0300 (-0.0300 to -0.0300) | - | - | - |" in on_the_way


def test_ways_are_told_apart_by_more_than_their_colour():
    assert len({stroke for _, stroke in DRAWN.values()}) == len(Way) == 4
