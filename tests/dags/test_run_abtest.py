"""`dupn_ab_test` run whole in one process, on raw days with planted effects and a real registry."""

import json

import pytest

from features.abtest import traffic
from pipeline.abtest import experiments, verdicts
from pipeline.release import standing
from pipeline.release.incumbent import registry_of
from tests import experiment_log as logs
from tests.experiment_log import FIRST, NEW, Shop

DECLARED = """
id = "new-for-old"
first_day = 2026-03-04
planned_days = 4
before_days = 2

[arms]
old = 0.5
new = 0.5

[rule]
minimum_effect = 0.1
guardrails = { ctr = 0.1, orders = 0.1 }
"""


def world(tmp_path_factory, shop):
    mine = logs.settings(tmp_path_factory.mktemp("shop"))
    logs.live(mine, logs.experiment(), shop, 0)
    logs.lines(mine)
    return mine


def live_first_day(mine, shop):
    logs.live(mine, logs.experiment(), shop, 1, since=0)


@pytest.fixture(scope="module")
def look(run_dag):
    """A run of the DAG; with `of_rival`, tasks that need a model of its own count as done."""

    def run(mine, of_rival="", **conf):
        conf = {"preset": "smoke", "overrides": "beam.buckets=2", **conf}
        return run_dag("dupn_ab_test", conf, of_rival or None, mine.home)

    return run


def states(run):
    return {name: found[0] for name, found in run["tasks"].items()}


@pytest.fixture(scope="module")
def better(tmp_path_factory):
    """Days before an experiment whose challenger will be clicked half as often again."""
    return world(tmp_path_factory, Shop(effect=1.5))


@pytest.fixture(scope="module")
def declared(better, look):
    run = look(better, declaration=DECLARED)
    live_first_day(better, Shop(effect=1.5))
    return run


def test_without_a_day_an_experiment_is_only_registered(better, declared):
    assert declared["state"] == "success"
    assert states(declared).pop("start") == "success"
    assert {state for name, state in states(declared).items() if name != "start"} == {"skipped"}
    assert traffic.running(better.store) == logs.experiment().traffic
    assert experiments.find(better.store, "new-for-old").experiment == logs.experiment()


def test_a_better_line_ships_and_its_rival_is_updated_no_more(better, declared, look):
    run = look(better, day=str(FIRST))
    assert run["state"] == "success"
    skipped = {name for name, state in states(run).items() if state == "skipped"}
    assert skipped == {"approval", "rival", "release"}
    assert standing.status(better)["aliases"] == {"champion": "2", "previous": "1"}
    last = standing.log(better)[-1]
    assert (last["action"], last["who"]) == ("ship", "experiment")
    page = verdicts.key(better.store, "new-for-old", FIRST, "report", "html")
    assert NEW.encode() in better.store.get(page)
    of_it = better.store.get("reports/abtest/new-for-old/mlflow_run").decode()
    logged = registry_of(better).client.list_artifacts(of_it, f"report/dt={FIRST}")
    assert f"report/dt={FIRST}/report.html" in {one.path for one in logged}
    # The day may be done again: it is still the experiment's, and nothing moves twice.
    assert experiments.of_day(better.store, FIRST) == "new-for-old"
    assert experiments.was_started(better.store, logs.experiment())
    assert verdicts.conclude(better, "new-for-old", FIRST)["moved"] is False
    assert experiments.of_day(better.store, FIRST + logs.timedelta(days=1)) == ""


def test_a_look_that_waited_until_the_experiment_was_over_ends_green(better, look):
    run = look(better, day=str(FIRST + logs.timedelta(days=1)))
    assert run["state"] == "success"
    assert {name for name, state in states(run).items() if state != "skipped"} == {"start"}


@pytest.fixture(scope="module")
def equal(tmp_path_factory):
    """Nobody is better."""
    return world(tmp_path_factory, Shop())


def test_an_experiment_that_goes_on_changes_nothing(equal, look):
    mine, before = equal, standing.log(equal)
    open_still = DECLARED.replace("minimum_effect = 0.1", "minimum_effect = 0.01")
    experiments.start(mine, experiments.declared(open_still))
    live_first_day(mine, Shop())
    run = look(mine, "rival|release", declaration=open_still, day=str(FIRST))
    assert run["state"] == "success"
    assert states(run)["approval"] == "skipped"
    assert states(run)["conclude"] == "success"
    kept = mine.store.get(verdicts.key(mine.store, "new-for-old", FIRST, "verdict"))
    assert json.loads(kept)["outcome"] == "continue"
    assert standing.log(mine) == before
    assert traffic.running(mine.store) is not None


@pytest.mark.parametrize(("day", "looks"), [("2026-03-05", True), ("2026-03-08", False)])
def test_a_night_triggers_a_look_on_the_days_of_the_experiment(run_dag, equal, day, looks):
    """All tasks of the night but this one count as done."""
    conf = {"preset": "smoke", "day": day}
    run = run_dag("dupn_nightly_update", conf, "(?!abtest).*", equal.home)
    assert run["state"] == "success"
    assert run["triggered"] == ([f"night__{day}__{run['run']}"] if looks else [])
    assert states(run)["abtest"] == ("success" if looks else "skipped")
