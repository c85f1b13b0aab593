"""A look, and what is concluded from it, rests on events as they are published now."""

import re
import shutil
from datetime import timedelta

import pytest

from features.abtest import traffic
from infra.errors import ConfigError, PartitionMissing
from pipeline import steps
from pipeline.abtest import experiments, looks, reporting, verdicts
from pipeline.release import standing
from tests import experiment_log as logs
from tests.experiment_log import FIRST, Shop

ID = "new-for-old"
EVE = FIRST - timedelta(days=1)
ANEW = f"Run `dupn abtest readout --id {ID} --day {FIRST}` first."


@pytest.fixture(scope="module")
def judged(tmp_path_factory):
    """A day of an experiment whose challenger is better, read out and looked at."""
    made = logs.settings(tmp_path_factory.mktemp("judged"))
    logs.live(made, logs.experiment(), Shop(effect=2.0), 0)
    logs.lines(made)
    experiments.start(made, logs.experiment())
    logs.live(made, logs.experiment(), Shop(effect=2.0), 1, since=0)
    looks.readout(made, ID, FIRST)
    assert verdicts.verdict(made, ID, FIRST)["outcome"] == "ship"
    return logs.Path(made.home)


@pytest.fixture
def mine(judged, tmp_path):
    """A home of its own, which goes on from there."""
    return logs.settings(shutil.copytree(judged, tmp_path / "home"))


def again(mine, day, shop):
    """The day is delivered and made once more."""
    logs.write(logs.Path(mine.home), day, logs.experiment(), shop)
    steps.events(mine, day)


def known_before(mine):
    return sum(looks.place(mine.store, ID, "before").table()["pre_impressions"].to_pylist())


def test_a_day_that_was_made_again_is_read_out_and_judged_again_before_anything_moves(mine):
    again(mine, FIRST, Shop(effect=1.0))
    for ask in (verdicts.verdict, verdicts.conclude):
        with pytest.raises(PartitionMissing, match=re.escape(ANEW)) as caught:
            ask(mine, ID, FIRST)
        assert f"rests on events/dt={FIRST}" in str(caught.value)
    looks.readout(mine, ID, FIRST)
    with pytest.raises(PartitionMissing, match="Run `dupn abtest verdict --id new-for-old --day"):
        verdicts.conclude(mine, ID, FIRST)
    assert verdicts.verdict(mine, ID, FIRST)["outcome"] != "ship"
    assert verdicts.conclude(mine, ID, FIRST)["outcome"] != "ship"


def test_a_page_looks_again_at_a_day_that_was_read_out_again_since_its_verdict(mine):
    """Else its Table 3 shows the new data, and its confidence sequence the old."""
    old, late = verdicts.read_look(mine.store, ID, FIRST), FIRST + timedelta(days=1)
    again(mine, FIRST, Shop(effect=1.0))
    logs.live(mine, logs.experiment(), Shop(effect=2.0), 2, since=1)
    for day in (FIRST, late):
        looks.readout(mine, ID, day)
    trial = experiments.find(mine.store, ID)
    first, last = reporting.made(mine, trial, late).looks
    assert first == looks.look(mine, trial.experiment, FIRST)
    assert first.primary.uplift.value < old.primary.uplift.value
    assert last == verdicts.look_of_now(mine.store, trial.experiment, late)
    verdicts.verdict(mine, ID, FIRST)
    assert verdicts.look_of_now(mine.store, trial.experiment, FIRST) == first


def test_a_day_before_that_was_made_again_is_remembered_anew(mine):
    known = known_before(mine)
    again(mine, EVE, Shop(pages=4))
    with pytest.raises(PartitionMissing, match=re.escape(ANEW)):
        verdicts.verdict(mine, ID, FIRST)
    looks.readout(mine, ID, FIRST)
    assert known_before(mine) > known
    assert verdicts.verdict(mine, ID, FIRST)["outcome"] == "ship"


def test_what_was_swept_is_not_asked_and_what_rests_on_it_stays_as_it_is(mine):
    known = known_before(mine)
    for name in ("behaviors", "impressions"):
        mine.store.partition("events", EVE - timedelta(days=1), name).remove()
    again(mine, EVE, Shop(pages=4))
    looks.readout(mine, ID, FIRST)
    assert known_before(mine) == known
    assert verdicts.verdict(mine, ID, FIRST)["outcome"] == "ship"


def looked_at_on(mine, day, shop):
    """The experiment goes on for a day, which is read out and judged."""
    number = (day - FIRST).days
    logs.live(mine, logs.experiment(), shop, number + 1, since=number)
    looks.readout(mine, ID, day)
    return verdicts.verdict(mine, ID, day)


def by_window(mine, minutes):
    """The same home, whose window has changed."""
    return logs.settings(mine.home, f"sequences.window_minutes={minutes}")


def test_days_of_two_attribution_windows_are_not_looked_at_together(mine):
    late, short = FIRST + timedelta(days=1), by_window(mine, 30)
    logs.live(mine, logs.experiment(), Shop(effect=2.0), 2, since=1)
    looks.readout(short, ID, late)
    apart = (
        rf"dt={FIRST} was read out with an attribution window of 60 minutes .*dt={late} with 30\. "
        rf"{re.escape(ANEW[:-7])} first, and .* set it back, and read {late} out again\."
    )
    for each in (mine, short):
        with pytest.raises(PartitionMissing, match=apart):
            verdicts.verdict(each, ID, late)
        with pytest.raises(PartitionMissing, match=apart):  # nor does the next one's plan take them
            looks.traffic(each, ID)
    looks.readout(short, ID, FIRST)
    assert verdicts.verdict(short, ID, late)["final"]
    assert len(looks.traffic(short, ID).traffic.users) == 2
    for day in (FIRST, late):
        looks.readout(mine, ID, day)
    assert verdicts.verdict(mine, ID, late)["final"]


def test_a_pre_period_of_another_window_is_remembered_anew_where_it_can_be(mine):
    before = looks.place(mine.store, ID, "before")
    known, short = before.manifest(), by_window(mine, 1)
    looks.readout(short, ID, FIRST)
    windows = [one.lineage["window_ms"] for one in (known, before.manifest())]
    assert windows == [3_600_000, 60_000]
    assert before.stamp() != known.stamp
    looks.readout(mine, ID, FIRST)
    assert before.stamp() == known.stamp
    for name in ("behaviors", "impressions"):
        mine.store.partition("events", EVE - timedelta(days=1), name).remove()
    looks.readout(short, ID, FIRST)
    assert before.stamp() == known.stamp


def test_a_verdict_that_a_later_look_has_overtaken_is_not_made_so(mine):
    """A person said no on the first day, and harm was found on the second."""
    late = FIRST + timedelta(days=1)
    assert looked_at_on(mine, late, Shop(effect=0.02))["outcome"] == "stop"
    before = standing.log(mine)
    newest = rf"on {FIRST} is not its newest: {late} says stop \(.*Give `--day {late}`, or `--stop"
    for ask in (verdicts.conclude, verdicts.question):
        with pytest.raises(ConfigError, match=newest):
            ask(mine, ID, FIRST)
    assert standing.log(mine) == before
    assert verdicts.conclude(mine, ID, late)["outcome"] == "stop"
    # Airflow's tasks of the first day may be cleared all the same: nothing moves twice.
    before = standing.log(mine)
    assert verdicts.conclude(mine, ID, FIRST)["moved"] is False
    assert f"{ID} on {FIRST}: ship." in verdicts.question(mine, ID, FIRST)
    assert standing.log(mine) == before


def test_a_conclusion_that_was_cut_off_is_finished_though_a_later_look_was_kept(mine):
    """The champion is the challenger's already; the end of the experiment is still to be noted."""
    done = verdicts.conclude(mine, ID, FIRST)
    logs.Path(mine.home, traffic.key(ID, "ended")).unlink()
    looked_at_on(mine, FIRST + timedelta(days=1), Shop(effect=0.02))
    before = standing.log(mine)
    assert "ship" in verdicts.question(mine, ID, FIRST)
    again = verdicts.conclude(mine, ID, FIRST)
    assert (again["moved"], again["outcome"], again["ledger"]) == (True, "ship", done["ledger"])
    assert standing.log(mine) == before


def test_a_verdict_that_goes_on_says_so_whatever_later_looks_say(tmp_path):
    """A cleared day that concluded nothing concludes nothing again: no task fails."""
    made = logs.settings(tmp_path)
    logs.live(made, logs.experiment(), Shop(), 0)
    logs.lines(made)
    experiments.start(made, logs.experiment())
    assert looked_at_on(made, FIRST, Shop(effect=1.1))["outcome"] == "continue"
    looked_at_on(made, FIRST + timedelta(days=1), Shop(effect=2.0))
    assert verdicts.conclude(made, ID, FIRST)["outcome"] == "continue"


def test_the_days_that_were_looked_at_stay_those_of_an_experiment_that_a_person_ended(mine):
    """Each can be done again; of the days after it, nobody asks for a look."""
    late = FIRST + timedelta(days=1)
    looked_at_on(mine, late, Shop(effect=2.0))
    verdicts.conclude(mine, ID, stop="we moved")
    found = [experiments.of_day(mine.store, FIRST + timedelta(days=n)) for n in range(-1, 4)]
    assert found == ["", ID, ID, "", ""]
    over = [experiments.over_by(mine.store, FIRST + timedelta(days=n)) for n in range(-1, 5)]
    said = f"{ID} was over (stop) before {FIRST + timedelta(days=3)} was looked at"
    assert (over[0], over[4], over[5]) == ("", said, "")
