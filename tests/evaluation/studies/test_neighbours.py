"""Neighbouring rows of Table 2, held against SciPy and a correction by hand."""

import numpy as np
import pytest
from scipy import stats

from evaluation.bootstrap import Interval
from evaluation.multiple import holm
from evaluation.studies.neighbours import TOO_FEW, goals, neighbours, over_all, p_of
from tests.evaluation.studies.test_contest import GOOD, table
from training.config import Task


def test_rows_are_compared_with_the_nearest_one_above_that_answers():
    found = neighbours(table(GOOD))
    assert [(one.row, one.against, one.task) for one in found] == [
        ("dssm", "wide", Task.CTR), ("all", "dssm", Task.CTR),
    ]  # fmt: skip
    alone = neighbours(table({"wide": GOOD["wide"], "all": GOOD["all"]}))
    assert [(one.row, one.against) for one in alone] == [("all", "wide")]


def test_the_full_network_is_compared_with_every_other_row_that_answers():
    found = over_all(table(GOOD))
    assert [(one.row, one.against, one.task) for one in found] == [
        ("all", "wide", Task.CTR), ("all", "dssm", Task.CTR),
    ]  # fmt: skip
    plain = [stats.ttest_rel(GOOD["all"], GOOD[one.against]).pvalue for one in found]
    assert [one.holm for one in found] == pytest.approx(holm(plain))


def test_its_p_is_that_of_a_paired_t_test_over_worlds():
    (one,) = neighbours(table({"wide": GOOD["wide"], "all": GOOD["all"]}))
    assert one.holm == pytest.approx(stats.ttest_rel(GOOD["all"], GOOD["wide"]).pvalue)
    assert one.clear


def test_ps_are_corrected_together_for_their_number():
    three = pytest.approx(0.03), pytest.approx(0.06), pytest.approx(0.06)
    assert holm([0.01, None, 0.04, 0.03]) == [three[0], None, *three[1:]]
    dssm = (0.66, 0.66, 0.70)
    found = [one.holm for one in neighbours(table({**GOOD, "dssm": dssm}))]
    plain = [stats.ttest_rel(*pair).pvalue for pair in ((dssm, GOOD["wide"]), (GOOD["all"], dssm))]
    assert min(found) == pytest.approx(2 * min(plain))


def test_what_is_clear_alone_may_not_be_clear_among_many():
    assert [one < 0.05 for one in holm([0.02, 0.5, 0.6])] == [False, False, False]


def test_two_worlds_have_no_p():
    few = neighbours(table({name: row[:2] for name, row in GOOD.items()}, seeds=(1, 2)))
    assert all(one.holm is None and not one.clear for one in few)
    assert p_of(Interval(0.1, 0.1, 0.1, 0.0), 5) is None
    assert p_of(Interval(np.nan), 5) is None


@pytest.mark.parametrize(
    ("dssm", "said"),
    [
        ((0.630, 0.651, 0.639), "clearly above every other model."),
        ((0.80, 0.821, 0.809), "clearly above wide; clearly below dssm; against dssm it stands at"),
        ((0.69, 0.73, 0.71), "clearly above wide; not told apart from dssm; against dssm"),
    ],
)
def test_the_goal_says_who_is_clearly_above_and_below(dssm, said):
    values = {"wide": (0.601, 0.62, 0.61), "dssm": dssm, "all": GOOD["all"]}
    sentences = goals(table(values))
    assert said in sentences[0]
    assert "corrected for all 2 comparisons" in sentences[1]
    assert "52% (46% to 59%) of the attainable headroom; the goal" in sentences[2]


def test_an_interval_of_one_pair_makes_nothing_clear():
    """Both are clear of zero alone (p 0.037), and neither when they are asked together."""
    lower = (0.69, 0.713, 0.705)
    both = table({"wide": lower, "dssm": lower, "all": GOOD["all"]})
    assert both.over("all", "wide", Task.CTR).low > 0
    assert "the full network is not told apart from wide, dssm" in goals(both)[0]


@pytest.mark.parametrize("seeds", [(1,), (1, 2)])
def test_where_worlds_are_too_few_for_a_p_no_row_is_called_level_and_no_number_is_made_up(seeds):
    few = table({name: row[: len(seeds)] for name, row in GOOD.items()}, seeds=seeds)
    clicks, *rest = goals(few)
    assert f"is not judged ({TOO_FEW}) against wide, dssm; against dssm it stands" in clicks
    assert not any(word in clicks for word in ("not told apart", "clearly", "nan"))
    assert not any("Holm" in one for one in rest)


def test_a_gap_without_an_interval_is_told_without_one():
    few = table({name: row[:1] for name, row in GOOD.items()}, seeds=(1,))
    bare = [fit.model_copy(update={"scores": tuple(
        one.model_copy(update={"replicates": ()}) for one in fit.scores
    )}) for fit in few.fits]  # fmt: skip
    assert goals(type(few)(few.worlds, bare, few.models))[0].endswith(" it stands at +0.0700.")
