"""A training run in MLflow says which settings made its data, and nothing that logs in."""

import json
from datetime import date, timedelta

import pytest

from infra.registry import Registry
from infra.tracking import MlflowTracker
from pipeline import steps
from pipeline.learn import learning, tracked
from pipeline.learn.tracked import TrainingTracker
from pipeline.settings import Settings, load
from tests.six_days import PAIRS, judge
from tests.training.conftest import write_store

FIRST = date(2026, 3, 2)
DAYS = [FIRST + timedelta(days=n) for n in range(3)]
SECRETS = [
    "serve.token=hush",
    'alerts.webhook="https://hooks/hush"',
    "alerts.smtp_user=hush",
    'beam.options=["--s3_secret_access_key=hush"]',
    "tracking.artifacts=s3://me:hush@bucket/artifacts",
]


@pytest.fixture(scope="module")
def settings(tmp_path_factory):
    """A champion of two days and a night's update of it."""
    home = tmp_path_factory.mktemp("tracked")
    store = write_store(home, days=3, moments=60)
    for day in DAYS:
        judge(store, day)
    made = load("smoke", str(home), [*PAIRS, "samples.negatives=uniform", "line=rival"])
    learning.train(made, DAYS[:2])
    registry = Registry(f"sqlite:///{home}/mlflow/mlflow.db", store)
    tags = {"run_key": f"rival-{DAYS[1]}", "line": "rival"}
    registry.promote(registry.register("file:///rival", "", tags).number, "a test")
    steps.update(made, DAYS[2])
    return made


def recorded(settings, run_id):
    """Params of a run, and its file of settings."""
    client = MlflowTracker(settings.tracking, settings.store).client
    run = client.get_run(run_id)
    place = run.info.artifact_uri.removeprefix("file://")
    with open(f"{place}/{tracked.FILE}", encoding="utf-8") as file:  # noqa: PTH123  # a URI's path
        return run.data.params, json.load(file)


@pytest.mark.parametrize("day", DAYS[1:], ids=["initial", "night"])
def test_a_training_run_says_which_settings_made_its_data(settings, day):
    run_id = learning.of_run(settings.store, f"rival-{day}").run_id
    params, file = recorded(settings, run_id)
    asked = {
        "dataset": "marketplace",
        "preset": "smoke",
        "line": "rival",
        "samples.negatives": "uniform",
        "samples.weight_purchase": "5.0",
        "sequences.window_minutes": str(settings.sequences.window_minutes),
        "statistics.half_life_days": str(settings.statistics.half_life_days),
        "vocabulary.min_count.item": str(settings.vocabulary.min_count["item"]),
    }
    assert asked.items() <= params.items()
    assert "lineage.first_day" in params
    assert file["digest"] == settings.digest()
    assert file["settings"]["gate"] == settings.gate.model_dump(mode="json")


def test_whole_settings_give_back_their_digest(settings):
    """But for what may hold a login, which is set where there is a login."""
    kept = json.loads(tracked.whole(settings))
    again = Settings.model_validate(kept["settings"])
    assert again == Settings.model_validate(settings.model_dump(mode="json"))
    assert kept["digest"] == again.digest()


def test_no_login_is_recorded(tmp_path):
    said = load("smoke", str(tmp_path), SECRETS)
    assert "hush" in said.model_dump_json()
    assert "hush" not in tracked.whole(said)
    assert json.loads(tracked.whole(said))["settings"]["tracking"]["artifacts"] == (
        "s3://bucket/artifacts"
    )


def test_a_run_that_goes_on_keeps_the_settings_that_it_began_with(tmp_path):
    first = load("smoke", str(tmp_path), ["samples.any_category=3"])
    tracker = TrainingTracker(first)
    run_id = tracker.start("dupn-2026-03-03")
    tracker.params({"seed": 7})
    tracker.end(failed=True)
    again = TrainingTracker(load("smoke", str(tmp_path), ["samples.any_category=4"]))
    assert again.start("dupn-2026-03-03", run_id) == run_id
    again.params({"seed": 7})
    params, file = recorded(first, run_id)
    assert params["samples.any_category"] == "3"
    assert file["settings"]["samples"]["any_category"] == 3


def test_a_run_of_an_earlier_release_gets_the_settings_it_lacks(tmp_path):
    settings = load("smoke", str(tmp_path))
    before = MlflowTracker(settings.tracking, settings.store)
    run_id = before.start("dupn-2026-03-03")
    before.params({"seed": 7})  # and was killed: the run is picked up
    again = TrainingTracker(settings)
    assert again.start("dupn-2026-03-03") == run_id
    again.params({"seed": 7})
    assert again.run_id == run_id
    params, file = recorded(settings, run_id)
    assert (params["seed"], params["samples.negatives"]) == ("7", "same-day")
    assert file["digest"] == settings.digest()
