"""Which days are simulated without being asked for: never one beside or after a real one."""

from datetime import date, timedelta

import pytest

from infra.errors import ConfigError, InputError, PartitionMissing
from pipeline import chain, steps
from pipeline.abtest import simulated
from pipeline.days import span
from pipeline.nights import nightly
from pipeline.raw import simulated_days
from pipeline.settings import load
from tests import nights
from tests.evaluation.marketplace.test_own import import_day

FIRST = date(2026, 3, 2)
ONE = timedelta(days=1)
WANTED = span(FIRST, 5)


@pytest.fixture
def settings(tmp_path):
    return nights.settings(tmp_path / "home")


def stamps(settings):
    days = settings.store.days("raw", "behaviors")
    return {day: settings.store.partition("raw", day, "behaviors").stamp() for day in days}


def ready(settings, day):
    return nightly.look(settings, day, timedelta()).ready


def test_the_night_after_a_simulated_day_is_simulated(settings):
    steps.simulate(settings, FIRST, 1)
    assert nightly.look(settings, FIRST + ONE, timedelta()).sentence.endswith("simulated next.")
    assert steps.raw(settings, FIRST + ONE)["missing"] == []  # a night would wait for nothing
    settings.store.put(f"raw/dt={FIRST + ONE}/impressions/served-1.jsonl", "{}\n")
    assert ready(settings, FIRST + ONE)  # a page of the service makes no day


def test_the_night_after_an_imported_day_waits_for_data(settings, tmp_path):
    import_day(settings.store, FIRST, tmp_path)
    seen = nightly.look(settings, FIRST + ONE, timedelta())
    assert not seen.ready
    assert "behaviors not there. So far: nothing" in seen.sentence
    with pytest.raises(PartitionMissing, match="behaviors not there"):
        chain.nightly(settings, FIRST + ONE)
    assert settings.store.days("raw", "behaviors") == [FIRST]


def test_a_simulated_day_whose_rows_were_replaced_is_not_gone_on_from(settings, tmp_path):
    steps.simulate(settings, FIRST, 1)
    settings.store.partition("raw", FIRST, "behaviors").take_back()
    import_day(settings.store, FIRST, tmp_path)
    assert not ready(settings, FIRST + ONE)


def test_a_day_that_somebody_has_begun_to_send_is_waited_for(settings):
    steps.simulate(settings, FIRST, 1)
    settings.store.put(f"raw/dt={FIRST + ONE}/items/items.csv", "item_id\n1\n")
    assert not ready(settings, FIRST + ONE)


def test_an_initial_run_simulates_what_is_missing_and_keeps_the_rest(settings):
    assert simulated_days.stretches(settings, WANTED) == [(FIRST, 5)]
    steps.simulate(settings, FIRST, 5)
    at_once = stamps(settings)
    assert simulated_days.stretches(settings, WANTED) == []
    gone = [FIRST + ONE, FIRST + 3 * ONE, FIRST + 4 * ONE]
    for day in gone:
        settings.store.partition("raw", day, "behaviors").take_back()
    found = simulated_days.stretches(settings, WANTED)
    assert found == [(FIRST + ONE, 1), (FIRST + 3 * ONE, 2)]
    for first, days in found:
        steps.simulate(settings, first, days)
    assert stamps(settings) == at_once


def test_an_initial_run_after_a_gap_is_refused_before_anything_is_made(settings):
    steps.simulate(settings, FIRST, 1)
    steps.events(settings, FIRST)
    later = FIRST + 9 * ONE
    assert simulated_days.stretches(settings, span(later, 2)) == []
    with pytest.raises(PartitionMissing, match=rf"raw/dt={later}/behaviors has no files"):
        chain.initial(settings, later, 1)
    assert settings.store.days("raw", "behaviors") == [FIRST]


def test_real_days_after_a_gap_are_refused_naming_the_day_to_begin_on(settings, tmp_path):
    import_day(settings.store, FIRST, tmp_path)
    steps.events(settings, FIRST)
    for place in (9, 10):
        import_day(settings.store, FIRST + place * ONE, tmp_path)
    with pytest.raises(PartitionMissing, match=f"Begin on {FIRST + ONE} at the latest, or in"):
        steps.data_days(settings, FIRST + 9 * ONE, FIRST + 10 * ONE)
    assert steps.data_days(settings, FIRST, FIRST) == [FIRST]


@pytest.mark.parametrize("place", [-40, 0, 2, 4, 9])
def test_an_initial_run_beside_real_days_simulates_nothing(settings, tmp_path, place):
    import_day(settings.store, FIRST + place * ONE, tmp_path)
    assert simulated_days.stretches(settings, WANTED) == []
    with pytest.raises(PartitionMissing, match="behaviors has no files under"):
        chain.initial(settings, FIRST, 4)
    assert settings.store.days("raw", "behaviors") == [FIRST + place * ONE]


def test_a_run_names_files_that_it_does_not_read_for_their_suffix(settings):
    settings.store.put(f"raw/dt={FIRST}/behaviors/log.xlsx", "x")
    with pytest.raises(PartitionMissing, match=r"not read for their suffix: log\.xlsx"):
        steps.data_days(settings, FIRST, FIRST + ONE)


def test_the_last_day_of_an_initial_run_is_named_as_the_one_to_evaluate_on(settings, tmp_path):
    for place in range(3):
        import_day(settings.store, FIRST + place * ONE, tmp_path)
    with pytest.raises(PartitionMissing) as told:
        chain.initial(settings, FIRST, 3)
    evaluated = "the day that the model is evaluated on, after 3 to train on"
    fewer = "`--days 2`, in the form Days to train on = 2,"
    assert f"{evaluated}: with {fewer} that is {FIRST + 2 * ONE}." in str(told.value)
    assert f"Raw days that are there: {FIRST} to {FIRST + 2 * ONE} (3)." in str(told.value)
    assert steps.data_days(settings, FIRST, FIRST + 2 * ONE) == WANTED[:3]


def test_an_initial_run_that_begins_too_early_names_the_days_that_are_there(settings, tmp_path):
    with pytest.raises(PartitionMissing, match=r"that are there: none\."):
        steps.data_days(settings, FIRST, FIRST + ONE)
    for place in range(2):
        import_day(settings.store, FIRST + place * ONE, tmp_path)
    with pytest.raises(PartitionMissing, match=rf"there: {FIRST} to {FIRST + ONE} \(2\)\."):
        chain.initial(settings, FIRST - ONE, 1)


def test_nothing_goes_on_from_a_day_whose_end_was_not_kept(settings):
    steps.simulate(settings, FIRST, 2)
    settings.store.partition("truth", FIRST + ONE, "state").take_back()
    assert simulated_days.stretches(settings, WANTED) == []
    assert not ready(settings, FIRST + 2 * ONE)


def test_an_experiment_does_not_live_on_after_a_real_day(settings, tmp_path):
    import_day(settings.store, FIRST, tmp_path)
    arms = {"policy": "policy", "again": "policy"}
    shares = dict.fromkeys(arms, 0.5)
    wanted = simulated.Wanted(days=1, first=FIRST + ONE, arms=arms, shares=shares, salt="x")
    with pytest.raises(InputError, match="has not made them"):
        simulated.run(settings, wanted)


def test_a_home_without_a_place_for_mlflow_is_refused_before_a_day_is_simulated():
    mine = load("smoke", "memory://no-mlflow")
    with pytest.raises(ConfigError, match=r"tracking\.uri is not set"):
        chain.initial(mine, FIRST, 1)
    assert mine.store.names("") == []
