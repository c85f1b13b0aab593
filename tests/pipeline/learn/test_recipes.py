"""A line is a recipe: how it is updated, night after night, and by whose settings."""

import json

import pytest

from evaluation.abtest.experiment import Experiment, Recipe
from features.abtest import traffic
from features.abtest.traffic import Traffic
from infra.errors import ConfigError
from infra.registry import Registry
from infra.store import Store
from pipeline import chain, steps
from pipeline.abtest import experiments
from pipeline.learn import learning, recipes
from pipeline.nights import nightly
from pipeline.settings import load
from tests.six_days import DAYS, NIGHT, PAIRS, judge
from tests.training.conftest import write_store

RATE = 0.003


def experiment(name="rival-for-dupn", **recipe):
    said = {"settings": [f"train.learning_rate={RATE}"], **recipe}
    return Experiment.model_validate(
        {
            "id": name,
            "first_day": NIGHT,
            "arms": {"dupn": 0.5, "rival": 0.5},
            "recipes": {"rival": said},
        }
    )


@pytest.fixture(scope="module")
def settings(tmp_path_factory):
    """A champion, its rival (the same model, as a line of its own), and an experiment of both."""
    home = tmp_path_factory.mktemp("recipes")
    store = write_store(home, days=len(DAYS), moments=60)
    for day in DAYS:
        judge(store, day)
    mine = load("smoke", str(home), PAIRS)
    learning.train(mine, DAYS[:4])
    known = registry(mine)
    for line, move in (("dupn", known.promote), ("rival", known.challenge)):
        tags = {"run_key": f"dupn-{DAYS[3]}", "line": line}
        move(known.register(f"file:///{line}", "", tags).number, "a test")
    experiments.start(mine, experiment())
    return mine


def registry(settings):
    return Registry(f"sqlite:///{settings.home}/mlflow/mlflow.db", settings.store)


def named(settings, line):
    return load("smoke", settings.home, [*PAIRS, f"line={line}"])


def test_a_recipe_holds_for_its_line_and_changes_nothing_else(settings):
    rival, own = recipes.of_line(settings, "rival"), recipes.of_line(settings, "dupn")
    assert own == settings
    assert (rival.line, rival.train.learning_rate) == ("rival", RATE)
    same = rival.train.model_copy(update={"learning_rate": settings.train.learning_rate})
    assert rival.model_copy(update={"line": "dupn", "train": same}) == settings


def test_a_recipe_goes_on_from_the_tables_of_the_settings(tmp_path):
    mine = load("demo", str(tmp_path), ["gate.floors={}", "train.weights={}"])
    assert recipes.applied(mine, Recipe()).gate.floors == {}
    made = recipes.applied(
        mine, Recipe(settings=("gate.floors.ctr_auc=0.7", "train.weights.ppp=2"))
    )
    assert (made.gate.floors, made.train.weights) == ({"ctr_auc": 0.7}, {"ppp": 2.0})


def test_a_preset_gives_what_a_line_learns_with_and_not_the_data(settings):
    made = recipes.applied(settings, experiment(preset="demo").recipes["rival"])
    assert made.train.epochs == load("demo").train.epochs != settings.train.epochs
    assert made.train.learning_rate == RATE  # over the preset
    assert made.marketplace == settings.marketplace


@pytest.mark.parametrize(
    ("said", "words"),
    [("marketplace.users=3", "cannot say marketplace.users=3"), ("train.epoch=3", "train.epochs")],
)
def test_what_cannot_be_followed_is_refused_before_it_starts(settings, said, words):
    with pytest.raises(ConfigError, match=words):
        recipes.applied(settings, experiment(settings=[said]).recipes["rival"])


def test_a_recipe_that_listens_to_what_the_samples_do_not_say_is_refused(settings):
    silent = load("paper", settings.home)
    with pytest.raises(ConfigError, match="price_offers has to be in the samples"):
        recipes.applied(silent, experiment(preset="abtest").recipes["rival"])


def test_the_rival_learns_a_night_with_its_recipe(settings):
    done = steps.update(recipes.of_line(settings, "rival"), NIGHT)
    assert (done["run"], done["parent"]) == (f"rival-{NIGHT}", f"dupn-{DAYS[3]}")
    params = registry(settings).client.get_run(done["mlflow_run"]).data.params
    assert params["train.learning_rate"] == str(RATE)


def test_a_night_updates_the_champions_line_whoever_that_is(settings):
    assert recipes.tonight(settings) == settings
    assert recipes.tonight(named(settings, "rival")).line == "rival"  # in place, and asked for
    registry(settings).promote("2", "it has won")
    assert recipes.tonight(settings).line == "rival"
    assert recipes.tonight(settings).train.learning_rate == RATE
    assert recipes.tonight(named(settings, "dupn")).line == "rival"  # it was champion
    with pytest.raises(ConfigError, match=r"neither .* \(rival\) nor .* \(there is none\)"):
        recipes.tonight(named(settings, "other"))
    registry(settings).challenge("1", "back as the rival")
    assert recipes.tonight(settings).line == "rival"
    assert recipes.tonight(named(settings, "dupn")).line == "dupn"


def test_a_recipe_that_is_not_taken_any_more_says_whose_it_is(settings, monkeypatch):
    recipe = Recipe(settings=("train.weights.ctr=-0.1",))
    monkeypatch.setattr(recipes, "declared", lambda *_: recipe)
    with pytest.raises(
        ConfigError, match=r"recipe of line rival: .* a newer one that has a recipe"
    ):
        recipes.of_line(settings, "rival")


def begun(store, name, content=None):
    """An experiment of `dupn` and `rival` that has ended; its declaration may be lost."""
    assert traffic.take_turn(store, Traffic(experiment=name, salt=name, shares=experiment().arms))
    traffic.end(store, name, {"outcome": "stop", "day": str(NIGHT)})
    if content is not None:
        store.put(f"experiments/{name}/experiment.json", json.dumps({"experiment": content}))


@pytest.mark.parametrize(
    ("recipes_of_older", "instead"),
    [({"rival": {"settings": []}}, "with that of experiment older"), ({}, "without")],
)
def test_a_lost_declaration_that_may_hold_a_lines_recipe_is_warned_of(
    tmp_path, caplog, recipes_of_older, instead
):
    store = Store(str(tmp_path))
    begun(store, "older", {"recipes": recipes_of_older})
    begun(store, "newer")
    begun(store, "newest", {"recipes": {}})
    assert (recipes.declared(store, "rival") is not None) == bool(recipes_of_older)
    assert caplog.messages == [
        "experiments/newer/experiment.json is gone, which may have held the recipe of line rival: "
        f"it is updated {instead}. Take it from a backup."
    ]
    recipes.declared(store, "other")  # was no arm of it
    assert len(caplog.messages) == 1


def test_a_night_of_a_line_that_no_night_updates_is_refused_before_it_begins(settings):
    words = r"line = 'other' is neither the champion's line \(rival\) nor the challenger's \(dupn\)"
    for leave_out in (True, False):
        with pytest.raises(ConfigError, match=words):
            chain._night(named(settings, "other"), NIGHT, leave_out=leave_out, take_over=False)
    assert nightly.read(named(settings, "other"), NIGHT) is None


@pytest.mark.parametrize("step", ["evaluate", "gate", "promote", "bundle"])
def test_a_step_by_hand_has_the_settings_of_its_runs_line(settings, dupn, monkeypatch, step):
    found = given(settings, dupn, monkeypatch, step, "--run", f"rival-{NIGHT}")
    assert found == ("rival", RATE)


@pytest.mark.parametrize("step", ["update", "evaluate", "watch"])
def test_where_none_is_named_it_has_those_of_the_champions_line(settings, dupn, monkeypatch, step):
    line = registry(settings).champion().tags["line"]
    assert given(settings, dupn, monkeypatch, step) == (line, rate(settings, line))


@pytest.mark.parametrize("step", ["update", "evaluate", "watch"])
def test_a_line_that_is_named_is_obeyed_by_a_step_by_hand(settings, dupn, monkeypatch, step):
    found = given(named(settings, "rival"), dupn, monkeypatch, step)
    assert found == ("rival", RATE)


def rate(settings, line):
    return RATE if line == "rival" else settings.train.learning_rate


def given(settings, dupn, monkeypatch, step, *said):
    """Line and rate with which a command calls its step."""
    seen = []

    def take(settings, *_, **__):
        seen.append((settings.line, settings.train.learning_rate))
        return {"promoted": True}

    monkeypatch.setattr(steps, step, take)
    pairs = [*PAIRS, *([f"line={settings.line}"] if "line" in settings.model_fields_set else [])]
    options = [part for pair in pairs for part in ("--set", pair)]
    home = ["--preset", "smoke", "--home", settings.home]
    code, _, err = dupn(*home, *options, step, "--day", NIGHT, *said)
    assert code == 0, err
    return seen[0]
