"""Days unlike those before: several times the volume, or another mix."""

import pytest

from features.quality.abnormal import judge

LIMITS = {"volume_ratio": 2.0, "mix_distance": 0.2}


def day(rows=100, clicks=80):
    return {
        "sum:behaviors.rows": rows,
        "sum:samples.rows": 50,
        "sum:behaviors.type.mix.1": clicks,
        "sum:behaviors.type.mix.4": 100 - clicks,
    }


USUAL = [day(90), day(100), day(110, clicks=78), day(1000)]
"""The fourth was a sale: the median does not mind."""


def test_a_usual_day_is_not_abnormal():
    assert judge(day(120), USUAL, **LIMITS) == ()


@pytest.mark.parametrize(("rows", "ratio"), [(315, 3.0), (35, 1 / 3)])
def test_a_day_of_several_times_the_volume_or_a_fraction_of_it_is(rows, ratio):
    (found,) = judge(day(rows), USUAL, **LIMITS)
    assert found.figure == "behaviors.volume_ratio"
    assert found.value == pytest.approx(ratio)
    assert "times the median of the 4 days before (105)" in found.sentence


def test_a_shifted_mix_is():
    (found,) = judge(day(clicks=50), USUAL, **LIMITS)
    assert (found.figure, found.limit) == ("behaviors.type.mix_distance", 0.2)
    assert found.value == pytest.approx(0.3)
    assert judge(day(clicks=61), USUAL, **LIMITS) == ()


def mix(*shares):
    return {f"sum:samples.scenario.mix.{place}": share for place, share in enumerate(shares)}


def test_usual_shares_add_up_to_one_where_their_medians_do_not():
    before = [mix(50, 50, 0), mix(50, 0, 50), mix(0, 50, 50)]
    assert judge(mix(1, 1, 1), before, **LIMITS) == ()
    (found,) = judge(mix(1, 0, 0), before, **LIMITS)
    assert found.value == pytest.approx(2 / 3)


def test_a_value_that_was_never_there_is_a_shift():
    now = day() | {"sum:behaviors.scenario.mix.4": 100}
    before = [one | {"sum:behaviors.scenario.mix.1": 9} for one in USUAL]
    (found,) = judge(now, before, **LIMITS)
    assert (found.figure, found.value) == ("behaviors.scenario.mix_distance", 1.0)


def test_too_few_days_say_nothing():
    assert judge(day(1000), USUAL[:2], **LIMITS) == ()
    assert judge(day(0), USUAL, **LIMITS)[0].value == 0


def test_a_day_that_nobody_has_judged_is_not_told_of_as_empty():
    assert judge({}, USUAL, **LIMITS) == ()
