"""Experiments in a real `airflow standalone`: a bad rival is stopped, a better one is shipped.

A small marketplace with a trained model; the bad line is the same model with its scores dealt anew
within a page. Users live by `dupn abtest simulate`; everything else is done by `dupn_ab_test`.
"""

import time
from datetime import timedelta

import pytest
import requests

from features.abtest import traffic
from infra import runtime
from infra.follow import follow
from infra.programs import RuntimeConfig
from pipeline import chain
from pipeline.abtest import simulated
from pipeline.demo import experiment
from pipeline.release import standing
from pipeline.release.incumbent import registry_of
from pipeline.settings import load
from tests.e2e.person import says_yes

pytestmark = [pytest.mark.drill, pytest.mark.timeout(3600)]  # the machine may be busy

AB_TEST = "dupn_ab_test"
TRAINED = 2
WORLD = ("marketplace.users=4000", "evaluate.shuffles=false")
"""As many users as it takes to be sure within a day."""
GOOD, BAD = "dupn", "bad"
SOURCE = {GOOD: f"line:{GOOD}", BAD: f"shuffled:line:{BAD}"}
PATIENCE_S = 1200


@pytest.fixture(scope="module")
def settings(home):
    """A champion, and its rival: a line of its own."""
    settings = load("smoke", str(home), WORLD)
    assert chain.initial(settings, settings.first_day, TRAINED)["promoted"]
    assert experiment.line_of_its_own(settings, "1", BAD) == "2"
    return settings


@pytest.fixture(scope="module")
def airflow(settings, home):
    runtime.up(home, RuntimeConfig(airflow_port=28480, mlflow_port=25480, start_timeout_s=900))
    return runtime.connect(home)


@pytest.fixture(scope="module")
def stopped(airflow, settings):
    declare(airflow, "bad-for-good", settings, (GOOD, BAD), 1)
    run = look(airflow, settings, live(settings, 1))
    follow(airflow, AB_TEST, run, timeout_s=PATIENCE_S)
    return run


def declare(airflow, name, settings, arms, number, **more):
    """By the form: a run without a day."""
    said = {"id": f'"{name}"', "first_day": day_of(settings, number), "planned_days": 3, **more}
    lines = [f"{key} = {value}" for key, value in {**said, "before_days": 2}.items()]
    lines += ["[arms]", *(f"{arm} = 0.5" for arm in arms), "[rule]", "minimum_effect = 0.1"]
    run = airflow.trigger(AB_TEST, {**conf(), "declaration": "\n".join(lines)})
    follow(airflow, AB_TEST, run, timeout_s=PATIENCE_S)
    assert traffic.running(settings.store).experiment == name


def live(settings, number):
    """A day whose pages are ranked as the running experiment splits the users."""
    split = traffic.running(settings.store)
    sources = {arm: SOURCE[arm] for arm in split.shares}
    day = day_of(settings, number)
    wanted = simulated.Wanted(days=1, first=day, arms=sources, shares=split.shares, salt=split.salt)
    simulated.run(settings, wanted)
    return day


def day_of(settings, number):
    """The first day is the one after that on which the model was judged."""
    return settings.first_day + timedelta(days=TRAINED + number)


def conf():
    return {"preset": "smoke", "overrides": "\n".join(WORLD)}


def look(airflow, settings, day, **more):
    return airflow.trigger(AB_TEST, {**conf(), "day": str(day), **more})


def states(airflow, run):
    return {task.task_id: task.state for task in airflow.run(AB_TEST, run).tasks}


def test_a_bad_rival_is_stopped(airflow, settings, stopped):
    over = states(airflow, stopped)
    assert {name for name, state in over.items() if state == "skipped"} == {
        "approval", "rival", "release",
    }  # fmt: skip
    assert standing.status(settings)["aliases"] == {"champion": "1"}
    last = standing.log(settings)[-1]
    assert (last["action"], last["who"]) == ("stop", "experiment")
    assert last["why"].startswith("bad-for-good: ")


def test_the_report_is_a_button_of_its_task(airflow, home, settings, stopped):
    path = f"/dags/{AB_TEST}/dagRuns/{stopped}/taskInstances/report/links"
    links = airflow.call("GET", path)["extra_links"]
    page = links["Report"]
    served = runtime.where(home)["mlflow"]
    assert page.startswith(f"{served}/#/experiments/")
    run, file = page.split("/runs/")[1].split("/artifacts/")
    assert file == f"report/dt={day_of(settings, 1)}/report.html"
    answer = requests.get(
        f"{served}/get-artifact", params={"run_uuid": run, "path": file}, timeout=60
    )
    assert "bad-for-good" in answer.text


def test_a_better_rival_is_shipped_when_a_person_says_yes(airflow, settings, stopped):
    """The bad line was put in production by hand; the good one is its challenger."""
    registry = registry_of(settings)
    registry.promote("2", "a mistake")
    registry.challenge("1", "the line that was there before")
    declare(airflow, "good-for-bad", settings, (BAD, GOOD), 2, approval="true")
    run = look(airflow, settings, live(settings, 2))
    end = time.monotonic() + PATIENCE_S
    while states(airflow, run)["approval"] != "awaiting_input":
        assert time.monotonic() < end
        time.sleep(1)
    path = f"/dags/{AB_TEST}/dagRuns/{run}/taskInstances/approval/-1/hitlDetails"
    asked = airflow.call("GET", path)
    assert "ship dupn against bad" in asked["subject"]
    assert "report.html" in asked["body"]
    says_yes(airflow, AB_TEST, run, PATIENCE_S)
    follow(airflow, AB_TEST, run, timeout_s=PATIENCE_S)
    assert standing.status(settings)["aliases"]["champion"] == "1"


def test_the_ledger_tells_both(settings, stopped):
    told = [(one["action"], one["why"].partition(":")[0]) for one in standing.log(settings)]
    assert [one for one in told if one[0] in ("stop", "ship")] == [
        ("stop", "bad-for-good"), ("ship", "good-for-bad"),
    ]  # fmt: skip
