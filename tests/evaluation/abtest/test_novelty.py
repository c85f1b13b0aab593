from datetime import timedelta

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from evaluation.abtest import novelty
from evaluation.abtest.always_valid import steady
from evaluation.abtest.effect import FEWEST, Bounds, compare, contrasts
from evaluation.abtest.ratios import METRICS
from evaluation.abtest.sufficient import READOUT, UserDays, exposed, user_days
from tests.evaluation.abtest.rows import ARMS, FIRST, readout

DAYS = 7
CTR = METRICS["ctr"]


def days_of(table, days=DAYS):
    last = FIRST + timedelta(days=days - 1)
    users = exposed(table, ARMS, FIRST, last).users
    return user_days(table, ARMS, users, (FIRST, last), ("clicks", "impressions", "sales", ""))


def fading(table, seed=0):
    """The treatment's clicks lose a tenth of what is left each day."""
    day = np.array([(d - FIRST).days for d in table["day"].to_pylist()])
    clicks = table["clicks"].to_numpy()
    share = np.where(np.array(table["arm"].to_pylist()) == "new", 0.9**day, 1.0)
    kept = np.random.default_rng(seed).binomial(clicks, share)
    return with_clicks(table, kept)


@pytest.mark.parametrize("name", ["ctr", "sales"])
def test_a_days_uplift_is_the_uplift_of_that_day_alone(name):
    table = readout(users=1000, days=DAYS)
    found = novelty.by_day(days_of(table), METRICS[name]).days[2]
    third = FIRST + timedelta(days=2)
    users = exposed(table, ARMS, third, third).users
    metric = METRICS[name]
    part, whole = users.column(metric.part), users.column(metric.whole)
    alone = contrasts(part, whole, users.arm == 1).log_uplift
    assert found.users == len(users)
    assert np.log1p(found.uplift.value) == pytest.approx(alone.value)
    reach = np.log1p(found.uplift.fixed_high) - np.log1p(found.uplift.value)
    assert reach / 1.959964 == pytest.approx(alone.error)


def test_a_fading_effect_is_found():
    found = novelty.by_day(days_of(fading(readout(users=4000, days=DAYS))), CTR)
    assert found.trend == pytest.approx(np.log(0.9), abs=4 * found.error)
    assert found.p < 0.001
    assert [day.number for day in found.days] == [1, 2, 3, 4, 5, 6, 7]


def test_the_trend_is_the_slope_of_the_days_weighted_by_what_each_knows():
    found = novelty.by_day(days_of(readout(users=1000, days=DAYS)), CTR)
    at = np.log1p([day.uplift.value for day in found.days])
    reach = np.log1p([day.uplift.fixed_high for day in found.days]) - at
    assert found.trend == pytest.approx(np.polyfit(np.arange(DAYS), at, 1, w=1 / reach)[0])


def test_the_trends_error_is_that_of_a_bootstrap_of_users():
    table = readout(users=600, days=DAYS)
    rows = days_of(table)
    found = novelty.by_day(rows, CTR)
    rng, trends = np.random.default_rng(0), []
    edges = np.searchsorted(rows.place, np.arange(rows.number + 1))
    for _ in range(300):
        drawn = rng.integers(0, rows.number, rows.number)
        pieces = [np.arange(edges[user], edges[user + 1]) for user in drawn]
        which = np.concatenate(pieces)
        place = np.repeat(np.arange(rows.number), [len(piece) for piece in pieces])
        sums = {name: column[which] for name, column in rows.sums.items()}
        again = UserDays(place, rows.day[which], rows.arm[which], sums, rows.number)
        trends.append(novelty.by_day(again, CTR).trend)
    assert found.error == pytest.approx(np.std(trends), rel=0.15)


def with_few_on_the_third(table):
    """Of the treatment 149 users come that day, and they click on everything."""
    third = pc.equal(table["day"], FIRST + timedelta(days=2)).to_numpy()
    new = np.array([arm == "new" for arm in table["arm"].to_pylist()])
    late = np.flatnonzero(third & new)
    table = with_clicks(table, np.where(third & new, table["impressions"], table["clicks"]))
    kept = np.ones(len(third), bool)
    kept[late[FEWEST - 1 :]] = False
    return table.filter(pa.array(kept))


def with_clicks(table, clicks):
    place = READOUT.get_field_index("clicks")
    return table.set_column(place, READOUT.field("clicks"), pa.array(clicks))


@pytest.mark.parametrize("name", ["ctr", "sales"])
def test_a_day_of_few_users_has_no_interval(name):
    found = novelty.by_day(days_of(with_few_on_the_third(readout(days=DAYS))), METRICS[name])
    known = [day.uplift.fixed_low is not None for day in found.days]
    assert known == [day.uplift.fixed_high is not None for day in found.days]
    assert [n for n, one in enumerate(known, 1) if not one] == [3]
    assert found.days[2].uplift.value is not None


def test_a_day_of_few_users_has_no_part_in_the_trend():
    table = readout(days=DAYS)
    few = with_few_on_the_third(table)
    gone = few.filter(pc.not_equal(few["day"], FIRST + timedelta(days=2)))
    found, without = (novelty.by_day(days_of(rows), CTR) for rows in (few, gone))
    assert (found.trend, found.error) == pytest.approx((without.trend, without.error))
    assert novelty.by_day(days_of(readout(users=290, days=DAYS)), CTR).trend is None


def with_nothing_on_the_third(table):
    """Nobody of the treatment clicks or buys that day."""
    third = pc.equal(table["day"], FIRST + timedelta(days=2)).to_numpy()
    new = np.array([arm == "new" for arm in table["arm"].to_pylist()])
    for name in ("clicks", "orders", "sales"):
        place, field = READOUT.get_field_index(name), READOUT.field(name)
        kept = np.where(third & new, 0, table[name].to_numpy())
        table = table.set_column(place, field, pa.array(kept, field.type))
    return table


@pytest.mark.parametrize("name", ["ctr", "sales"])
def test_a_day_on_which_the_treatment_has_nothing_is_minus_100_per_cent(name):
    table, third = with_nothing_on_the_third(readout(days=DAYS)), FIRST + timedelta(days=2)
    found = novelty.by_day(days_of(table), METRICS[name], alpha=0.02)
    users = exposed(table, ARMS, third, third).users
    whole = compare(users, METRICS[name], steady(0.02, DAYS), adjusted=False).uplift
    assert found.days[2].uplift == whole.model_copy(update={"low": None, "high": None})
    assert found.days[2].uplift.fixed_high < 0


@pytest.mark.parametrize("name", ["ctr", "sales"])
def test_a_day_on_which_the_treatment_has_nothing_has_no_part_in_the_trend(name):
    table = with_nothing_on_the_third(readout(days=DAYS))
    gone = table.filter(pc.not_equal(table["day"], FIRST + timedelta(days=2)))
    found, without = (novelty.by_day(days_of(rows), METRICS[name]) for rows in (table, gone))
    assert (found.trend, found.error) == pytest.approx((without.trend, without.error))


def test_a_day_of_few_users_who_have_nothing_has_no_interval():
    found = novelty.by_day(days_of(with_nothing_on_the_third(readout(users=60, days=DAYS))), CTR)
    assert found.days[2].uplift == Bounds(value=-1.0)


@pytest.mark.parametrize("both", [False, True])
def test_a_day_on_which_the_control_has_nothing_has_no_uplift(both):
    table = with_nothing_on_the_third(readout(days=DAYS))
    third = pc.equal(table["day"], FIRST + timedelta(days=2)).to_numpy()
    clicks = np.where(third & both, 0, table["clicks"].to_numpy())
    swapped = pc.if_else(pc.equal(table["arm"], "new"), "old", "new")
    found = novelty.by_day(days_of(with_clicks(table.set_column(1, "arm", swapped), clicks)), CTR)
    assert found.days[2].uplift == Bounds(value=None)


def test_a_trend_is_said_as_uplifts_are():
    found = novelty.by_day(days_of(fading(readout(users=4000, days=DAYS))), CTR)
    assert found.change == pytest.approx(np.exp(found.trend) - 1)
    assert novelty.Novelty(metric="ctr", days=(), trend=None).change is None


def test_two_days_make_no_trend():
    table = readout(users=300, days=2)
    found = novelty.by_day(days_of(table, 2), CTR)
    assert found.trend is None
    assert len(found.days) == 2


def test_no_rows_are_no_days():
    assert novelty.by_day(days_of(READOUT.empty_table()), CTR).days == ()
