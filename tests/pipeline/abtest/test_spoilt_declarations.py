"""A declaration of an experiment that is over cannot be read: what needs it, and what does not."""

import json
from pathlib import Path

import pytest

from features.abtest import traffic
from infra.errors import ConfigError, RecordCorrupt
from pipeline.abtest import experiments
from pipeline.learn import recipes
from tests import experiment_log as logs
from tests.experiment_log import FIRST, NEW, OLD

LATER = FIRST + logs.timedelta(days=20)
SPOILT = ["", "{}", '{"experiment": {}, "at": 3}', '{"experiment": 1, "at": ""}', "[]"]


def declare(mine, trial):
    content = {"experiment": trial.model_dump(mode="json"), "at": "then"}
    mine.store.put(traffic.key(trial.id, "experiment"), json.dumps(content))
    traffic.take_turn(mine.store, trial.traffic)


@pytest.fixture(params=SPOILT)
def mine(request, tmp_path):
    """An experiment that runs, after one of other lines whose declaration is spoilt."""
    mine = logs.settings(tmp_path)
    declare(mine, logs.experiment("past", arms={"a": 0.5, "b": 0.5}))
    traffic.end(mine.store, "past", {"day": str(FIRST), "outcome": "stop"})
    mine.store.put(traffic.key("past", "experiment"), request.param)
    recipe = {NEW: {"settings": ["train.epochs=2"]}}
    declare(mine, logs.experiment("now", first_day=LATER, recipes=recipe))
    return mine


def test_it_has_a_row_that_says_so_and_the_others_have_theirs(mine):
    past, now = experiments.listing(mine)
    assert (past["id"], past["state"]) == ("past", "not known")
    assert past["note"].startswith("experiments/past/experiment.json cannot be read (")
    assert (now["id"], now["state"]) == ("now", "running")
    Path(mine.home, traffic.key("past", "experiment")).unlink()
    assert [one["id"] for one in experiments.listing(mine)] == ["past", "now"]


def test_a_day_after_its_end_needs_it_not(mine):
    assert experiments.of_day(mine.store, LATER - logs.timedelta(days=1)) == ""
    assert experiments.of_day(mine.store, LATER) == "now"
    with pytest.raises(RecordCorrupt, match=r"past/experiment\.json cannot be read .* backup"):
        experiments.of_day(mine.store, FIRST)


def test_a_night_of_a_line_that_was_no_arm_of_it_needs_it_not(mine):
    assert recipes.declared(mine.store, NEW).settings == ("train.epochs=2",)
    assert recipes.declared(mine.store, OLD) is None


def test_a_night_of_its_line_says_what_a_person_may_do_and_goes_on_once_that_is_done(mine):
    said = (
        r"experiments/past/experiment.json cannot be read \(.*\). Take it from a backup: it may "
        "hold a recipe, by which line a is updated. Without one, remove the file"
    )
    with pytest.raises(RecordCorrupt, match=said):
        recipes.declared(mine.store, "a")
    Path(mine.home, traffic.key("past", "experiment")).unlink()
    assert recipes.declared(mine.store, "a") is None


def test_an_experiment_whose_folder_was_pruned_stops_no_later_day_and_no_later_experiment(tmp_path):
    mine = logs.settings(tmp_path)
    traffic.take_turn(mine.store, logs.experiment().traffic)
    with pytest.raises(ConfigError, match="'new-for-old' is not registered"):
        experiments.of_day(mine.store, FIRST)  # its split is there, so it may run
    mine.store.remove(traffic.key("new-for-old", "traffic"))
    assert experiments.of_day(mine.store, FIRST) == ""
