"""Table 2: rows, differences, headroom and goals from cells that are made up."""

import numpy as np
import pytest
from scipy import stats

from evaluation.studies import contest
from evaluation.studies.asking import MEASURES, Score
from evaluation.studies.cells import mean_difference, mean_of
from evaluation.studies.contest import FitCell, Step, Table, Trial, TunedCell, WorldCell
from training.config import Task

SEEDS = (1, 2, 3)
MODELS = ("wide", "dssm", "all")
DRAWS = 40


def score(task, value, seed):
    drawn = np.random.default_rng(seed).normal(value, 0.01, DRAWS)
    return Score(measure=MEASURES[task], value=value, replicates=tuple(drawn), questions=100)


def fit(model, task, seed, value):
    return FitCell(
        settings="x", model=model, tasks=(task,), seed=seed, trial=0,
        scores=(score(task, value, seed),), curve=(Step(moments=1, loss=1.0, figures={}),),
        parameters=1, seconds=1.0,
    )  # fmt: skip


def table(values, seeds=SEEDS):
    """`values[model]`: CTR in each world."""
    worlds = [
        WorldCell(settings="x", seed=seed, moments=10, behaviours=5.0,
                  others={"ceiling": (score(Task.CTR, 0.9, seed),),
                          "popularity": (score(Task.CTR, 0.55, seed),)})
        for seed in seeds
    ]  # fmt: skip
    fits = [
        fit(model, Task.CTR, seed, value)
        for model, row in values.items()
        for seed, value in zip(seeds, row, strict=True)
    ]
    return Table(worlds, fits, MODELS)


@pytest.mark.parametrize(
    ("model", "heard"),
    [
        ("wide", {"alpha", "l1"}),
        ("wide_deep", {"alpha", "l1", "dropout"}),
        ("all", {"dropout"}),
    ],
)
def test_of_a_chosen_point_a_report_says_what_the_network_hears(model, heard):
    point = {"alpha": 0.1, "l1": 1.0, "dropout": 0.2}
    trial = Trial(settings=point, loss=1.0, figures={}, moments=1, seconds=1.0)
    cell = TunedCell(settings="x", model=model, tasks=(Task.CTR,), trials=(trial,), chosen=0)
    assert cell.heard == {name: point[name] for name in point if name in heard}


GOOD = {"wide": (0.6, 0.61, 0.62), "dssm": (0.63, 0.6, 0.64), "all": (0.7, 0.72, 0.71)}


def test_a_difference_is_paired_within_worlds_and_students_over_them():
    found = table(GOOD).over("all", "wide", Task.CTR)
    gaps = np.subtract(GOOD["all"], GOOD["wide"])
    assert found.value == pytest.approx(gaps.mean())
    known = stats.t.interval(0.95, 2, gaps.mean(), stats.sem(gaps))
    assert (found.low, found.high) == pytest.approx(known)


def test_of_two_worlds_the_interval_is_that_of_their_people_drawn_together():
    few = table({name: row[:2] for name, row in GOOD.items()}, seeds=(1, 2))
    found = few.over("all", "wide", Task.CTR)
    drawn = np.mean(
        [np.subtract(few.row("all", Task.CTR)[k].drawn, few.row("wide", Task.CTR)[k].drawn)
         for k in range(2)], axis=0)  # fmt: skip
    assert (found.low, found.high) == pytest.approx(tuple(np.quantile(drawn, [0.025, 0.975])))


def test_a_world_in_which_one_of_two_was_not_asked_is_left_out():
    one, other = score(Task.CTR, 0.7, 1), score(Task.CTR, 0.6, 1)
    assert mean_difference([one, None], [other, other]).value == pytest.approx(0.1)
    assert np.isnan(mean_of([None]).value)


def test_headroom_is_the_share_of_what_is_possible_above_chance():
    found = table(GOOD).headroom("all", Task.CTR)
    shares = (np.array(GOOD["all"]) - 0.5) / 0.4
    assert found.value == pytest.approx((0.71 - 0.5) / 0.4)
    assert found.low == pytest.approx(
        stats.t.interval(0.95, 2, shares.mean(), stats.sem(shares))[0]
    )


def test_of_price_levels_chance_is_the_commonest_one():
    """Who always says it has none of the headroom."""
    seeds = (1, 2)
    others = [
        {
            "ceiling": (score(Task.PPP, 0.5, seed),),
            "most_frequent_level": (score(Task.PPP, low, seed),),
        }
        for seed, low in zip(seeds, (0.2, 0.25), strict=True)
    ]
    worlds = [
        WorldCell(settings="x", seed=seed, moments=10, behaviours=5.0, others=other)
        for seed, other in zip(seeds, others, strict=True)
    ]
    values = {"wide": (0.2, 0.25), "all": (0.26, 0.3)}
    fits = [
        fit(model, Task.PPP, seed, value)
        for model, row in values.items()
        for seed, value in zip(seeds, row, strict=True)
    ]
    found = Table(worlds, fits, MODELS)
    assert found.headroom("wide", Task.PPP).value == pytest.approx(0)
    assert found.headroom("all", Task.PPP).value == pytest.approx((0.06 / 0.3 + 0.05 / 0.25) / 2)
    assert found.headroom("all", Task.PPP).low < 0.2 < found.headroom("all", Task.PPP).high


def test_neighbours_are_compared_and_the_full_network_with_everybody():
    pairs = list(contest.pairs(table(GOOD), Task.CTR))
    assert pairs == [("dssm", "wide"), ("all", "dssm"), ("all", "wide"), ("all", "popularity")]


def test_figures_name_model_measure_and_protocol():
    found = {one.name: one for one in contest.figures(table(GOOD))}
    assert found["table2_all_ctr_auc"].value == pytest.approx(0.71)
    assert "3 worlds" in found["table2_all_over_dssm_ctr_auc"].protocol
    assert found["table2_ceiling_ctr_auc"].value == pytest.approx(0.9)
    assert not any("ppp" in name for name in found), "nobody was asked"


def test_every_figure_says_in_how_many_worlds_it_is_known_and_whether_it_has_an_interval():
    part = table(GOOD)
    del part.worlds[0].others["popularity"]
    few = table({name: row[:2] for name, row in GOOD.items()}, seeds=(1, 2))
    few.worlds[1].others["popularity"] = (Score(measure="ctr_auc", value=0.55),)
    said = [{one.name: one.protocol for one in contest.figures(of)} for of in (part, few)]
    whole, known = "3 worlds; Student's interval over worlds", "2 of 3 worlds; interval over people"
    assert said[0]["table2_all_headroom_ctr_auc"].endswith(f"learnt alone; {whole}")
    for name in ("table2_popularity_ctr_auc", "table2_all_over_popularity_ctr_auc"):
        assert said[0][name].endswith(f"; {known}")
        assert said[1][name].endswith("; 2 worlds; no interval")


def test_a_run_that_was_cut_off_has_its_best_judgement_last():
    def curve(*losses):
        return [
            Step(moments=10 * at, loss=loss, figures={}) for at, loss in enumerate(losses, start=1)
        ]

    cut, spent = curve(0.9, 0.8, 0.7), curve(0.9, 0.7, 0.7, 0.8, 0.9)
    assert contest.stopped([cut]) == "3 of 3"
    assert contest.stopped([spent]) == "2 of 5", "the first of two alike"
    assert contest.stopped([cut, spent]) == "2.5 of 4"
