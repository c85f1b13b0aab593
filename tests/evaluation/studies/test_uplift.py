"""Totals and uplifts by hand."""

import numpy as np
import pytest

from evaluation.marketplace.effects import NAMES, Effects
from evaluation.studies.uplift import Lived, by_class, of_effects, total, uplift


def lived(day=1, clicks=10.0, shown=100.0, sales=50.0, users=4, right=3.0, wrong=1.0, arm="a"):
    bought = np.zeros((8, 8))
    bought[2, 2], bought[2, 5], bought[0, 3], bought[4, 0] = right, wrong, 9.0, 9.0
    sums = dict.fromkeys(NAMES, 0.0) | {"clicks": clicks, "shown": shown, "sales": sales}
    return Lived(world="w", day=day, arm=arm, users=users, sums=sums,
                 bought=tuple(map(tuple, bought.tolist())))  # fmt: skip


def test_ctr_is_clicks_per_item_shown():
    assert lived().ctr == pytest.approx(0.1)
    assert uplift(lived(clicks=12.0), lived(), "ctr") == pytest.approx(0.2)


def test_sales_are_per_user_so_that_arms_of_any_size_compare():
    assert uplift(lived(sales=60.0, users=8), lived(), "sales") == pytest.approx(-0.4)


def test_a_level_that_is_not_known_or_not_said_asks_nothing():
    assert lived().price_precision == pytest.approx(0.75)
    assert uplift(lived(right=4.0, wrong=0.0), lived(), "price_precision") == pytest.approx(1 / 3)


def test_days_add_up_before_they_are_divided():
    both = total([lived(clicks=10.0), lived(day=2, clicks=0.0, shown=300.0)])
    assert both.ctr == pytest.approx(10 / 400)
    assert both.bought[2][2] == pytest.approx(6.0)


def test_recall_and_precision_of_a_price_level():
    recall, precision = by_class(lived())
    assert recall[1] == pytest.approx(1.0)
    assert precision[1] == pytest.approx(0.75)
    assert recall[4] == 0.0
    assert np.isnan(precision[4])  # level 5 was never said


def test_effects_are_summed_by_arm():
    effects = Effects.none(3, arms=2)
    effects.by_user["clicks"][:] = (1.0, 2.0, 4.0)
    effects.by_user["shown"][:] = 10.0
    effects.bought[1, 3, 3] = 5.0
    one, two = of_effects(effects, np.array([0, 1, 0], np.int8), ["old", "new"], "split", 4)
    assert (one.arm, one.users, one.sums["clicks"], one.ctr) == ("old", 2, 5.0, 0.25)
    assert (two.arm, two.users, two.sums["clicks"]) == ("new", 1, 2.0)
    assert two.price_precision == 1.0
    assert np.isnan(one.price_precision)
