"""What evaluation and gate leave beside report and verdict, and in the training run."""

import json

import pytest

from infra.tracking import MlflowTracker
from pipeline import learning, steps
from tests.chain import DAYS, smoke, with_champion

HOPELESS = ("evaluate.shuffles=false", "train.learning_rate=1e-12", "train.epochs=1")


@pytest.fixture(scope="module")
def settings(chain, tmp_path_factory):
    """A champion, and a candidate that learnt nothing, judged beside it on the day after."""
    home = with_champion(chain, tmp_path_factory.mktemp("judging")).home
    mine = smoke(home, *HOPELESS)
    steps.train(mine, DAYS[2], 1)
    steps.evaluate(mine, DAYS[3])
    steps.gate(mine, DAYS[3])
    return mine


def beside(settings, name):
    return json.loads(settings.store.get(f"reports/offline/dupn-{DAYS[2]}/{name}"))


def test_the_digest_that_a_report_names_is_that_of_the_settings_beside_it(settings):
    found, lineage = beside(settings, "settings.json"), beside(settings, "report.json")["lineage"]
    assert found["digest"] == settings.digest()
    assert lineage["Settings"] == found["digest"]
    assert lineage["Preset"] == found["preset"] == "smoke"
    client = MlflowTracker(settings.tracking, settings.store).client
    run_id = learning.of_run(settings.store, f"dupn-{DAYS[2]}").run_id
    files = {file.path for file in client.list_artifacts(run_id, "report")}
    assert {"report/settings.json", "report/report.json"} <= files
